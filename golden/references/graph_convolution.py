"""Convolutions over graphs and their gradients.

semiring_ell_conv: every output is that of a dense product (golden/references/semiring.py) of one row and one column:
the features of the neighbours that a row has, side by side, and the weights of their slots. Scales are that product's.
semiring_ell_conv_vjp: sums of dy w by mpmath, with w and its scale as in golden/references/gradient.py. The tropical
ones are exact, so they are summed as the op defines it: what a node's product for a slot receives, over the rows in
order; then over slots and channels of the result for x, over the nodes for the weights.
"""

import zlib
from collections.abc import Iterator

import mpmath
import numpy as np

from golden.references import Arrays, Reference
from golden.references.gradient import _weights
from golden.references.semiring import ALGEBRAS, ANNIHILATOR, PRECISION, Draw, _euclidean, _log, _real

REDUCTIONS = {"real": _real, "log": _log, "euclidean": _euclidean}
IDENTITY = {**ANNIHILATOR, "euclidean": 0.0}


def _rounded(scale: np.ndarray) -> np.ndarray:
    mantissa, exponent = np.frexp(scale.astype(np.float64))
    return np.ldexp(np.ceil(mantissa * 64) / 64, exponent)


def _best(algebra: str, terms: np.ndarray, axis: int) -> np.ndarray:
    return (np.max if algebra == "tropical_max_plus" else np.min)(terms, axis=axis, initial=ANNIHILATOR[algebra])


def _item(algebra: str, at: np.ndarray, x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One item of a batch, and the scale of its bound where it has one."""
    m, outs = len(at), weight.shape[2]
    exact = algebra not in REDUCTIONS
    y, scale = np.empty((m, outs), x.dtype if exact else np.float64), np.zeros((m, outs))
    for i in range(m):
        slots = np.flatnonzero(at[i] >= 0)
        features = x[at[i, slots]].reshape(-1)
        weights = weight[slots].reshape(len(features), outs)
        if algebra == "boolean":
            y[i] = (features[:, None] & weights).any(axis=0)
        elif exact:
            y[i] = _best(algebra, features[:, None] + weights, 0)
        elif not len(features):
            y[i] = IDENTITY[algebra]
        else:
            kind, wide = np.finfo(x.dtype), features.astype(np.float64)
            with mpmath.workprec(PRECISION):
                for o in range(outs):
                    column = weights[:, o].astype(np.float64)
                    y[i, o], scale[i, o] = REDUCTIONS[algebra](
                        wide, column, float(kind.smallest_normal), float(kind.eps)
                    )
    return y, scale


def _items(inputs: Arrays) -> tuple[tuple[int, ...], list[np.ndarray]]:
    arrays = [inputs[name] for name in ("indices", "x", "weight")]
    lead = np.broadcast_shapes(*(a.shape[:-core] for a, core in zip(arrays, (2, 2, 3), strict=True)))
    return lead, [np.broadcast_to(a, lead + a.shape[-core:]) for a, core in zip(arrays, (2, 2, 3), strict=True)]


def compute(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    lead, (at, x, weight) = _items(inputs)
    exact = algebra not in REDUCTIONS
    shape = (*lead, at.shape[-2], weight.shape[-1])
    y, scale = np.empty(shape, x.dtype if exact else np.float64), np.empty(shape)
    for item in np.ndindex(lead):
        y[item], scale[item] = _item(algebra, at[item], x[item], weight[item])
    return {"y": y}, {} if exact else {"y": _rounded(scale)}


def _cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    draw, kind = Draw(algebra, dtype, "graph convolution"), np.dtype(dtype)

    def numbers(*shape: int) -> np.ndarray:
        drawn = draw.random.random_sample(shape) < 0.3 if algebra == "boolean" else draw.uniform(*shape)
        return np.asarray(drawn, kind)

    def indices(n: int, *shape: int) -> np.ndarray:
        chosen = draw.random.randint(0, max(n, 1), shape)
        return np.where(draw.random.random_sample(shape) < 0.2, -1, chosen).astype(np.int32)

    for m, k, n, c, o in [(5, 3, 6, 4, 9), (1, 1, 1, 1, 1), (7, 7, 4, 2, 33), (3, 2, 9, 40, 3), (2, 5, 3, 1, 17)]:
        arrays = {"indices": indices(n, m, k), "x": numbers(n, c), "weight": numbers(k, c, o)}
        yield f"plain_{m}x{k}x{n}x{c}x{o}", arrays
    for m, k, n, c, o in [(3, 0, 4, 2, 5), (0, 2, 4, 2, 5), (3, 2, 4, 0, 5), (3, 2, 4, 2, 0)]:
        arrays = {"indices": indices(n, m, k), "x": numbers(n, c), "weight": numbers(k, c, o)}
        yield f"zero_{m}x{k}x{n}x{c}x{o}", arrays
    at = indices(6, 5, 3)
    at[[0, 3]] = -1
    yield "padding_of_rows", {"indices": at.astype(np.int64), "x": numbers(6, 4), "weight": numbers(3, 4, 9)}
    yield "blocks", {"indices": indices(3, 2, 2), "x": numbers(3, 300), "weight": numbers(2, 300, 2)}
    yield "batch_of_x", {"indices": indices(5, 4, 3), "x": numbers(2, 5, 3), "weight": numbers(3, 3, 6)}
    yield "batch_of_all", {"indices": indices(5, 2, 1, 4, 3), "x": numbers(3, 5, 2), "weight": numbers(2, 1, 3, 2, 6)}
    if algebra != "boolean":
        x = numbers(6, 4)
        x[5] = np.nan  # which nothing names
        yield "nan_beside", {"indices": indices(5, 5, 3), "x": x, "weight": numbers(3, 4, 9)}


def _gradient_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in _cases(algebra, dtype):
        if name.startswith(("batch_of_all", "nan", "blocks")):
            continue
        y = compute(algebra, inputs)[0]["y"].astype(dtype)
        random = np.random.RandomState(zlib.crc32(f"graph convolution gradient {algebra} {dtype} {name}".encode()))
        yield name, {**inputs, "y": y, "dy": (2 * random.random_sample(y.shape) - 1).astype(dtype)}


def _tropical_gradient(algebra: str, at, x, weight, y, dy) -> list[np.ndarray]:
    (n, c), k = x.shape, weight.shape[0]
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    if not (n and c and k):
        return [dx, dweight]
    terms = x[:, None, :, None] + weight  # node, slot, channel, channel of the result
    products = _best(algebra, terms, 2)
    passed = np.zeros_like(products)
    for i, o in np.ndindex(y.shape):
        for s in range(k):
            node = at[i, s]
            if node >= 0 and products[node, s, o] == y[i, o] != ANNIHILATOR[algebra]:
                passed[node, s, o] += dy[i, o]
                break
    first = np.argmax(terms == products[:, :, None], axis=2)
    for node, s, o in np.ndindex(products.shape):
        channel = first[node, s, o]
        dx[node, channel] += passed[node, s, o]
        dweight[s, channel, o] += passed[node, s, o]
    return [dx, dweight]


def _exact_gradient(algebra: str, at, x, weight, y, dy) -> list[np.ndarray]:
    kind = np.finfo(x.dtype)
    sums = [np.full(a.shape, mpmath.mpf(0), object) for a in (x, weight, x, weight)]
    floor = mpmath.mpf(float(kind.eps)) ** 2 if algebra == "log" else 0
    with mpmath.workprec(PRECISION):
        for i, s in np.argwhere(at >= 0):
            node = at[i, s]
            for c, o in np.ndindex(weight.shape[1:]):
                result = float(y[i, o])
                w = _weights(algebra, float(x[node, c]), float(weight[s, c, o]), result, result)
                g = mpmath.mpf(float(dy[i, o]))
                for where, value, total, scale in (
                    ((node, c), w[0], sums[0], sums[2]),
                    ((s, c, o), w[1], sums[1], sums[3]),
                ):
                    total[where] += g * value
                    scale[where] += abs(g) * (abs(mpmath.mpf(value)) * w[2] + floor) + float(kind.smallest_normal)
    return [a.astype(np.float64) for a in sums]


def _gradient(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    exact, (lead, (at, x, weight)) = algebra not in REDUCTIONS, _items(inputs)
    one = _tropical_gradient if exact else _exact_gradient
    parts = [one(algebra, at[i], x[i], weight[i], inputs["y"][i], inputs["dy"][i]) for i in np.ndindex(lead)]
    # x alone has leading dimensions in these cases: the gradient of the weights is summed over them, in order.
    to_x = [np.stack([p[number] for p in parts]).reshape(inputs["x"].shape) for number in range(0, len(parts[0]), 2)]
    to_weight = [sum((p[number] for p in parts[1:]), parts[0][number]) for number in range(1, len(parts[0]), 2)]
    outputs = {"dx": to_x[0], "dweight": to_weight[0]}
    return outputs, {} if exact else {"dx": _rounded(to_x[1]), "dweight": _rounded(to_weight[1])}


FLOATS = {a: dtypes for a, dtypes in ALGEBRAS.items() if a != "boolean"}
REFERENCES = {
    "semiring_ell_conv": Reference(ALGEBRAS, _cases, compute),
    "semiring_ell_conv_vjp": Reference(FLOATS, _gradient_cases, _gradient),
}
