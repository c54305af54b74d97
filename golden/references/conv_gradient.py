"""Gradients of the convolutions of golden/references/conv.py, with y given (rounded), term by term in long double.

A term is dy[p, o] w, with w as in golden/references/gradient.py; dx sums it over the outputs that read an element, dk
over those that a tap serves. Scale: the sum of |dy||w|, for LOG times 1 + |x| + |k| + |y|; plus its length * smallest
normal. MAX_PLUS and MIN_PLUS: w = 1 at the first tap (row-major), then channel, that attains y; dy is whole, so that
every sum is exact.
"""

from collections.abc import Iterator

import numpy as np

from golden.references import Arrays, Reference, conv, semiring

ALGEBRAS = dict.fromkeys(("real", "tropical_max_plus", "tropical_min_plus", "euclidean", "log"), ("float32", "float64"))
CASES = (
    "plain_1d", "plain_2d", "plain_3d", "valid_2d", "plane_1d", "plane_2d", "plane_3d", "stride_same_even",
    "stride_valid", "dilation", "plane_dilation", "pairs", "pointwise", "one_pixel", "kernel_larger_same",
    "stride_larger", "nowhere_near", "blocks_of_taps_plane", "ties_channels", "ties_plane",
)  # fmt: skip


def _weights(algebra: str, a: np.ndarray, b: np.ndarray, y: np.ndarray, taken: np.ndarray):
    if algebra == "real":
        return b, np.broadcast_to(a, b.shape)
    if algebra == "euclidean":
        w = np.divide(a - b, y, out=np.zeros_like(b), where=y != 0)
        return w, -w
    if algebra == "log":
        w = np.exp(a + b - y, out=np.zeros_like(b), where=y != -np.inf)
        return w, w
    won = (a + b == y) & ~taken & (y != semiring.ANNIHILATOR[algebra])
    taken |= won
    return won, won


def compute(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    """dx and dk, and the scales of their bounds."""
    x, k, y, dy = (inputs[n] if algebra.startswith("tropical") and n != "dy" else inputs[n].astype(np.longdouble)
                   for n in ("x", "k", "y", "dy"))  # fmt: skip
    window = k.shape[:-2]
    stride, dilation = inputs["stride"].tolist(), inputs["dilation"].tolist()
    room = conv.pads(x.shape[:-1], window, stride, dilation, inputs["padding"])
    dx, dk = np.zeros(x.shape, np.longdouble), np.zeros(k.shape, np.longdouble)
    of_x, of_k = np.zeros(x.shape, np.longdouble), np.zeros(k.shape, np.longdouble)
    tiny = np.finfo(inputs["x"].dtype).smallest_normal
    for p in np.ndindex(*y.shape[:-1]):
        taken = np.zeros(k.shape[-1], bool)
        for q in np.ndindex(*window):
            at = tuple(i * s + j * g - b for i, s, j, g, (b, _) in zip(p, stride, q, dilation, room, strict=True))
            if not all(0 <= i < n for i, n in zip(at, x.shape, strict=False)):
                continue
            for c in range(x.shape[-1]):
                left, right = _weights(algebra, x[at][c], k[q][c], y[p], taken)
                dx[at][c] += (dy[p] * left).sum()
                dk[q][c] += dy[p] * right
                grows = 1 + np.abs(x[at][c]) + np.abs(k[q][c]) + np.abs(y[p]) if algebra == "log" else 1
                of_x[at][c] += (np.abs(dy[p] * left) * grows + tiny).sum()
                of_k[q][c] += np.abs(dy[p] * right) * grows + tiny
    if algebra.startswith("tropical"):
        return {"dx": dx.astype(x.dtype), "dk": dk.astype(k.dtype)}, {}
    double = np.float64
    return {"dx": dx.astype(double), "dk": dk.astype(double)}, {"dx": of_x.astype(double), "dk": of_k.astype(double)}


def cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    """The named inputs of a cell."""
    draw = semiring.Draw(algebra, dtype, "gradients of convolutions")
    for name, inputs in conv.cases(algebra, dtype):
        if name not in CASES:
            continue
        y = conv.compute(algebra, inputs)[0]["y"].astype(inputs["x"].dtype)
        dy = draw.integers(-9, 9, *y.shape) if algebra.startswith("tropical") else draw.uniform(*y.shape)
        yield name, {"x": inputs["x"], "k": inputs["k"], "y": y, "dy": dy, **inputs}


REFERENCES = {"semiring_conv_vjp": Reference(ALGEBRAS, cases, compute)}
