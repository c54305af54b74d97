"""Aggregation over the edges of a graph: what a row gathers from its neighbours, reduced in a semiring's monoid.

The edge functions here are known to the library: none of them stores a number for each edge and feature.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nitrix._memory import empty
from nitrix.semiring import (
    REAL,
    SEMIRINGS,
    Semiring,
    algebra_name,
    semiring_ell_edge_mlp,
    semiring_ell_edge_mlp_vjp,
    semiring_ell_edge_reduce,
    semiring_ell_matmul,
    semiring_ell_rmatvec,
    semiring_matmul,
)
from nitrix.sparse.structure import ELL, PADDING, _present


@dataclass(frozen=True)
class Difference:
    """The edge (i, j) is ``x_j - x_i``."""


@dataclass(frozen=True)
class Concatenation:
    """The edge (i, j) is ``[x_i, x_j]``: twice the features."""


@dataclass(frozen=True)
class Dot:
    """The edge (i, j) is the scalar product of x_i and x_j: one feature."""


@dataclass(frozen=True)
class EdgeAttribute:
    """The edge is its row of ``edge_attr``."""


@dataclass(frozen=True, eq=False)
class EdgeMLP:
    """The edge (i, j) is ``act([x_i, x_j - x_i] W + bias)``, or a second layer ``act(...) W2 + bias2`` of that.

    The first layer is linear before its activation, so it is computed once for each node instead of once for each edge:
    with W = [W_1; W_2] it is ``x_i (W_1 - W_2) + bias`` of the one end plus ``x_j W_2`` of the other. ``slope`` is the
    activation's below 0: 0 is ReLU, 1 none.
    """

    weight: Any
    """(2 d, h)"""
    bias: Any = None
    """(h,)"""
    slope: float = 0.0
    weight2: Any = None
    """(h, h2)"""
    bias2: Any = None
    """(h2,)"""
    activation: Literal["relu", "gelu"] = "relu"
    """``"gelu"``: ``x / (1 + exp(-1.59577 (x + 0.044715 x**3)))``, Hendrycks and Gimpel's form with tanh; no slope."""


EdgeFunction = Difference | Concatenation | Dot | EdgeAttribute | EdgeMLP
KNOWN = "Difference(), Concatenation(), Dot(), EdgeAttribute(), EdgeMLP(weight, ...)"
# Rows whose edges a second layer or GELU holds at a time: their features stay in the second-level cache.
CHUNK = 256
GELU_SCALE, GELU_CUBE = 2 * (2 / np.pi) ** 0.5, 0.044715


def _algebra(semiring: Semiring | str) -> Semiring:
    algebra = SEMIRINGS[algebra_name(semiring)]
    if algebra.name == "boolean":
        raise TypeError(
            "semiring_ell_edge_aggregate: 'boolean': an edge function yields numbers, which are no truth values; use "
            "real, log, euclidean or a tropical algebra"
        )
    return algebra


def _weightless(algebra: Semiring, like: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values v with combine(v, b) = b as the monoid takes it, as a view of one number."""
    return np.broadcast_to(like.dtype.type(1 if algebra.name == "real" else 0), shape)


def _reduce_edges(edges: np.ndarray, present: np.ndarray, algebra: Semiring, out: Any = None) -> np.ndarray:
    """(..., m, k, d) reduced over the k that are present: a product with the edges themselves as rows of B."""
    *lead, m, k, d = edges.shape
    at = np.where(present, np.arange(m * k).reshape(m, k), PADDING)
    values = _weightless(algebra, edges, (m, k))
    rows = np.ascontiguousarray(edges).reshape(*lead, m * k, d)
    return semiring_ell_matmul(values, at, rows, semiring=algebra, out=out)


def _first_layer(mlp: EdgeMLP, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Its weight and bias."""
    if mlp.activation not in ("relu", "gelu"):
        raise ValueError(f"EdgeMLP: activation is {mlp.activation!r}, must be 'relu' or 'gelu'")
    weight = np.asarray(mlp.weight, x.dtype)
    d = x.shape[-1]
    if weight.ndim != 2 or weight.shape[0] != 2 * d:
        raise ValueError(f"EdgeMLP: weight has shape {weight.shape}, must be (2 d, h) with d = {d}")
    if mlp.bias is None:
        return weight, None
    bias, h = np.asarray(mlp.bias, x.dtype), weight.shape[1]
    if bias.shape != (h,):
        raise ValueError(f"EdgeMLP: bias has shape {bias.shape}, must be ({h},)")
    return weight, bias


def _layers(mlp: EdgeMLP, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the first layer gives to each end of an edge."""
    weight, bias = _first_layer(mlp, x)
    # One product for both, of which each is a view.
    d, h = x.shape[-1], weight.shape[1]
    both = empty((*x.shape[:-1], 2 * h), x.dtype)
    rows, results = x.reshape(-1, d), both.reshape(-1, 2 * h)
    factored = np.concatenate([weight[:d] - weight[d:], weight[d:]], axis=1)
    semiring_matmul(rows, factored, out=results)
    if bias is not None:
        results[:, :h] += bias
    return both[..., :h], both[..., h:]


def _second_weight(mlp: EdgeMLP, like: np.ndarray) -> np.ndarray:
    weight = np.asarray(mlp.weight2, like.dtype)
    if weight.ndim != 2 or weight.shape[0] != like.shape[-1]:
        raise ValueError(f"EdgeMLP: weight2 has shape {weight.shape}, must be ({like.shape[-1]}, h2)")
    return weight


def semiring_ell_edge_aggregate(
    edge_fn: EdgeFunction,
    ell: ELL,
    x: Any,
    *,
    semiring: Semiring | str = REAL,
    edge_attr: Any = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """``y[i]`` reduces ``edge_fn(x_i, x_j)`` over the neighbours j of i in the monoid of the semiring.

    The monoids: a sum (REAL), the largest or smallest (tropical), the logarithm of a sum of exponentials (LOG), the
    root of a sum of squares (EUCLIDEAN). The values of ``ell`` are not used. A row without neighbours gives the
    identity. BOOLEAN is refused.

    Parameters
    ----------
    edge_fn
        One of the edge functions of this module; there is no compiled form for others, and they are refused.
    ell
        The graph: row i has the neighbours of node i. Its leading dimensions broadcast with those of x.
    x : (..., n, d)
        Features of the nodes, float32 or float64.
    edge_attr : (..., m, k, d)
        For :class:`EdgeAttribute`.
    out
        If given, receives the result: of its shape and dtype, and apart from the other arrays.

    Returns
    -------
    (..., m, features of an edge): ``out``, if given.
    """
    algebra = _algebra(semiring)
    at = np.asarray(ell.indices)
    if isinstance(edge_fn, EdgeAttribute):
        if edge_attr is None:
            raise ValueError("semiring_ell_edge_aggregate: EdgeAttribute() needs edge_attr")
        attributes = np.asarray(edge_attr)
        if attributes.ndim < 3 or attributes.shape[-3:-1] != at.shape[-2:]:
            raise ValueError(f"semiring_ell_edge_aggregate: edge_attr has shape {attributes.shape}, must be "
                             f"{(*at.shape, 'd')}")  # fmt: skip
        return _reduce_edges(attributes, at >= 0, algebra, out)
    x = np.asarray(x)
    m, k = at.shape[-2:]
    if x.ndim < 2 or x.shape[-2] != ell.n_cols or m > x.shape[-2]:
        raise ValueError(f"semiring_ell_edge_aggregate: x has shape {x.shape}, must be ({ell.n_cols}, d): one row for "
                         f"each column of the graph, and at least its {m} rows")  # fmt: skip
    if isinstance(edge_fn, Difference):
        one = x.dtype.type(1)[...]
        return semiring_ell_edge_reduce(-x[..., :m, :], x, ell.indices, one, semiring=algebra, out=out)
    if isinstance(edge_fn, Concatenation):
        values = _weightless(algebra, x, (m, k))
        rows = np.where(at >= 0, np.arange(m)[:, None], PADDING)
        d = x.shape[-1]
        y = _output(out, (*np.broadcast_shapes(at.shape[:-2], x.shape[:-2]), m, 2 * d), x.dtype)
        for columns, i in ((slice(d), rows), (slice(d, 2 * d), ell.indices)):
            semiring_ell_matmul(values, i, x, semiring=algebra, out=y[..., columns])
        return y
    if isinstance(edge_fn, Dot):
        return _reduce_edges(_dots(ell, x)[..., None], at >= 0, algebra, out)
    if isinstance(edge_fn, EdgeMLP):
        weight, bias = _first_layer(edge_fn, x)
        if not _by_chunks(edge_fn):
            slope = np.asarray(edge_fn.slope, x.dtype)
            return semiring_ell_edge_mlp(ell.indices, x, weight, bias, slope, semiring=algebra, out=out)
        features = weight.shape[1] if edge_fn.weight2 is None else _second_weight(edge_fn, weight).shape[1]
        lead = np.broadcast_shapes(at.shape[:-2], x.shape[:-2])
        y = _output(out, (*lead, m, features), x.dtype)
        own, source = _layers(edge_fn, x)
        for where, (i, o, s) in zip(np.ndindex(lead), _each_item(at, own, source), strict=True):
            _aggregate_by_chunks(edge_fn, i, o[:m], s, algebra, y[where])
        return y
    raise NotImplementedError(f"semiring_ell_edge_aggregate: no compiled form of {edge_fn!r}; there are {KNOWN}")


def _output(out: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if out is None:
        return empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        got = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else repr(type(out))
        raise ValueError(f"semiring_ell_edge_aggregate: out is {got}, must be {dtype} of shape {shape}")
    return out


def _dots(ell: ELL, x: np.ndarray) -> np.ndarray:
    """The scalar products of the two ends of each edge: what the gradient of a product is for its values."""
    from nitrix.semiring import semiring_ell_matmul_vjp

    m, k = ell.indices.shape[-2:]
    lead = np.broadcast_shapes(ell.indices.shape[:-2], x.shape[:-2])
    unread = np.broadcast_to(x.dtype.type(0), (*lead, m, x.shape[-1]))
    dc = np.broadcast_to(x[..., :m, :], unread.shape)
    scores, _ = semiring_ell_matmul_vjp(np.zeros((*lead, m, k), x.dtype), ell.indices, x, unread, dc)
    return scores


def _each_item(*matrices: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Matrices with leading dimensions, which broadcast: one item after the other."""
    lead = np.broadcast_shapes(*(a.shape[:-2] for a in matrices))
    whole = [np.broadcast_to(a, (*lead, *a.shape[-2:])) for a in matrices]
    for at in np.ndindex(lead):
        yield tuple(a[at] for a in whole)


def _position_in(lead: tuple[int, ...], where: tuple[int, ...]) -> tuple[int, ...]:
    """Where an item of the broadcast dimensions lies in an array that has only `lead` of them."""
    own = where[len(where) - len(lead) :]
    return tuple(0 if size == 1 else i for size, i in zip(lead, own, strict=True))


# ---- What one formula for own + source does not say: the edges of some rows at a time --------------------------------


def _by_chunks(mlp: EdgeMLP) -> bool:
    return mlp.weight2 is not None or mlp.activation == "gelu"


def _gate(z: np.ndarray) -> np.ndarray:
    """What GELU multiplies with: 1 / (1 + exp(-scale (z + cube z**3)))."""
    steps = z * z
    steps *= z.dtype.type(-GELU_SCALE * GELU_CUBE)
    steps -= z.dtype.type(GELU_SCALE)
    steps *= z
    with np.errstate(over="ignore"):
        np.exp(steps, out=steps)
    steps += 1
    return np.reciprocal(steps, out=steps)


def _activated(mlp: EdgeMLP, z: np.ndarray) -> np.ndarray:
    if mlp.activation == "gelu":
        return z * _gate(z)
    if mlp.slope == 0:
        return np.maximum(z, 0)
    return np.where(z <= 0, z * z.dtype.type(mlp.slope), z)


def _derivative(mlp: EdgeMLP, z: np.ndarray) -> np.ndarray:
    """Of the activation."""
    one = z.dtype.type(1)
    if mlp.activation == "relu":
        return np.where(z > 0, one, z.dtype.type(mlp.slope))
    gate, steep = _gate(z), z.dtype.type(GELU_SCALE) * (one + z.dtype.type(3 * GELU_CUBE) * z * z)
    return gate + z * gate * (one - gate) * steep


@dataclass
class _Chunk:
    """The edges of some rows; those that are padding have zeros before the activation."""

    rows: slice
    at: np.ndarray
    """(r, k)"""
    z: np.ndarray
    """Before the activation, (r, k, h)."""
    hidden: np.ndarray
    """After it."""
    edges: np.ndarray
    """(r, k, features)"""


def _chunks(mlp: EdgeMLP, at: np.ndarray, own: np.ndarray, source: np.ndarray) -> Iterator[_Chunk]:
    weight2 = None if mlp.weight2 is None else _second_weight(mlp, own)
    for first in range(0, len(own), CHUNK):
        rows = slice(first, first + CHUNK)
        here = at[rows]
        z = source[np.maximum(here, 0)]
        z += own[rows, None]
        z[here < 0] = 0
        hidden = edges = _activated(mlp, z)
        if weight2 is not None:
            edges = semiring_matmul(hidden.reshape(-1, hidden.shape[-1]), weight2).reshape(*here.shape, -1)
            if mlp.bias2 is not None:
                edges += np.asarray(mlp.bias2, own.dtype)
        yield _Chunk(rows, here, z, hidden, edges)


def _aggregate_by_chunks(
    mlp: EdgeMLP, at: np.ndarray, own: np.ndarray, source: np.ndarray, algebra: Semiring, y: np.ndarray
) -> None:
    for chunk in _chunks(mlp, at, own, source):
        y[chunk.rows] = _reduce_edges(chunk.edges, chunk.at >= 0, algebra)


def _edge_gradients(algebra: Semiring, chunk: _Chunk, y: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """What the results pass on to each of their edges, 0 at padding."""
    e, live = chunk.edges, (chunk.at >= 0)[..., None]
    none = e.dtype.type(0)
    if algebra.name == "real":
        return np.where(live, dy[:, None], none)
    if algebra.name == "euclidean":
        quotients = np.divide(dy, y, out=np.zeros_like(dy), where=y != 0)
        return np.where(live, e * quotients[:, None], none)
    if algebra.name == "log":
        finite = live & (y != -np.inf)[:, None]
        return np.where(finite, dy[:, None] * np.exp(np.where(finite, e - y[:, None], none)), none)
    passed, waits = np.zeros_like(e), y != algebra.identity
    for slot in range(e.shape[1]):
        wins = waits & live[:, slot] & (e[:, slot] == y)
        np.copyto(passed[:, slot], dy, where=wins)
        waits &= ~wins
    return passed


def _gradients_by_chunks(
    mlp: EdgeMLP, at: np.ndarray, own: np.ndarray, source: np.ndarray, y: np.ndarray, dy: np.ndarray, algebra: Semiring
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Of both ends, and of the second layer."""
    down, dsource = np.zeros_like(own), np.zeros(source.shape, source.dtype)
    second: dict[str, np.ndarray] = {}
    if mlp.weight2 is not None:
        weight2 = _second_weight(mlp, own)
        second["weight2"] = np.zeros_like(weight2)
        if mlp.bias2 is not None:
            second["bias2"] = np.zeros(weight2.shape[1], own.dtype)
    for chunk in _chunks(mlp, at, own, source):
        passed = _edge_gradients(algebra, chunk, y[chunk.rows], dy[chunk.rows])
        if mlp.weight2 is not None:
            flat = passed.reshape(-1, passed.shape[-1])
            second["weight2"] += semiring_matmul(chunk.hidden.reshape(len(flat), -1).T, flat)
            if mlp.bias2 is not None:
                second["bias2"] += flat.sum(axis=0)
            passed = semiring_matmul(flat, weight2.T).reshape(chunk.hidden.shape)
        passed = passed * _derivative(mlp, chunk.z)
        down[chunk.rows] = passed.sum(axis=1)
        live = chunk.at >= 0
        nodes, which = np.unique(chunk.at[live], return_inverse=True)
        if len(nodes):
            ones = np.ones((len(which), 1), own.dtype)
            dsource[nodes] += semiring_ell_rmatvec(ones, which.reshape(-1, 1), passed[live], n_cols=len(nodes))
    return down, dsource, second


def edge_mlp_vjp(
    mlp: EdgeMLP, ell: ELL, x: Any, y: Any, dy: Any, *, semiring: Semiring | str = REAL
) -> dict[str, np.ndarray]:
    """The gradients of ``sum(dy * y)`` for x, weight, bias, weight2 and bias2 of an :class:`EdgeMLP`, as far as it has
    them.

    ``y`` (..., m, features) is what :func:`semiring_ell_edge_aggregate` gave, to the bit: the tropical algebras find
    the winners by it. x (..., n, d); the gradients of weights are summed over leading dimensions. No number is stored
    for an edge and a feature, but for the edges of 256 rows where there is a second layer or GELU.
    """
    algebra = _algebra(semiring)
    x, y, dy = np.asarray(x), np.asarray(y), np.asarray(dy)
    at = np.asarray(ell.indices)
    m, d = at.shape[-2], x.shape[-1]
    weight, bias = _first_layer(mlp, x)
    h = weight.shape[1]
    if not _by_chunks(mlp):
        slope, added = np.asarray(mlp.slope, x.dtype), np.zeros(h, x.dtype) if bias is None else bias
        dx, dweight, dbias = semiring_ell_edge_mlp_vjp(ell.indices, x, weight, added, slope, y, dy, semiring=algebra)
        return {"x": dx, "weight": dweight, **({} if bias is None else {"bias": dbias})}
    own, source = _layers(mlp, x)
    down, dsource = np.zeros((*x.shape[:-2], m, h), x.dtype), np.zeros((*x.shape[:-1], h), x.dtype)
    second: dict[str, np.ndarray] = {}
    lead = np.broadcast_shapes(at.shape[:-2], x.shape[:-2])
    items = _each_item(at, own[..., :m, :], source, y, dy)
    for where, arguments in zip(np.ndindex(lead), items, strict=True):
        first_end, other_end, more = _gradients_by_chunks(mlp, *arguments, algebra)
        own_at = _position_in(x.shape[:-2], where)
        down[own_at] += first_end
        dsource[own_at] += other_end
        second = {name: second[name] + value if name in second else value for name, value in more.items()}
    dx = semiring_matmul(dsource, weight[d:].T)
    dx[..., :m, :] += semiring_matmul(down, (weight[:d] - weight[d:]).T)
    first = semiring_matmul(x[..., :m, :].reshape(-1, d).T, down.reshape(-1, h))
    other = semiring_matmul(x.reshape(-1, d).T, dsource.reshape(-1, h))
    gradients = {"x": dx, "weight": np.concatenate([first, other - first])}
    if bias is not None:
        gradients["bias"] = down.reshape(-1, h).sum(axis=0)
    return {**gradients, **second}


def ell_row_softmax(scores: Any, ell: ELL) -> np.ndarray:
    """The softmax of scores (..., m, k) over each row's entries. Padding gives 0, and so does a row of padding alone.

    A slot is padding if its index is negative, or if the graph's value there is its ``identity``.
    """
    s = np.asarray(scores)
    present = np.broadcast_to(_present(ell), s.shape)
    top = np.max(np.where(present, s, -np.inf), axis=-1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        weights = np.where(present, np.exp(s - np.where(np.isfinite(top), top, 0)), 0).astype(s.dtype)
    total = weights.sum(-1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total != 0)


def ell_row_softmax_vjp(softmax: Any, dsoftmax: Any) -> np.ndarray:
    """The gradient for the scores, from the softmax and its gradient: 0 at padding."""
    p, g = np.asarray(softmax), np.asarray(dsoftmax)
    weighted = np.where(p == 0, 0, p * g).astype(p.dtype)
    return weighted - p * weighted.sum(-1, keepdims=True)
