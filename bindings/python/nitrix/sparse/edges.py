"""Aggregation over the edges of a graph: what a row gathers from its neighbours, reduced in a semiring's monoid.

The edge functions here are known to the library: none of them stores a number for each edge and feature.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nitrix.semiring import (
    REAL,
    SEMIRINGS,
    Semiring,
    algebra_name,
    semiring_ell_edge_reduce,
    semiring_ell_edge_reduce_vjp,
    semiring_ell_matmul,
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


EdgeFunction = Difference | Concatenation | Dot | EdgeAttribute | EdgeMLP
KNOWN = "Difference(), Concatenation(), Dot(), EdgeAttribute(), EdgeMLP(weight, ...)"
# Rows whose edges a second layer holds at a time: their features stay in the second-level cache.
CHUNK = 512


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


def _reduce_edges(edges: np.ndarray, present: np.ndarray, algebra: Semiring) -> np.ndarray:
    """(m, k, d) reduced over the k that are present: a product with the edges themselves as rows of B."""
    m, k, d = edges.shape
    at = np.where(present, np.arange(m * k).reshape(m, k), PADDING)
    values = _weightless(algebra, edges, (m, k))
    return semiring_ell_matmul(values, at, np.ascontiguousarray(edges).reshape(m * k, d), semiring=algebra)


def _layers(mlp: EdgeMLP, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the first layer gives to each end of an edge."""
    weight = np.asarray(mlp.weight, x.dtype)
    d = x.shape[-1]
    if weight.ndim != 2 or weight.shape[0] != 2 * d:
        raise ValueError(f"EdgeMLP: weight has shape {weight.shape}, must be (2 d, h) with d = {d}")
    # One product for both, of which each is a view.
    h = weight.shape[1]
    both = semiring_matmul(x, np.concatenate([weight[:d] - weight[d:], weight[d:]], axis=1))
    own, source = both[:, :h], both[:, h:]
    if mlp.bias is not None and np.any(mlp.bias):
        own += np.asarray(mlp.bias, x.dtype)
    return own, source


def semiring_ell_edge_aggregate(
    edge_fn: EdgeFunction,
    ell: ELL,
    x: Any,
    *,
    semiring: Semiring | str = REAL,
    edge_attr: Any = None,
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
        The graph: row i has the neighbours of node i.
    x : (n, d)
        Features of the nodes, float32 or float64.
    edge_attr : (m, k, d)
        For :class:`EdgeAttribute`.

    Returns
    -------
    (m, features of an edge)
    """
    algebra = _algebra(semiring)
    if isinstance(edge_fn, EdgeAttribute):
        if edge_attr is None:
            raise ValueError("semiring_ell_edge_aggregate: EdgeAttribute() needs edge_attr")
        attributes = np.asarray(edge_attr)
        if attributes.ndim != 3 or attributes.shape[:2] != ell.indices.shape:
            raise ValueError(f"semiring_ell_edge_aggregate: edge_attr has shape {attributes.shape}, must be "
                             f"{(*ell.indices.shape, 'd')}")  # fmt: skip
        return _reduce_edges(attributes, np.asarray(ell.indices) >= 0, algebra)
    x = np.asarray(x)
    m, k = ell.indices.shape
    if x.ndim != 2 or len(x) != ell.n_cols or m > len(x):
        raise ValueError(f"semiring_ell_edge_aggregate: x has shape {x.shape}, must be ({ell.n_cols}, d): one row for "
                         f"each column of the graph, and at least its {m} rows")  # fmt: skip
    if isinstance(edge_fn, Difference):
        return semiring_ell_edge_reduce(-x[:m], x, ell.indices, x.dtype.type(1)[...], semiring=algebra)
    if isinstance(edge_fn, Concatenation):
        values = _weightless(algebra, x, (m, k))
        at = np.asarray(ell.indices)
        rows = np.where(at >= 0, np.arange(m)[:, None], PADDING)
        halves = [semiring_ell_matmul(values, i, x, semiring=algebra) for i in (rows, ell.indices)]
        return np.concatenate(halves, axis=1)
    if isinstance(edge_fn, Dot):
        return _reduce_edges(_dots(ell, x)[..., None], np.asarray(ell.indices) >= 0, algebra)
    if isinstance(edge_fn, EdgeMLP):
        own, source = _layers(edge_fn, x)
        slope = np.asarray(edge_fn.slope, x.dtype)
        if edge_fn.weight2 is None:
            return semiring_ell_edge_reduce(own[:m], source, ell.indices, slope, semiring=algebra)
        return _second_layer(edge_fn, ell, own[:m], source, algebra)
    raise NotImplementedError(f"semiring_ell_edge_aggregate: no compiled form of {edge_fn!r}; there are {KNOWN}")


def _dots(ell: ELL, x: np.ndarray) -> np.ndarray:
    """The scalar products of the two ends of each edge: what the gradient of a product is for its values."""
    from nitrix.semiring import semiring_ell_matmul_vjp

    m, k = ell.indices.shape
    unread = np.broadcast_to(x.dtype.type(0), (m, x.shape[1]))
    scores, _ = semiring_ell_matmul_vjp(np.zeros((m, k), x.dtype), ell.indices, x, unread, x[:m])
    return scores


def _second_layer(mlp: EdgeMLP, ell: ELL, own: np.ndarray, source: np.ndarray, algebra: Semiring) -> np.ndarray:
    """Some rows at a time: their edges through the second layer, then reduced."""
    weight, at = np.asarray(mlp.weight2, own.dtype), np.asarray(ell.indices)
    parts = []
    for first in range(0, len(own), CHUNK):
        rows = at[first : first + CHUNK]
        hidden = own[first : first + CHUNK, None] + source[np.maximum(rows, 0)]
        hidden = np.where(hidden > 0, hidden, hidden * own.dtype.type(mlp.slope) if mlp.slope else own.dtype.type(0))
        edges = semiring_matmul(hidden.reshape(-1, hidden.shape[-1]), weight).reshape(*rows.shape, -1)
        if mlp.bias2 is not None:
            edges += np.asarray(mlp.bias2, own.dtype)
        parts.append(_reduce_edges(edges, rows >= 0, algebra))
    return np.concatenate(parts) if parts else np.empty((0, weight.shape[1]), own.dtype)


def edge_mlp_vjp(
    mlp: EdgeMLP, ell: ELL, x: Any, y: Any, dy: Any, *, semiring: Semiring | str = REAL
) -> dict[str, np.ndarray]:
    """The gradients of ``sum(dy * y)`` for x, weight and bias of an :class:`EdgeMLP` of one layer.

    ``y`` is what :func:`semiring_ell_edge_aggregate` gave. No number is stored for an edge and a feature.
    """
    algebra = _algebra(semiring)
    if mlp.weight2 is not None:
        raise NotImplementedError("edge_mlp_vjp: there is no gradient of a second layer yet: differentiate it outside")
    x, y, dy = np.asarray(x), np.asarray(y), np.asarray(dy)
    m, d = ell.indices.shape[0], x.shape[1]
    own, source = _layers(mlp, x)
    slope = np.asarray(mlp.slope, x.dtype)
    down, dsource = semiring_ell_edge_reduce_vjp(own[:m], source, ell.indices, slope, y, dy, semiring=algebra)
    weight = np.asarray(mlp.weight, x.dtype)
    dx = semiring_matmul(dsource, weight[d:].T)
    dx[:m] += semiring_matmul(down, (weight[:d] - weight[d:]).T)
    first, second = semiring_matmul(x[:m].T, down), semiring_matmul(x.T, dsource)
    gradients = {"x": dx, "weight": np.concatenate([first, second - first])}
    if mlp.bias is not None:
        gradients["bias"] = down.sum(axis=0)
    return gradients


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
