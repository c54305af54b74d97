"""Convolutions: what is measured, and beside whom."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from draws import values

Call = Callable[[], object]


def is_plane(problem) -> bool:
    """Whether there is one channel in and one out, all that an image filter knows."""
    return problem.a.shape[-1] == problem.out.shape[-1] == 1


def is_layer(problem) -> bool:
    """Whether every channel out reads every channel in: not so where each has a kernel of its own."""
    return problem.b.ndim > problem.a.ndim


# Spatial sizes, window, channels in and out: a layer, small images, a single channel, no neighbours.
SHAPES = (
    ((512, 512), (3, 3), 16, 32),
    ((128, 128), (3, 3), 16, 32),
    ((512, 512), (1, 1), 64, 64),
    ((1024, 1024), (5, 5), 1, 1),
    ((128, 128, 128), (3, 3, 3), 1, 1),
    ((128, 128, 128), (7, 7, 7), 1, 1),
)

# Spatial sizes, window, channels with a kernel each.
DEPTHWISE = (((512, 512), (3, 3), 64),)


def cases(Case, algebra: str, dtype: str, of_x: bool = False) -> Iterator[object]:
    """The cases of semiring_conv; `of_x`: what is compared has the shape of x, as its gradient has."""
    for spatial, window, c_in, c_out in SHAPES:

        def make(rng: np.random.Generator, spatial=spatial, window=window, c_in=c_in, c_out=c_out):
            shapes, depth = ((*spatial, c_in), (*window, c_in, c_out)), int(np.prod(window)) * c_in
            return tuple(values(rng, dtype, shape, depth) for shape in shapes)

        positions, taps = int(np.prod(spatial)), int(np.prod(window))
        item = np.dtype(dtype).itemsize
        size = f"{'x'.join(map(str, spatial))} {'x'.join(map(str, window))} {c_in} to {c_out}"
        yield Case(
            op="semiring_conv",
            algebra=algebra,
            dtype=dtype,
            size=size,
            make=make,
            operations=2.0 * positions * taps * c_in * c_out,
            bytes=float(item * (positions * (c_in + c_out) + taps * c_in * c_out)),
            out_shape=(*spatial, c_in if of_x else c_out),
            quick=spatial == (128, 128),
        )
    for spatial, window, channels in DEPTHWISE:

        def make_each(rng: np.random.Generator, spatial=spatial, window=window, channels=channels):
            return tuple(values(rng, dtype, (*sizes, channels), int(np.prod(window))) for sizes in (spatial, window))

        positions, taps, item = int(np.prod(spatial)), int(np.prod(window)), np.dtype(dtype).itemsize
        yield Case(
            op="semiring_conv",
            algebra=algebra,
            dtype=dtype,
            size=f"{'x'.join(map(str, spatial))} {'x'.join(map(str, window))} {channels} depthwise",
            make=make_each,
            operations=2.0 * positions * taps * channels,
            bytes=float(item * channels * (2 * positions + taps)),
            out_shape=(*spatial, channels),
        )


def as_arguments(x: np.ndarray, k: np.ndarray, *images: np.ndarray) -> tuple[np.ndarray, ...]:
    """x, k and arrays shaped as x or the result, as nitrix takes them: channels with a kernel each are a leading
    dimension, views."""
    if k.ndim > x.ndim:
        return x, k, *images
    x, *images = (np.moveaxis(a, -1, 0)[..., None] for a in (x, *images))
    return x, np.moveaxis(k, -1, 0)[..., None, None], *images


def call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    """nitrix, SAME."""
    conv, rank = nitrix.semiring.semiring_conv, len(case.out_shape) - 1
    x, k, y = as_arguments(*inputs, out)
    return lambda: conv(x, k, semiring=case.algebra, spatial_rank=rank, out=y, threads=threads)


def gradient_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """Those of semiring_conv_vjp, forward and backward."""
    for case in cases(Case, algebra, dtype, of_x=True):
        yield replace(case, op="semiring_conv_vjp", operations=3 * case.operations)


def gradient_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    """The convolution and both gradients of the sum of its entries."""
    s, result = nitrix.semiring, np.empty((*out.shape[:-1], inputs[1].shape[-1]), out.dtype)
    x, k, y, gradient, of_x = as_arguments(*inputs, result, np.ones_like(result), out)
    of_k = np.empty_like(k)
    options = {"semiring": case.algebra, "spatial_rank": len(case.out_shape) - 1, "threads": threads}

    def run() -> None:
        s.semiring_conv(x, k, out=y, **options)
        s.semiring_conv_vjp(x, k, y, gradient, out=(of_x, of_k), **options)

    return run


def bind_scipy_morphology(problem) -> tuple[Call, np.ndarray]:
    """Grey dilation and erosion."""
    from scipy import ndimage

    x, k, out = problem.a[..., 0], problem.b[..., 0, 0], problem.result()
    largest, y = problem.algebra == "tropical_max_plus", out[..., 0]
    # Grey dilation reflects its structure, erosion subtracts it. Borders are filled with the identity.
    structure = np.ascontiguousarray(np.flip(k)) if largest else -k
    function, border = (ndimage.grey_dilation, -np.inf) if largest else (ndimage.grey_erosion, np.inf)
    return lambda: function(x, structure=structure, output=y, mode="constant", cval=border), out


def bind_scipy_correlate(problem) -> tuple[Call, np.ndarray]:
    """correlate of SciPy."""
    from scipy import ndimage

    x, k, out = problem.a[..., 0], problem.b[..., 0, 0], problem.result()
    y = out[..., 0]
    return lambda: ndimage.correlate(x, k, output=y, mode="constant"), out


def bind_patches(problem) -> tuple[Call, np.ndarray]:
    """The patches side by side, then one product by OpenBLAS: what NumPy's users write."""
    x, k, out = problem.a, problem.b, problem.result()
    window, rank = k.shape[:-2], x.ndim - 1
    padded = np.zeros((*(n + w - 1 for n, w in zip(x.shape[:-1], window, strict=True)), x.shape[-1]), x.dtype)
    inner = tuple(slice((w - 1) // 2, (w - 1) // 2 + n) for n, w in zip(x.shape[:-1], window, strict=True))
    views = np.lib.stride_tricks.sliding_window_view(padded, window, axis=tuple(range(rank)))
    views = np.moveaxis(views, rank, -1)  # the channels last
    patches, weights = np.empty(views.shape, x.dtype), k.reshape(-1, k.shape[-1])

    def run() -> None:
        padded[inner] = x
        np.copyto(patches, views)
        np.matmul(patches.reshape(-1, weights.shape[0]), weights, out=out.reshape(-1, k.shape[-1]))

    return run, out


def bind_numba(problem) -> tuple[Call, np.ndarray]:
    """Compiled loops over a padded copy."""
    import loops

    out = problem.result()
    x, k = problem.a, problem.b
    padded, inner = loops.padded_for(problem.algebra, x, k)
    convolve = loops.convolution(problem.algebra, x.ndim - 1, k.shape, problem.threads > 1)

    def run() -> None:
        padded[inner] = x
        convolve(padded, k, out)

    run()  # compiles
    return run, out


def bind_numba_gradient(problem) -> tuple[Call, np.ndarray]:
    """Compiled loops that remember each output's winner and add to what it read, single-threaded."""
    import loops

    x, k = problem.a, problem.b
    dy = np.ones((*x.shape[:-1], k.shape[-1]), x.dtype)
    padded, inner = loops.padded_for(problem.algebra, x, k)
    dx, dk = np.empty_like(padded), np.empty_like(k)
    backward = loops.convolution_gradient(problem.algebra, x.ndim - 1)

    def run() -> None:
        padded[inner] = x
        dx[...] = dk[...] = 0
        backward(padded, k, dy, dx, dk)

    run()  # compiles
    return run, dx[inner]


def _of_torch(torch, problem):
    """The operands as torch has them, channels last in memory, and its function."""
    rank = problem.a.ndim - 1
    layout = {2: torch.channels_last, 3: torch.channels_last_3d}[rank]
    weights, groups = (problem.b, 1) if is_layer(problem) else (problem.b[..., None, :], problem.a.shape[-1])
    x = torch.from_numpy(np.moveaxis(problem.a, -1, 0)[None].copy()).to(memory_format=layout)
    k = torch.from_numpy(np.moveaxis(weights, (-1, -2), (0, 1)).copy()).to(memory_format=layout)
    return x, k, partial(getattr(torch.nn.functional, f"conv{rank}d"), groups=groups)


def bind_torch(problem) -> tuple[Call, np.ndarray]:
    """torch, channels last."""
    import torch

    torch.set_num_threads(problem.threads)
    x, k, function = _of_torch(torch, problem)
    y = function(x, k, padding="same")

    def run() -> None:
        y.copy_(function(x, k, padding="same"))

    return run, y[0].movedim(0, -1).numpy()


def bind_torch_gradient(problem) -> tuple[Call, np.ndarray]:
    """torch forward and backward, channels last."""
    import torch

    torch.set_num_threads(problem.threads)
    x, k, function = _of_torch(torch, problem)
    x.requires_grad_(), k.requires_grad_()
    gradient, of_x = torch.ones_like(function(x, k, padding="same")), torch.empty_like(x)

    def run() -> None:
        of_x.copy_(torch.autograd.grad(function(x, k, padding="same"), (x, k), gradient)[0])

    return run, of_x[0].movedim(0, -1).numpy()
