"""Products of matrices in ELL form; public through nitrix.semiring."""

from collections.abc import Callable
from typing import Any, Literal

from nitrix._kinds import Array, SupportsDLPack
from nitrix._ops import FUNCTIONS, OPS
from nitrix.semiring import REAL, Semiring, algebra_name

_matmul: Callable[..., Any] = OPS["semiring_ell_matmul"].call


def _check_columns(op: str, rows: int, n_cols: int | None) -> None:
    if n_cols is not None and n_cols != rows:
        raise ValueError(f"{op}: B has {rows} rows, so n_cols must be {rows} or None, got {n_cols}")


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
        Of the dtype of ``values``: float32 or float64, or bool for BOOLEAN. Leading dimensions of all three broadcast.
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


FUNCTIONS[semiring_ell_matmul] = (OPS["semiring_ell_matmul"], {"semiring": REAL})
FUNCTIONS[reference_semiring_ell_matmul] = (OPS["semiring_ell_matmul"], {"backend": "naive"})
