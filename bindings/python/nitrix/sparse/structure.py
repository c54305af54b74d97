"""Matrices in ELL form: made from what users have, masked, padded, made dense."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from nitrix._nitrix import make_structure
from nitrix.semiring import SEMIRINGS, Semiring, algebra_name

PADDING = -1

# Structures that are alive, by id: an ELL made from another one's indices shares them.
_structures: "weakref.WeakValueDictionary[int, np.ndarray]" = weakref.WeakValueDictionary()


@dataclass(frozen=True, eq=False)
class ELL:
    """A sparse matrix: in each row, k values and their columns.

    A negative index is padding: the ops read neither its value nor anything for it. Indices that are NumPy arrays are
    checked when the object is made and copied into memory that nobody can write, so that no op checks them again.
    Values are the caller's own, of any array library.
    """

    values: Any
    """(..., m, k)"""
    indices: Any
    """(..., m, k): int32, each below n_cols; leading dimensions broadcast with those of values."""
    n_cols: int
    """How many columns the matrix has."""
    identity: float = 0.0
    """A slot with this value counts as padding too, where an op has to decide (row softmax, self loops)."""

    def __post_init__(self) -> None:
        n_cols = _size("n_cols", self.n_cols)
        object.__setattr__(self, "n_cols", n_cols)
        if isinstance(self.indices, np.ndarray):
            object.__setattr__(self, "indices", _checked(self.indices, n_cols))
        shape = tuple(self.values.shape)
        if len(shape) < 2 or shape[-2:] != tuple(self.indices.shape)[-2:]:
            raise ValueError(
                f"ELL: values has shape {shape} and indices {tuple(self.indices.shape)}: the last two dimensions, rows "
                f"and entries of a row, must be the same"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the matrix that it stands for: (..., m, n_cols)."""
        lead = np.broadcast_shapes(tuple(self.values.shape)[:-2], tuple(self.indices.shape)[:-2])
        return (*lead, int(self.values.shape[-2]), self.n_cols)

    @property
    def k_max(self) -> int:
        """Entries of a row, padding included."""
        return int(self.values.shape[-1])


def _size(name: str, value: Any) -> int:
    try:
        size = int(value.__index__())
    except AttributeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if size < 0:
        raise ValueError(f"{name} must not be negative, got {size}")
    return size


def _checked(indices: np.ndarray, n_cols: int) -> np.ndarray:
    """An int32 copy that cannot be written, with every negative index as -1: a structure, which ops recognise."""
    if indices.dtype.kind not in "iu":
        raise TypeError(f"ELL: indices is {indices.dtype}, must be integers")
    if _structures.get(id(indices)) is indices and indices.max(initial=PADDING) < n_cols:
        return indices
    if indices.dtype not in (np.int32, np.int64):
        indices = indices.astype(np.int64, casting="safe")
    structure: np.ndarray = make_structure(indices, n_cols)
    _structures[id(structure)] = structure
    return structure


def _present(ell: ELL) -> np.ndarray:
    """Which slots are entries: a column, and a value that is not the identity."""
    values = np.asarray(ell.values)
    same = np.isnan(values) if np.isnan(ell.identity) else values == ell.identity
    return (np.asarray(ell.indices) >= 0) & ~same


# ---- Made from ------------------------------------------------------------------------------------------------------


def ell_from_dense(
    dense: Any, *, k_max: int | None = None, threshold: float = 0.0, identity: float = 0.0, symmetrize: bool = False
) -> ELL:
    """The entries of a dense matrix (..., m, n) whose distance from ``identity`` is more than ``threshold``.

    Columns ascend. With ``k_max`` a row keeps its k_max largest in magnitude, of equal ones those of smaller columns;
    without it, k is the most that any row has. An infinite ``identity`` (-inf for MAX_PLUS) leaves out its own value.
    ``symmetrize`` takes the mean of the matrix and its transpose first.
    """
    a = np.asarray(dense)
    if a.ndim < 2:
        raise ValueError(f"ell_from_dense: dense has {a.ndim} dimensions, must have at least 2")
    if symmetrize:
        if a.shape[-1] != a.shape[-2]:
            raise ValueError(f"ell_from_dense: symmetrize needs a square matrix, got {a.shape}")
        a = (a + a.swapaxes(-1, -2)) / a.dtype.type(2) if a.dtype.kind == "f" else a | a.swapaxes(-1, -2)
    if a.dtype == bool:
        kept, rank = a, a.astype(np.int8)
    else:
        with np.errstate(invalid="ignore"):
            kept = (a != identity) if np.isinf(identity) else ~(np.abs(a - a.dtype.type(identity)) <= threshold)
        rank = np.where(np.isnan(a), np.inf, np.abs(a))
    most = int(kept.sum(-1).max(initial=0))
    k = most if k_max is None else _size("k_max", k_max)
    if k < most:
        order = np.argsort(np.where(kept, -rank.astype(np.float64), np.inf), axis=-1, kind="stable")[..., :k]
        strongest = np.zeros_like(kept)
        np.put_along_axis(strongest, order, True, axis=-1)
        kept = kept & strongest
    columns = np.argsort(~kept, axis=-1, kind="stable")[..., :k]  # entries first, ascending
    indices = np.where(np.take_along_axis(kept, columns, -1), columns, PADDING)
    values = np.where(indices >= 0, np.take_along_axis(a, columns, -1), a.dtype.type(identity))
    if k > a.shape[-1]:
        return ell_pad(values, indices, k_max=k, n_cols=a.shape[-1], identity=identity)
    return ELL(values, indices, a.shape[-1], identity)


def _joined(values_per_row: Sequence[Any], rows: list[np.ndarray]) -> np.ndarray:
    """All rows' values, of the dtype of those that have any, or else of what rows are arrays."""
    given = [v for v in rows if len(v)] or [v for v in values_per_row if isinstance(v, np.ndarray)]
    return np.concatenate(given) if given else np.empty(0, np.float32)


def ell_from_ragged(
    values_per_row: Sequence[Any],
    indices_per_row: Sequence[Any],
    *,
    n_cols: int,
    k_max: int | None = None,
    identity: float = 0.0,
) -> ELL:
    """Rows of different lengths, each a sequence of values and one of columns, in their order."""
    if len(values_per_row) != len(indices_per_row):
        raise ValueError(
            f"ell_from_ragged: {len(values_per_row)} rows of values, {len(indices_per_row)} of indices: must be as many"
        )
    rows = [np.asarray(v) for v in values_per_row]
    columns = [np.asarray(i, dtype=None if len(i) else np.int32) for i in indices_per_row]
    for number, (v, i) in enumerate(zip(rows, columns, strict=True)):
        if v.shape != i.shape or v.ndim != 1:
            raise ValueError(f"ell_from_ragged: row {number} has {v.shape} values and {i.shape} indices")
    counts = np.array([len(i) for i in columns], np.int64)
    flat = np.concatenate(columns) if len(columns) else np.empty(0, np.int32)
    data = _joined(values_per_row, rows)
    return _from_counts(data, flat, counts, n_cols, k_max, identity, "ell_from_ragged")


def ell_from_csr(
    data: Any, indices: Any, indptr: Any, *, n_cols: int, k_max: int | None = None, identity: float = 0.0
) -> ELL:
    """The three arrays of a matrix in CSR form (SciPy's ``data``, ``indices``, ``indptr``), entries in their order."""
    starts = np.asarray(indptr)
    counts = np.diff(starts)
    if starts.ndim != 1 or not len(starts) or starts[0] != 0 or (counts < 0).any() or starts[-1] != len(indices):
        raise ValueError(
            "ell_from_csr: indptr must ascend from 0 to the number of entries, one more than there are rows"
        )
    return _from_counts(np.asarray(data), np.asarray(indices), counts, n_cols, k_max, identity, "ell_from_csr")


def ell_from_edges(
    rows: Any,
    columns: Any,
    values: Any = None,
    *,
    n_rows: int,
    n_cols: int | None = None,
    k_max: int | None = None,
    identity: float = 0.0,
    dtype: Any = np.float32,
) -> ELL:
    """A list of entries (row, column, value), in any order; without values each is 1 (of ``dtype``).

    Entries of a row keep the order of the list. One that comes twice is there twice.
    """
    r, c = np.asarray(rows), np.asarray(columns)
    v = np.ones(r.shape, dtype) if values is None else np.asarray(values)
    if r.ndim != 1 or r.shape != c.shape or r.shape != v.shape:
        raise ValueError(
            f"ell_from_edges: rows {r.shape}, columns {c.shape} and values {v.shape} must be lists as long"
        )
    m = _size("n_rows", n_rows)
    if len(r) and (r.dtype.kind not in "iu" or r.min() < 0 or r.max() >= m):
        raise ValueError(f"ell_from_edges: rows must be integers from 0 to n_rows - 1, {m - 1}")
    order = np.argsort(r, kind="stable")
    counts = np.bincount(r, minlength=m) if len(r) else np.zeros(m, np.int64)
    return _from_counts(v[order], c[order], counts, m if n_cols is None else n_cols, k_max, identity, "ell_from_edges")


def _from_counts(
    data: np.ndarray,
    columns: np.ndarray,
    counts: np.ndarray,
    n_cols: int,
    k_max: int | None,
    identity: float,
    name: str,
) -> ELL:
    if columns.dtype.kind not in "iu":
        raise TypeError(f"{name}: indices are {columns.dtype}, must be integers")
    most = int(counts.max(initial=0))
    k = most if k_max is None else _size("k_max", k_max)
    if k < most:
        raise ValueError(f"{name}: row {int(counts.argmax())} has {most} entries, more than k_max, {k}")
    filled = np.arange(k) < counts[:, None]
    values = np.full((len(counts), k), data.dtype.type(identity))
    indices = np.full((len(counts), k), PADDING, np.int64)
    values[filled], indices[filled] = data, columns
    return ELL(values, indices, n_cols, identity)


# ---- Changed --------------------------------------------------------------------------------------------------------


def ell_pad(
    values: Any, indices: Any, *, k_max: int, n_cols: int, identity: float = 0.0, pad_index: int = PADDING
) -> ELL:
    """Arrays (..., m, k) as an ELL with ``k_max`` entries in a row, the new ones of value ``identity``.

    The new index is negative unless ``pad_index`` says otherwise: then the op does read that column, and only an
    ``identity`` that is the semiring's annihilator makes it contribute nothing.
    """
    v, i = np.asarray(values), np.asarray(indices)
    more = _size("k_max", k_max) - v.shape[-1]
    if more < 0:
        raise ValueError(f"ell_pad: k_max is {k_max}, must be at least the {v.shape[-1]} entries that a row has")
    width = [(0, 0)] * (v.ndim - 1) + [(0, more)]
    padded = np.pad(v, width, constant_values=v.dtype.type(identity))
    return ELL(padded, np.pad(i, [(0, 0)] * (i.ndim - 1) + [(0, more)], constant_values=pad_index), n_cols, identity)


_UNSET: Any = object()


def ell_mask(ell: ELL, valid: Any, *, identity: float = _UNSET, semiring: Semiring | str | None = None) -> ELL:
    """Leaves out the entries where ``valid``, which broadcasts to the values, is false.

    Exactly one of the two keywords says what their value becomes: ``identity`` itself, or the annihilator of
    ``semiring``. EUCLIDEAN has none (no number is infinitely close to every other), so it is refused; ``identity=``
    works with any semiring, because the index of such an entry becomes negative and its value is never read.
    """
    if (identity is _UNSET) == (semiring is None):
        raise ValueError("ell_mask: give exactly one of identity= and semiring=")
    if semiring is not None:
        algebra = SEMIRINGS[algebra_name(semiring)]
        if algebra.annihilator is None:
            raise ValueError(
                f"ell_mask: {algebra.name} has no annihilator, a value whose product with anything is the identity: "
                f"nothing can be masked by value; give identity= instead"
            )
        identity = algebra.annihilator
    values = np.asarray(ell.values)
    keep = np.broadcast_to(np.asarray(valid, bool), np.broadcast_shapes(values.shape, ell.indices.shape))
    shown = np.where(keep, values, values.dtype.type(identity))
    return ELL(shown, np.where(keep, np.asarray(ell.indices), PADDING), ell.n_cols, float(identity))


def ell_add_self_loops(
    ell: ELL,
    edge_attr: Any = None,
    *,
    fill: Literal["mean", "add", "zero"] = "mean",
    self_value: float = 1.0,
) -> tuple[ELL, np.ndarray | None]:
    """One more entry in each row i, the last: column i with ``self_value``. A row that has column i gets it again.

    ``edge_attr`` (..., m, k, d), if there is one, gets the attribute of the new entry: the mean or the sum of the row's
    (padding left out), or zero.
    """
    m = int(ell.values.shape[-2])
    if m > ell.n_cols:
        raise ValueError(f"ell_add_self_loops: row {ell.n_cols} of {m} has no column of its number")
    if fill not in ("mean", "add", "zero"):
        raise ValueError(f"ell_add_self_loops: fill is {fill!r}, must be 'mean', 'add' or 'zero'")
    values, indices = np.asarray(ell.values), np.asarray(ell.indices)
    own = np.broadcast_to(np.arange(m)[:, None], (*indices.shape[:-1], 1))
    looped = replace(
        ell,
        values=np.concatenate([values, np.full((*values.shape[:-1], 1), values.dtype.type(self_value))], axis=-1),
        indices=np.concatenate([indices, own], axis=-1),
    )
    if edge_attr is None:
        return looped, None
    attributes = np.asarray(edge_attr)
    if attributes.ndim < 3 or attributes.shape[-3:-1] != indices.shape[-2:]:
        raise ValueError(f"ell_add_self_loops: edge_attr has shape {attributes.shape}, must be (..., m, k, d)")
    present = _present(ell)[..., None]
    total = np.where(present, attributes, 0).sum(-2, keepdims=True, dtype=attributes.dtype)
    if fill == "mean":
        total = total / np.maximum(present.sum(-2, keepdims=True), 1).astype(attributes.dtype)
    elif fill == "zero":
        total = np.zeros_like(total)
    return looped, np.concatenate([np.broadcast_to(attributes, (*total.shape[:-2], *attributes.shape[-2:])), total], -2)


def ell_to_dense(ell: ELL) -> np.ndarray:
    """(..., m, n_cols), ``identity`` where there is no entry. Of a column that comes twice in a row the values add up,
    or with an infinite identity (the tropical algebras, LOG) the last one stands."""
    shape = ell.shape
    lead = shape[:-2]
    values = np.broadcast_to(np.asarray(ell.values), (*lead, *ell.values.shape[-2:]))
    indices = np.broadcast_to(np.asarray(ell.indices), (*lead, *ell.indices.shape[-2:]))
    dense = np.full(shape, values.dtype.type(ell.identity))
    at = np.nonzero(indices >= 0)
    where = (*at[:-1], indices[at])
    if values.dtype == bool:
        np.logical_or.at(dense, where, values[at])
    elif np.isfinite(ell.identity):
        np.add.at(dense, where, values[at] - values.dtype.type(ell.identity))
    else:
        dense[where] = values[at]
    return dense
