"""REAL convolutions and their gradients are torch's, over all options."""

import numpy as np
import pytest

from nitrix.semiring import semiring_conv, semiring_conv_vjp

torch = pytest.importorskip("torch")

CASES = [
    # x without channels, window, c_in, c_out, stride, padding, dilation, groups
    ((50,), (5,), 3, 20, 1, 0, 1, 1),
    ((50,), (4,), 4, 6, 3, 2, 2, 2),
    ((21, 30), (3, 3), 5, 33, 1, 1, 1, 1),
    ((21, 30), (3, 2), 4, 8, (2, 3), (1, 0), (1, 2), 1),
    ((21, 30), (1, 1), 12, 20, 1, 0, 1, 1),
    ((21, 30), (1, 1), 12, 20, 2, 0, 1, 1),
    ((21, 30), (3, 3), 24, 24, 1, 1, 1, 24),
    ((21, 30), (5, 3), 40, 40, (1, 2), (2, 1), (2, 1), 40),
    ((20, 40), (5, 5), 1, 1, 1, 2, 1, 1),
    ((6, 9, 14), (3, 3, 3), 2, 5, (1, 2, 2), 1, 1, 1),
    ((6, 9, 14), (2, 3, 3), 1, 1, 1, (1, 2, 0), (1, 2, 1), 1),
    ((6, 9, 14), (3, 3, 3), 18, 18, 1, 1, 1, 18),
]


def grouped(image, kernel, groups):
    """Channels-last arrays with the groups as a leading dimension of both, views."""
    n = kernel.shape[-1] // groups
    x = np.moveaxis(image.reshape(*image.shape[:-1], groups, -1), -2, -kernel.ndim)
    k = np.moveaxis(kernel.reshape(*kernel.shape[:-1], groups, n), -2, 0)
    return x, k


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_and_gradients_are_torchs(dtype, case):
    size, window, c_in, c_out, stride, room, dilation, groups = case
    rank, rng = len(size), np.random.default_rng(1)
    image = rng.standard_normal((2, *size, c_in)).astype(dtype)
    kernel = rng.standard_normal((*window, c_in // groups, c_out)).astype(dtype)
    x_t = torch.from_numpy(np.moveaxis(image, -1, 1).copy()).requires_grad_()
    k_t = torch.from_numpy(np.moveaxis(kernel, (-1, -2), (0, 1)).copy()).requires_grad_()
    y_t = getattr(torch.nn.functional, f"conv{rank}d")(x_t, k_t, None, stride, room, dilation, groups)
    dy = rng.standard_normal(y_t.shape).astype(dtype)
    y_t.backward(torch.from_numpy(dy))
    pads = [(r, r) for r in (room if isinstance(room, tuple) else (room,) * rank)]
    options = {"stride": stride, "padding": pads, "dilation": dilation, "spatial_rank": rank}
    x, k = grouped(image, kernel, groups) if groups > 1 else (image, kernel)
    y = semiring_conv(x, k, **options)
    dy = np.moveaxis(dy, 1, -1)
    dy = np.moveaxis(dy.reshape(*dy.shape[:-1], groups, -1), -2, -rank - 2) if groups > 1 else dy
    dx, dk = semiring_conv_vjp(x, k, y, np.ascontiguousarray(dy), **options)

    def close(mine, theirs):
        assert mine.shape == theirs.shape
        atol = 20 * np.finfo(dtype).eps * np.abs(theirs).max() * np.prod(window) ** 0.5
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=atol)

    def flat(a, at):  # the groups back beside the channels
        return np.moveaxis(a, at, -2).reshape(*np.delete(a.shape, at)[:-1], -1) if groups > 1 else a

    close(flat(y, -rank - 2), np.moveaxis(y_t.detach().numpy(), 1, -1))
    close(flat(dx, -rank - 2), np.moveaxis(x_t.grad.numpy(), 1, -1))
    close(flat(dk, 0), np.moveaxis(k_t.grad.numpy(), (0, 1), (-1, -2)))
