"""Sparse matrices whose rows differ in length: sections of rows about as long, in place of padding to the longest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nitrix._nitrix import make_ragged_structure
from nitrix.semiring import (
    REAL,
    Semiring,
    semiring_ell_matmul_vjp,
    semiring_ragged_matmul,
    semiring_ragged_rmatvec,
)
from nitrix.sparse.structure import ELL, PADDING, _joined, _size

BucketBy = Callable[[np.ndarray], Any]


@dataclass(frozen=True, eq=False)
class SectionedELL:
    """Entries row after row, computed in sections of rows about as long. Results stand in the order of the rows."""

    values: Any
    """(..., v): all entries, row after row."""
    indices: Any
    """(v,), int32: their columns. Checked and copied when the object is made; a negative one is padding."""
    counts: np.ndarray
    """(m,), int32: how many entries each row has."""
    n_cols: int
    buckets: np.ndarray
    """(m,): the number of each row's section."""
    identity: float = 0.0

    @property
    def n_rows(self) -> int:
        return len(self.counts)

    @property
    def shape(self) -> tuple[int, int]:
        return (self.n_rows, self.n_cols)

    @property
    def n_buckets(self) -> int:
        return len(np.unique(self.buckets))

    @property
    def total_storage(self) -> int:
        """Entries that the sections hold, padding included: in each, rows times the longest of them."""
        if not self.n_rows:
            return 0
        depth = np.zeros(int(self.buckets.max()) + 1, np.int64)
        np.maximum.at(depth, self.buckets, np.maximum(self.counts, 1))
        return int(depth[self.buckets].sum())

    @property
    def sections(self) -> list[tuple[np.ndarray, ELL]]:
        """Of each section the numbers of its rows, and these as an ELL of their own (a copy)."""
        starts = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        found = []
        for number in np.unique(self.buckets):
            rows = np.flatnonzero(self.buckets == number)
            counts = self.counts[rows]
            slots = np.arange(max(int(counts.max()), 1))
            inside = slots < counts[:, None]
            at = np.where(inside, starts[rows][:, None] + slots, 0)
            values = np.asarray(self.values)
            if not values.shape[-1]:
                taken = np.full((*values.shape[:-1], *at.shape), values.dtype.type(self.identity))
                found.append((rows, ELL(taken, np.full(at.shape, PADDING), self.n_cols, self.identity)))
                continue
            taken = np.where(inside, values[..., at], values.dtype.type(self.identity))
            indices = np.where(inside, np.asarray(self.indices)[at], PADDING)
            found.append((rows, ELL(taken, indices, self.n_cols, self.identity)))
        return found


def _buckets(counts: np.ndarray, bucket_by: BucketBy | None) -> np.ndarray:
    if bucket_by is None:  # ceil(log2(count)), exactly
        return np.array([max(int(c) - 1, 0).bit_length() for c in counts], np.int32)
    numbers = np.asarray(bucket_by(counts))
    if numbers.shape != counts.shape or numbers.dtype.kind not in "iu" or (numbers < 0).any():
        raise ValueError(
            f"sectioned_ell_from_ragged: bucket_by gave {numbers.dtype} of shape {numbers.shape}, must give an integer "
            f"that is not negative for each of the {len(counts)} rows"
        )
    return numbers.astype(np.int32)


def sectioned_ell_from_ragged(
    values_per_row: Sequence[Any],
    indices_per_row: Sequence[Any],
    *,
    n_cols: int,
    identity: float = 0.0,
    bucket_by: BucketBy | None = None,
) -> SectionedELL:
    """Rows of different lengths, each a sequence of values and one of columns.

    Sections are by ceil(log2(entries)), so that what is stored is less than twice the entries (and one for each row
    without any); or by ``bucket_by``, which is called with the numbers of entries (m,) and gives each row's section.
    """
    if len(values_per_row) != len(indices_per_row):
        raise ValueError(
            f"sectioned_ell_from_ragged: {len(values_per_row)} rows of values, {len(indices_per_row)} of indices: "
            f"must be as many"
        )
    rows, columns = [np.asarray(v) for v in values_per_row], [np.asarray(i) for i in indices_per_row]
    for number, (v, i) in enumerate(zip(rows, columns, strict=True)):
        if v.ndim != 1 or v.shape != i.shape:
            raise ValueError(f"sectioned_ell_from_ragged: row {number} has {v.shape} values and {i.shape} indices")
        if len(i) and i.dtype.kind not in "iu":
            raise TypeError(f"sectioned_ell_from_ragged: the indices of row {number} are {i.dtype}, must be integers")
    counts = np.array([len(i) for i in columns], np.int32)
    values = _joined(values_per_row, rows)
    flat = [i.astype(np.int64) for i in columns if len(i)]
    buckets = _buckets(counts, bucket_by)
    n = _size("n_cols", n_cols)
    indices = make_ragged_structure(np.concatenate(flat) if flat else np.empty(0, np.int64), counts, buckets, n)
    return SectionedELL(values, indices, counts, n, buckets, identity)


def sectioned_semiring_ell_matmul(
    sectioned: SectionedELL, B: Any, *, semiring: Semiring | str = REAL, backend: str = "auto", threads: int = 0
) -> Any:
    """:func:`nitrix.semiring.semiring_ell_matmul` with a sectioned matrix: (..., n_rows, d), rows in their order."""
    s = sectioned
    return semiring_ragged_matmul(s.values, s.indices, s.counts, B, semiring=semiring, backend=backend, threads=threads)


def sectioned_semiring_ell_rmatvec(
    sectioned: SectionedELL, X: Any, *, semiring: Semiring | str = REAL, backend: str = "auto", threads: int = 0
) -> Any:
    """:func:`nitrix.semiring.semiring_ell_rmatvec` with a sectioned matrix: (..., n_cols, d)."""
    s = sectioned
    return semiring_ragged_rmatvec(
        s.values, s.indices, s.counts, X, semiring=semiring, n_cols=s.n_cols, backend=backend, threads=threads
    )


def sectioned_semiring_ell_matmul_vjp(
    sectioned: SectionedELL, B: Any, C: Any, dC: Any, *, semiring: Semiring | str = REAL, threads: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of :func:`sectioned_semiring_ell_matmul` for the values (v,) and for B, section after section."""
    b, c, g = np.asarray(B), np.asarray(C), np.asarray(dC)
    starts = np.concatenate([[0], np.cumsum(sectioned.counts, dtype=np.int64)])
    dvalues, db = np.zeros(np.asarray(sectioned.values).shape, b.dtype), np.zeros_like(b)
    for rows, ell in sectioned.sections:
        own, part = semiring_ell_matmul_vjp(
            ell.values, ell.indices, b, c[rows], g[rows], semiring=semiring, threads=threads
        )
        inside = np.arange(ell.k_max) < sectioned.counts[rows][:, None]
        dvalues[(starts[rows][:, None] + np.arange(ell.k_max))[inside]] = own[inside]
        db += part
    return dvalues, db
