"""Convolution over a graph held as an :class:`ELL`: :func:`nitrix.semiring.semiring_ell_conv` with its indices."""

from typing import Any

import numpy as np

from nitrix import semiring as ops
from nitrix.semiring import REAL, Semiring
from nitrix.sparse.structure import ELL


def _nodes(ell: ELL, x: Any) -> np.ndarray:
    features = np.asarray(x)
    if features.ndim < 2 or features.shape[-2] != ell.n_cols:
        raise ValueError(
            f"semiring_ell_conv: x has shape {features.shape}, must be (..., {ell.n_cols}, c): one row for each column "
            "of the graph"
        )
    return features


def semiring_ell_conv(
    ell: ELL, x: Any, weight: Any, *, semiring: Semiring | str = REAL, threads: int = 0
) -> np.ndarray:
    """``y[i, o]`` reduces ``combine(x[indices[i, s], c], weight[s, c, o])`` over the slots s of row i and channels c.

    Padding contributes nothing. The values of ``ell`` are not used. A row of padding alone gives the identity. The
    order of the reduction and what is held are those of :func:`nitrix.semiring.semiring_ell_conv`.

    Parameters
    ----------
    ell
        Row i has the neighbours of node i, each in the slot of its weights. Leading dimensions broadcast.
    x : (..., n, c)
        Features of the nodes: float32 or float64, bool for BOOLEAN.
    weight : (..., k, c, o)
        Of x's dtype.
    threads
        0: those of the default context.

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
    y: np.ndarray = ops.semiring_ell_conv(
        ell.indices, _nodes(ell, x), np.asarray(weight), semiring=semiring, threads=threads
    )
    return y


def semiring_ell_conv_vjp(
    ell: ELL, x: Any, weight: Any, y: Any, dy: Any, *, semiring: Semiring | str = REAL, threads: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of ``sum(dy * y)`` for x and weight, with ``y = semiring_ell_conv(ell, x, weight)``, unchanged.

    Of equal winners of a tropical algebra the first slot's, then the first channel's, receives the gradient. BOOLEAN
    is refused: truth values have none.
    """
    arrays = [np.asarray(a) for a in (weight, y, dy)]
    dx, dweight = ops.semiring_ell_conv_vjp(ell.indices, _nodes(ell, x), *arrays, semiring=semiring, threads=threads)
    return dx, dweight
