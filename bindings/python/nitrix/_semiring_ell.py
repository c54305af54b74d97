"""Products of matrices in ELL form; public through nitrix.semiring."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from nitrix._kinds import Array, SupportsDLPack, as_kind_of
from nitrix._memory import empty
from nitrix._ops import FUNCTIONS, OPS, direct
from nitrix.semiring import REAL, Semiring, algebra_name

_matmul: Callable[..., Any] = OPS["semiring_ell_matmul"].call


def _check_columns(op: str, rows: int, n_cols: int | None) -> None:
    if n_cols is not None and n_cols != rows:
        raise ValueError(f"{op}: B has {rows} rows, so n_cols must be {rows} or None, got {n_cols}")


@direct("semiring_ell_matmul", REAL)
def semiring_ell_matmul(
    values: Array,
    indices: SupportsDLPack,
    B: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    n_cols: int | None = None,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    variant: str | None = None,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """Product of a sparse matrix in ELL form and a dense one, over a semiring.

    ``C[..., i, j] = reduce over k of combine(values[..., i, k], B[..., indices[..., i, k], j])``, over the k whose
    index is not negative. A negative index is padding: neither its value nor B is read, so nothing non-finite beside it
    can leak in. A row without entries gives the semiring's identity. Entries of a row may name a column twice; each is
    a term. The order of the reduction is that of k, so the same call gives the same bits on every run and machine of
    one rounding class, for every number of threads.

    Parameters
    ----------
    values : (..., m, k)
    indices : (..., m, k), int32 or int64
        Each below n. Raw arrays are checked on every call, before anything is written; those of a
        :class:`nitrix.sparse.ELL` have been checked when it was made.
    B : (..., n, d)
        Of the dtype of ``values``: float32 or float64, or bool for BOOLEAN; float16 or bfloat16 for REAL and the
        tropical algebras, computed in float32 and rounded once. Leading dimensions of all three broadcast.
    semiring, backend, out, threads, variant, mode
        As for :func:`semiring_matmul`.
    n_cols
        If given, must be n: a check of what the caller believes.

    Returns
    -------
    (..., m, d)

    Raises
    ------
    ValueError
        An index is n or more (the message names its position), shapes do not fit, or one of the reasons of
        :func:`semiring_matmul`.
    """
    if n_cols is not None:
        _check_columns("semiring_ell_matmul", B.shape[-2], n_cols)  # type: ignore[attr-defined]
    product: Array = _matmul((values, indices, B), (algebra_name(semiring),), out, backend, threads, variant, mode)
    return product


def reference_semiring_ell_matmul(
    values: Array, indices: SupportsDLPack, B: SupportsDLPack, *, semiring: Semiring | str, n_cols: int | None = None
) -> Array:
    """:func:`semiring_ell_matmul` by the naive variant: the same bits, from the shortest path through the code."""
    return semiring_ell_matmul(values, indices, B, semiring=semiring, n_cols=n_cols, backend="naive")


_rmatvec: Callable[..., Any] = OPS["semiring_ell_rmatvec"].call


def _empty(like: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A new array of the dtype of an array of any library."""
    return empty(shape, like.dtype if isinstance(like, np.ndarray) else np.from_dlpack(like).dtype)


def semiring_ell_rmatvec(
    values: Array,
    indices: SupportsDLPack,
    X: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    n_cols: int,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """Product of the transpose of a sparse matrix in ELL form and a dense one, over a semiring.

    ``Y[..., n, j]`` reduces ``combine(values[..., i, k], X[..., i, j])`` over the entries (i, k) whose index is n, in
    the order of i and then k: the same bits on every run, for every number of threads. A column without entries gives
    the semiring's identity. The structure of the transpose is built on every call; a :class:`nitrix.sparse.ELL` builds
    it once, when it is first needed.

    Parameters
    ----------
    values : (..., m, k)
    indices : (..., m, k), int32 or int64
        Each below ``n_cols``; a negative one is padding.
    X : (..., m, d)
        Of the dtype of ``values``, as for :func:`semiring_ell_matmul`.
    n_cols
        How many columns the matrix has.
    semiring, backend, out, threads, mode
        As for :func:`semiring_matmul`.

    Returns
    -------
    (..., n_cols, d)
    """
    name = algebra_name(semiring)
    made: Any = out
    if out is None:
        shapes = [tuple(a.shape) for a in (values, indices, X)]  # type: ignore[attr-defined]
        lead = np.broadcast_shapes(*(s[:-2] for s in shapes))
        made = _empty(values, (*lead, n_cols, shapes[2][-1] if len(shapes[2]) > 1 else 0))
    _rmatvec((values, indices, X), (name,), made, backend, threads, None, mode)
    product: Array = made if out is not None else as_kind_of(values, made)
    return product


def reference_semiring_ell_rmatvec(
    values: Array, indices: SupportsDLPack, X: SupportsDLPack, *, semiring: Semiring | str, n_cols: int
) -> Array:
    """:func:`semiring_ell_rmatvec` by the naive variants: the same bits."""
    return semiring_ell_rmatvec(values, indices, X, semiring=semiring, n_cols=n_cols, backend="naive")


_vjp: Callable[..., Any] = OPS["semiring_ell_matmul_vjp"].call


def semiring_ell_matmul_vjp(
    values: Array,
    indices: SupportsDLPack,
    B: SupportsDLPack,
    C: SupportsDLPack,
    dC: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: tuple[SupportsDLPack, SupportsDLPack] | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> tuple[Array, Array]:
    """Vector-Jacobian product of :func:`semiring_ell_matmul`: the gradients of ``sum(dC * C)`` for values and B.

    With ``w`` the derivative of ``C[i, j]`` by the term of entry (i, k), ``dvalues[i, k]`` is the sum over j of
    ``dC[i, j] * w`` and ``dB[n, j]`` the sum over the entries of column n, in the order of i and then k. In the
    tropical algebras w is 1 at the first k that attains C and 0 elsewhere; an entry of C that is the identity, or NaN,
    passes nothing on. For LOG w is the softmax ``exp(value + b - C)``, recomputed and never stored; for EUCLIDEAN
    ``(value - b) / C`` (its negative for B), 0 where C is 0. The gradient of padding is 0. Nothing of m x k x d
    elements is ever formed.

    Parameters
    ----------
    values, indices, B, C, dC
        As :func:`semiring_ell_matmul` took and gave them, and the gradient with respect to C. Of float16 and bfloat16
        a tropical C is computed again in float32: rounded, it need not equal any of its terms.
    semiring
        Any but BOOLEAN, whose truth values have no gradient.
    backend, out, threads, mode
        As for :func:`semiring_matmul`.

    Returns
    -------
    dvalues, dB
        Of the shapes of values and B: a broadcast operand's gradient is summed over the broadcast dimensions.
    """
    name = algebra_name(semiring)
    gradients: tuple[Array, Array] = _vjp((values, indices, B, C, dC), (name,), out, backend, threads, None, mode)
    return gradients


_ragged: Callable[..., Any] = OPS["semiring_ragged_matmul"].call
_ragged_transposed: Callable[..., Any] = OPS["semiring_ragged_rmatvec"].call


def semiring_ragged_matmul(
    values: Array,
    indices: SupportsDLPack,
    counts: SupportsDLPack,
    B: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """:func:`semiring_ell_matmul` with rows of different lengths: CSR with counts in place of offsets.

    ``values`` (..., v) and ``indices`` (v,) hold the entries row after row, ``counts`` (m,) how many each row has; both
    index arrays are int32, or both int64. A :class:`nitrix.sparse.SectionedELL` has them, with a plan made once.
    """
    name = algebra_name(semiring)
    product: Array = _ragged((values, indices, counts, B), (name,), out, backend, threads, None, mode)
    return product


def semiring_ragged_rmatvec(
    values: Array,
    indices: SupportsDLPack,
    counts: SupportsDLPack,
    X: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    n_cols: int,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """:func:`semiring_ell_rmatvec` with rows of different lengths, as :func:`semiring_ragged_matmul` takes them."""
    name = algebra_name(semiring)
    made: Any = out
    if out is None:
        v, x = (tuple(a.shape) for a in (values, X))  # type: ignore[attr-defined]
        made = _empty(values, (*np.broadcast_shapes(v[:-1], x[:-2]), n_cols, x[-1] if len(x) > 1 else 0))
    _ragged_transposed((values, indices, counts, X), (name,), made, backend, threads, None, mode)
    product: Array = made if out is not None else as_kind_of(values, made)
    return product


_edges: Callable[..., Any] = OPS["semiring_ell_edge_reduce"].call
_edges_vjp: Callable[..., Any] = OPS["semiring_ell_edge_reduce_vjp"].call


def semiring_ell_edge_reduce(
    own: Array,
    source: SupportsDLPack,
    indices: SupportsDLPack,
    slope: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """Edges of a graph, reduced row by row, none of them ever stored.

    ``y[..., i, j]`` reduces ``act(own[..., i, j] + source[..., indices[..., i, k], j])`` over k in the semiring's
    monoid: a sum (REAL), the largest or smallest (tropical), the logarithm of a sum of exponentials (LOG) or the root
    of a sum of squares (EUCLIDEAN). ``act(x)`` is x above 0 and ``slope * x`` elsewhere: a slope of 1 is no activation,
    0 is ReLU. Padding and rows without edges are as in :func:`semiring_ell_matmul`.

    Parameters
    ----------
    own : (..., m, d)
    source : (..., n, d)
    indices : (..., m, k)
    slope : (...)
        An array without dimensions, or one number for each item of a batch; of the dtype of the others.
    """
    name = algebra_name(semiring)
    reduced: Array = _edges((own, source, indices, slope), (name,), out, backend, threads, None, mode)
    return reduced


def semiring_ell_edge_reduce_vjp(
    own: Array,
    source: SupportsDLPack,
    indices: SupportsDLPack,
    slope: SupportsDLPack,
    y: SupportsDLPack,
    dy: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: tuple[SupportsDLPack, SupportsDLPack] | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> tuple[Array, Array]:
    """The gradients of ``sum(dy * y)`` for own and source, with ``y = semiring_ell_edge_reduce(...)``.

    An edge passes on ``dy * (dy/de) * act'``: dy/de is 1 for REAL, the softmax ``exp(e - y)`` for LOG, ``e / y`` for
    EUCLIDEAN (0 where y is), 1 at the first edge that attains y for the tropical algebras. ``act'(0)`` is the slope.
    """
    name = algebra_name(semiring)
    arrays = (own, source, indices, slope, y, dy)
    gradients: tuple[Array, Array] = _edges_vjp(arrays, (name,), out, backend, threads, None, mode)
    return gradients


_mlp: Callable[..., Any] = OPS["semiring_ell_edge_mlp"].call


def semiring_ell_edge_mlp(
    indices: SupportsDLPack,
    x: Array,
    weight: SupportsDLPack,
    bias: SupportsDLPack | None,
    slope: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """EdgeConv: a layer of a network on each edge of a graph, reduced row by row, no edge ever stored.

    ``y[..., i, :]`` reduces ``act([x_i, x_j - x_i] @ weight + bias)`` over the neighbours ``j = indices[..., i, k]`` in
    the semiring's monoid. With ``weight = [W1; W2]`` that is ``act(own[i] + source[j])`` of
    :func:`semiring_ell_edge_reduce`, with its bits, for ``own = x @ (W1 - W2) + bias`` and ``source = x @ W2``:
    products over REAL, computed once for each node and held in pooled memory.

    Parameters
    ----------
    indices : (..., m, k), int32 or int64
        Row i has the neighbours of node i; a negative one is padding.
    x : (..., n, d), n >= m
        float32 or float64, as all that follow.
    weight : (..., 2 d, h)
    bias : (..., h), or None
    slope : (...)
        The activation's below 0, as for :func:`semiring_ell_edge_reduce`. Leading dimensions of all broadcast.
    semiring, backend, out, threads, mode
        As for :func:`semiring_matmul`; any algebra but BOOLEAN.

    Returns
    -------
    (..., m, h)

    Raises
    ------
    ValueError
        weight has other than 2 d rows, there are more rows than nodes, an index is n or more, or one of the reasons of
        :func:`semiring_matmul`: all before anything is written.
    """
    name = algebra_name(semiring)
    y: Array = _mlp((indices, x, weight, bias, slope), (name,), out, backend, threads, None, mode)
    return y


_mlp_vjp: Callable[..., Any] = OPS["semiring_ell_edge_mlp_vjp"].call


def semiring_ell_edge_mlp_vjp(
    indices: SupportsDLPack,
    x: Array,
    weight: SupportsDLPack,
    bias: SupportsDLPack,
    slope: SupportsDLPack,
    y: SupportsDLPack,
    dy: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: tuple[SupportsDLPack, SupportsDLPack, SupportsDLPack] | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> tuple[Array, Array, Array]:
    """The gradients of ``sum(dy * y)`` for x, weight and bias, with ``y = semiring_ell_edge_mlp(...)``, to the bit.

    What an edge passes on is as in :func:`semiring_ell_edge_reduce_vjp`. ``bias`` (..., h) is zeros where there was
    none. The gradient of a broadcast operand is summed over the broadcast dimensions. BOOLEAN is refused.
    """
    name = algebra_name(semiring)
    arrays = (indices, x, weight, bias, slope, y, dy)
    gradients: tuple[Array, Array, Array] = _mlp_vjp(arrays, (name,), out, backend, threads, None, mode)
    return gradients


_conv: Callable[..., Any] = OPS["semiring_ell_conv"].call
_conv_vjp: Callable[..., Any] = OPS["semiring_ell_conv_vjp"].call


def semiring_ell_conv(
    indices: SupportsDLPack,
    x: Array,
    weight: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """Convolution over a graph: a matrix of weights for each slot of a row, as a stencil has one for each offset.

    ``y[..., i, o]`` reduces ``combine(x[..., indices[..., i, s], c], weight[..., s, c, o])`` over the slots s of row i
    and the channels c. First over the channels, with the bits of :func:`semiring_matmul`, then over the slots in their
    order. Padding and rows without neighbours are as in :func:`semiring_ell_matmul`. Products of nodes and slots are
    held for some channels of the result at a time, 64 MB or 16 channels; nothing of m x k x c is stored.

    Parameters
    ----------
    indices : (..., m, k), int32 or int64
        Row i has the neighbours of node i, each in the slot of its weights.
    x : (..., n, c)
        float32 or float64, bool for BOOLEAN.
    weight : (..., k, c, o)
        Of the dtype of ``x``. Leading dimensions of all three broadcast.
    semiring, backend, out, threads, mode
        As for :func:`semiring_matmul`.

    Returns
    -------
    (..., m, o)
    """
    name = algebra_name(semiring)
    y: Array = _conv((indices, x, weight), (name,), out, backend, threads, None, mode)
    return y


def semiring_ell_conv_vjp(
    indices: SupportsDLPack,
    x: Array,
    weight: SupportsDLPack,
    y: SupportsDLPack,
    dy: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    backend: str = "auto",
    out: tuple[SupportsDLPack, SupportsDLPack] | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> tuple[Array, Array]:
    """The gradients of ``sum(dy * y)`` for x and weight, with ``y = semiring_ell_conv(indices, x, weight)``, unchanged.

    Of equal winners of a tropical algebra the first slot's, then the first channel's, receives the gradient. The
    gradient of a broadcast operand is summed over the broadcast dimensions. BOOLEAN is refused: truth values have none.
    """
    name = algebra_name(semiring)
    arrays = (indices, x, weight, y, dy)
    gradients: tuple[Array, Array] = _conv_vjp(arrays, (name,), out, backend, threads, None, mode)
    return gradients


FUNCTIONS[semiring_ell_conv] = (OPS["semiring_ell_conv"], {"semiring": REAL})
FUNCTIONS[semiring_ell_conv_vjp] = (OPS["semiring_ell_conv_vjp"], {"semiring": REAL})
FUNCTIONS[semiring_ell_edge_mlp] = (OPS["semiring_ell_edge_mlp"], {"semiring": REAL})
FUNCTIONS[semiring_ell_edge_mlp_vjp] = (OPS["semiring_ell_edge_mlp_vjp"], {"semiring": REAL})
FUNCTIONS[semiring_ell_edge_reduce] = (OPS["semiring_ell_edge_reduce"], {"semiring": REAL})
FUNCTIONS[semiring_ell_edge_reduce_vjp] = (OPS["semiring_ell_edge_reduce_vjp"], {"semiring": REAL})
FUNCTIONS[semiring_ragged_matmul] = (OPS["semiring_ragged_matmul"], {"semiring": REAL})
FUNCTIONS[semiring_ragged_rmatvec] = (OPS["semiring_ragged_rmatvec"], {"semiring": REAL})
FUNCTIONS[semiring_ell_rmatvec] = (OPS["semiring_ell_rmatvec"], {"semiring": REAL})
FUNCTIONS[reference_semiring_ell_rmatvec] = (OPS["semiring_ell_rmatvec"], {"backend": "naive"})
FUNCTIONS[semiring_ell_matmul_vjp] = (OPS["semiring_ell_matmul_vjp"], {"semiring": REAL})
FUNCTIONS[reference_semiring_ell_matmul] = (OPS["semiring_ell_matmul"], {"backend": "naive"})
