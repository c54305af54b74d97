"""Convolutions over semirings; public through nitrix.semiring."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from nitrix._kinds import Array, SupportsDLPack
from nitrix._memory import empty
from nitrix._ops import FUNCTIONS, OPS
from nitrix.semiring import REAL, Semiring, algebra_name

_convolve: Callable[..., Any] = OPS["semiring_conv"].call
Padding = str | Sequence[Sequence[int]]


def padding_attributes(padding: Padding) -> tuple[str | None, list[int] | None]:
    """The attributes ``padding`` and ``pads`` of the library: one of them is None."""
    if isinstance(padding, str):
        return padding, None
    if not isinstance(padding, Sequence):
        raise TypeError(f"padding must be 'SAME', 'VALID' or pairs of integers, got {type(padding).__name__}")
    pads: list[int] = []
    for pair in padding:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"padding: {pair!r} must be a pair (before, after), one for each spatial dimension")
        pads += pair
    if not pads:
        raise ValueError("padding: has no pairs, must have one for each spatial dimension")
    return None, pads


def _attributes(
    semiring: Any, stride: Any, padding: Padding, dilation: Any, spatial_rank: int | None
) -> tuple[Any, ...]:
    """What the library takes, in its order."""
    mode, pads = padding_attributes(padding)
    return (algebra_name(semiring), stride, mode, pads, dilation, spatial_rank)


def semiring_conv(
    x: Array,
    k: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    spatial_rank: int | None = None,
    backend: str = "auto",
    out: SupportsDLPack | None = None,
    threads: int = 0,
    variant: str | None = None,
    mode: Literal["off", "on", "verify"] | None = None,
) -> Array:
    """Convolution (cross-correlation) over a semiring, in 1, 2 or 3 spatial dimensions.

    ``y[..., p, o] = reduce over q and c of combine(x[..., p * stride + q * dilation - before, c], k[..., q, c, o])``,
    with the semiring's two operations: for REAL the ordinary convolution of neural networks, for TROPICAL_MAX_PLUS a
    grey dilation. A position outside x contributes nothing, whatever the semiring: it is skipped, not a zero. No array
    of patches is formed. The order of the reduction depends on shapes alone.

    Parameters
    ----------
    x : (..., *spatial, c_in)
    k : (..., *window, c_in, c_out)
        Arrays of one dtype: float32 or float64. Leading dimensions broadcast, so that a k with some is a kernel for
        each item: a depthwise convolution has the channels there, as in ``np.moveaxis(image, -1, 0)[..., None]``. It is
        fastest where they are innermost in memory; then they are in the result too. Any strides.
    semiring
        One of the constants of this module, or its name.
    stride, dilation
        Steps of the output and of the kernel: a number, or one for each spatial dimension.
    padding
        "SAME": ceil(size / stride) positions, padded as XLA and TensorFlow do (the odd position behind); "VALID": where
        the kernel fits; or a pair (before, after) for each spatial dimension.
    spatial_rank
        How many spatial dimensions there are; None: all dimensions of k but the last two.
    backend, out, threads, variant, mode
        As for :func:`semiring_matmul`.

    Returns
    -------
    (..., *out, c_out)
        The result, of the dtype and kind of x. A kernel that nowhere fits (VALID, larger than x) gives an empty array;
        an output that no position of x reaches, and every output where c_in is 0, is the semiring's identity. A stride
        larger than x gives one output along that axis; with "SAME", an x of one position gives one, of the tap that
        meets it.

    Raises
    ------
    As :func:`semiring_matmul`; ValueError also for a kernel without taps, a stride, dilation or padding out of range or
    of another length than the spatial dimensions.
    """
    attributes = _attributes(semiring, stride, padding, dilation, spatial_rank)
    if out is None and isinstance(x, np.ndarray) and (made := _channels_innermost(x, k, attributes)) is not None:
        out = made
    result: Array = _convolve((x, k), attributes, out, backend, threads, variant, mode)
    return result


def _channels_innermost(x: np.ndarray, k: Any, attributes: tuple[Any, ...]) -> np.ndarray | None:
    """Where the last leading dimension of x is its innermost in memory: a result that lies likewise."""
    axis = x.ndim - 2 - (attributes[-1] or np.ndim(k) - 2)
    if axis < 0 or x.shape[-1] != 1 or x.shape[axis] < 2 or x.strides[axis] != x.itemsize:
        return None
    shape = OPS["semiring_conv"].output_shape((x, k), attributes)
    if len(shape) != x.ndim or shape[-1] != 1:
        return None
    return np.moveaxis(empty((*shape[:axis], *shape[axis + 1 :], shape[axis]), x.dtype), -1, axis)


_convolve_back: Callable[..., Any] = OPS["semiring_conv_vjp"].call


def semiring_conv_vjp(
    x: Array,
    k: SupportsDLPack,
    y: SupportsDLPack,
    dy: SupportsDLPack,
    *,
    semiring: Semiring | str = REAL,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    spatial_rank: int | None = None,
    backend: str = "auto",
    out: tuple[SupportsDLPack, SupportsDLPack] | None = None,
    threads: int = 0,
    mode: Literal["off", "on", "verify"] | None = None,
) -> tuple[Array, Array]:
    """Vector-Jacobian product of :func:`semiring_conv`: the gradients of ``sum(dy * y)`` with respect to x and k.

    With ``w`` the derivative of an output by one of its terms, dx sums ``dy * w`` over the outputs that read an element
    of x, dk over those that a tap serves. w is as for :func:`semiring_matmul_vjp`: the other operand for REAL; 1 at the
    first winning term (taps in row-major order, for each its channels) and 0 elsewhere for the tropical algebras; the
    softmax for LOG; ``(x - k) / y`` for EUCLIDEAN, 0 where y is 0. No array of patches is formed, and the bits do not
    depend on the number of threads.

    Parameters
    ----------
    x : (..., *spatial, c_in)
    k : (..., *window, c_in, c_out)
    y : (..., *out, c_out)
        ``semiring_conv(x, k, ...)`` with the same options, unchanged.
    dy : (..., *out, c_out)
        The gradient with respect to y. All of one dtype, float32 or float64.
    semiring
        Any but BOOLEAN, whose truth values have no gradient.
    stride, padding, dilation, spatial_rank, backend, threads, mode
        As for :func:`semiring_conv`.
    out
        Two arrays that receive dx and dk, if given.

    Returns
    -------
    dx, dk
        Of the shapes of x and k: a broadcast operand's gradient is summed over the broadcast dimensions.
    """
    attributes = _attributes(semiring, stride, padding, dilation, spatial_rank)
    both: tuple[Array, Array] = _convolve_back((x, k, y, dy), attributes, out, backend, threads, None, mode)
    return both


def reference_semiring_conv(
    x: Array,
    k: SupportsDLPack,
    *,
    semiring: Semiring | str,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    spatial_rank: int | None = None,
) -> Array:
    """:func:`semiring_conv` by the naive variant: the same bits, from the shortest path through the code."""
    attributes = _attributes(semiring, stride, padding, dilation, spatial_rank)
    result: Array = _convolve((x, k), attributes, None, "naive", 0, None, None)
    return result


FUNCTIONS[semiring_conv_vjp] = (OPS["semiring_conv_vjp"], {"semiring": REAL})
FUNCTIONS[semiring_conv] = (OPS["semiring_conv"], {"semiring": REAL})
FUNCTIONS[reference_semiring_conv] = (OPS["semiring_conv"], {"backend": "naive"})
