"""Convolution over a graph: a matrix of weights for each slot of a row, as a stencil has one for each offset.

A slot's weights meet the nodes before they are gathered: one product for all nodes and slots, whose rows the edges then
name. So nothing of rows x slots x channels is gathered, and any algebra serves, with a mask or without.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from nitrix.semiring import (
    REAL,
    SEMIRINGS,
    Semiring,
    algebra_name,
    semiring_ell_matmul,
    semiring_ell_matmul_vjp,
    semiring_matmul,
    semiring_matmul_vjp,
)
from nitrix.sparse.structure import ELL, PADDING

# The products of nodes and slots that are held at a time.
BYTES = 64 << 20


def _checked(ell: ELL, x: Any, weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Operands, and where the products of edges are: row node * k + slot."""
    x, weight, at = np.asarray(x), np.asarray(weight), np.asarray(ell.indices)
    k = at.shape[-1]
    if x.ndim < 2 or x.shape[-2] != ell.n_cols:
        raise ValueError(f"semiring_ell_conv: x has shape {x.shape}, must be (..., {ell.n_cols}, c): one row for each "
                         "column of the graph")  # fmt: skip
    if weight.ndim != 3 or weight.shape[:2] != (k, x.shape[-1]):
        raise ValueError(f"semiring_ell_conv: weight has shape {weight.shape}, must be ({k}, {x.shape[-1]}, o): slots "
                         "of a row, channels of x, channels of the result")  # fmt: skip
    if weight.dtype != x.dtype:
        raise TypeError(f"semiring_ell_conv: weight is {weight.dtype}, must be x's {x.dtype}")
    rows = np.where(at >= 0, at.astype(np.int64) * k + np.arange(k), PADDING)
    return x, weight, rows


def _parts(x: np.ndarray, weight: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Some of the result's channels at a time, with their weights as one matrix (c, k * channels)."""
    k, c, o = weight.shape
    each = max(1, x.size // max(c, 1) * k * x.itemsize)
    step = max(16, BYTES // each)
    for first in range(0, o, step):
        part = weight[:, :, first : first + step]
        yield slice(first, first + step), np.ascontiguousarray(part.transpose(1, 0, 2)).reshape(c, -1)


def _values(algebra: Semiring, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Entries that leave a product as the monoid takes it."""
    return np.broadcast_to(x.dtype.type(1 if algebra.name in ("real", "boolean") else 0), rows.shape)


def _by_slot(products: np.ndarray, k: int) -> np.ndarray:
    """(..., n, k * channels) as (..., n * k, channels)."""
    *lead, n, _ = products.shape
    return products.reshape(*lead, n * k, -1)


def semiring_ell_conv(ell: ELL, x: Any, weight: Any, *, semiring: Semiring | str = REAL) -> np.ndarray:
    """``y[i, o]`` reduces ``combine(x[indices[i, s], c], weight[s, c, o])`` over the slots s of row i and channels c.

    Padding contributes nothing. The values of ``ell`` are not used. First over the channels, with the bits of
    :func:`nitrix.semiring.semiring_matmul`, then over the slots in their order; a row of padding alone gives the
    identity.

    Parameters
    ----------
    ell
        Row i has the neighbours of node i, each in the slot of its weights. Its leading dimensions broadcast with x's.
    x : (..., n, c)
        Features of the nodes: float32 or float64, bool for BOOLEAN.
    weight : (k, c, o)
        Of x's dtype.

    Returns
    -------
    (..., m, o)

    Raises
    ------
    ValueError
        If shapes do not fit: which argument, its shape, and what it must be.
    TypeError
        If weight has another dtype than x.
    """
    algebra = SEMIRINGS[algebra_name(semiring)]
    x, weight, rows = _checked(ell, x, weight)
    lead = np.broadcast_shapes(rows.shape[:-2], x.shape[:-2])
    y = np.empty((*lead, rows.shape[-2], weight.shape[2]), x.dtype)
    values = _values(algebra, x, rows)
    for channels, matrix in _parts(x, weight):
        products = _by_slot(semiring_matmul(x, matrix, semiring=algebra), weight.shape[0])
        y[..., channels] = semiring_ell_matmul(values, rows, products, semiring=algebra)
    return y


def semiring_ell_conv_vjp(
    ell: ELL, x: Any, weight: Any, y: Any, dy: Any, *, semiring: Semiring | str = REAL
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of ``sum(dy * y)`` for x and weight, with ``y = semiring_ell_conv(ell, x, weight)``, unchanged.

    Of equal winners of a tropical algebra the first slot's, then the first channel's, receives the gradient. BOOLEAN
    is refused: truth values have none.
    """
    algebra = SEMIRINGS[algebra_name(semiring)]
    x, weight, rows = _checked(ell, x, weight)
    y, dy = np.asarray(y), np.asarray(dy)
    expected = (*np.broadcast_shapes(rows.shape[:-2], x.shape[:-2]), rows.shape[-2], weight.shape[2])
    for name, array in (("y", y), ("dy", dy)):
        if array.shape != expected:
            raise ValueError(f"semiring_ell_conv_vjp: {name} has shape {array.shape}, must be {expected}")
    k, c, _ = weight.shape
    values = _values(algebra, x, rows)
    dx, dweight = np.zeros_like(x), np.empty_like(weight)
    for channels, matrix in _parts(x, weight):
        products = semiring_matmul(x, matrix, semiring=algebra)
        passed = np.ascontiguousarray(y[..., channels]), np.ascontiguousarray(dy[..., channels])
        _, to_products = semiring_ell_matmul_vjp(values, rows, _by_slot(products, k), *passed, semiring=algebra)
        to_x, to_matrix = semiring_matmul_vjp(x, matrix, products, to_products.reshape(products.shape),
                                              semiring=algebra)  # fmt: skip
        dx += to_x
        dweight[:, :, channels] = to_matrix.reshape(c, k, -1).transpose(1, 0, 2)
    return dx, dweight
