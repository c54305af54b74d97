"""Aggregations of edges act(own + source) and their gradients.

semiring_ell_edge_reduce: an edge is rounded to the dtype as the op defines it; the reduction of a row's edges is that
of a dense product with a neutral operand (golden/references/semiring.py), and so are the scales.
semiring_ell_edge_mlp: what both ends give is a product of eighths, exact in float64 and in both dtypes; edges and their
reduction as above.
semiring_ell_edge_mlp_vjp: the gradients of both ends as below, then exact sums of their products with the weights and
the features; their scale is that of the gradients times these.
semiring_ell_edge_reduce_vjp: sums of dy * (dy/de) * act' by mpmath, with the scale sum of |terms| (LOG: times
1 + |e| + |y|, plus the square of eps for each); tropical: at the first edge that is y, in order, exact.
"""

import zlib
from collections.abc import Iterator

import mpmath
import numpy as np

from golden.references import Arrays, Reference
from golden.references.semiring import ALGEBRAS, ANNIHILATOR, PRECISION, _euclidean, _log, _real, _tropical
from golden.references.sparse import cases as product_cases

FLOATS = {a: dtypes for a, dtypes in ALGEBRAS.items() if a != "boolean"}
REDUCTIONS = {"real": (_real, 1.0), "log": (_log, 0.0), "euclidean": (_euclidean, 0.0)}


def _edges(own: np.ndarray, source: np.ndarray, slope: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        x = own + source
        below = np.where(np.isnan(x), x, 0) if slope == 0 else x * slope
        return np.where(x > 0, x, below).astype(own.dtype)


def _rounded(scale: np.ndarray) -> np.ndarray:
    mantissa, exponent = np.frexp(scale.astype(np.float64))
    return np.ldexp(np.ceil(mantissa * 64) / 64, exponent)


def compute(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    own, source, indices, slope = (inputs[n] for n in ("own", "source", "indices", "slope"))
    kind, exact = np.finfo(own.dtype), algebra not in REDUCTIONS
    y, scale = np.empty(own.shape, own.dtype if exact else np.float64), np.zeros(own.shape)
    for i in range(len(own)):
        edges = _edges(own[i], source[indices[i][indices[i] >= 0]], slope.reshape(())[()])
        if exact:
            y[i] = _tropical(edges.T, np.full((len(edges), 1), -0.0, own.dtype), ANNIHILATOR[algebra])[:, 0]
            continue
        for j in range(own.shape[1]):
            reduce, neutral = REDUCTIONS[algebra]
            e = edges[:, j].astype(np.float64)
            if not len(e):
                y[i, j] = -np.inf if algebra == "log" else 0.0
                continue
            with mpmath.workprec(PRECISION):
                y[i, j], scale[i, j] = reduce(e, np.full(len(e), neutral), float(kind.smallest_normal), float(kind.eps))
    return {"y": y}, {} if exact else {"y": _rounded(scale)}


def _cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    wanted = (
        "plain",
        "blocks_257",
        "zero",
        "padding",
        "duplicates",
        "nan_read",
        "integers",
        "infinities",
        "annihilator",
    )
    for number, (name, inputs) in enumerate(product_cases(algebra, dtype)):
        indices, source = inputs["indices"], inputs["B"]
        if not name.startswith(wanted) or name.endswith("133"):
            continue
        random = np.random.RandomState(zlib.crc32(f"edges {algebra} {dtype} {name}".encode()))
        own = (2 * random.random_sample((len(indices), source.shape[1])) - 1).astype(dtype)
        slope = np.array([(0.0, 0.25, 1.0)[number % 3]], dtype)
        yield name, {"own": own, "source": source, "indices": indices, "slope": slope.reshape(())}


def _gradient_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in _cases(algebra, dtype):
        if name.startswith(("blocks", "nan", "infinities")):
            continue
        with np.errstate(over="ignore"):
            y = compute(algebra, inputs)[0]["y"].astype(dtype)
        random = np.random.RandomState(zlib.crc32(f"edge gradient {algebra} {dtype} {name}".encode()))
        yield name, {**inputs, "y": y, "dy": (2 * random.random_sample(y.shape) - 1).astype(dtype)}


def _weight(algebra: str, e: float, y: float) -> tuple[object, object]:
    """dy/de and what its rounding is relative to."""
    if algebra == "real":
        return 1, 1
    if algebra == "euclidean":
        return (mpmath.mpf(e) / y if y else mpmath.mpf(0)), 1
    if y == -np.inf or e == -np.inf:
        return 0, 0
    return mpmath.exp(mpmath.mpf(e) - y), 1 + abs(e) + abs(y)


def _gradient(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    own, source, indices, slope, y, dy = (inputs[n] for n in ("own", "source", "indices", "slope", "y", "dy"))
    kind, flat = np.finfo(own.dtype), slope.reshape(())[()]
    if algebra not in REDUCTIONS:
        down, dsource = np.zeros_like(own), np.zeros_like(source)
        taken = y == ANNIHILATOR[algebra]
        for i, k in np.argwhere(indices >= 0):
            n = indices[i, k]
            won = ~taken[i] & (_edges(own[i], source[n], flat) == y[i])
            taken[i] |= won
            g = np.where(own[i] + source[n] > 0, dy[i], dy[i] * flat)
            down[i] = np.where(won, down[i] + g, down[i])
            dsource[n] = np.where(won, dsource[n] + g, dsource[n])
        return {"down": down, "dsource": dsource}, {}
    sums = [np.full(x.shape, mpmath.mpf(0), object) for x in (own, source, own, source)]
    floor = mpmath.mpf(float(kind.eps)) ** 2 if algebra == "log" else 0
    with mpmath.workprec(PRECISION):
        for i, k in np.argwhere(indices >= 0):
            n = indices[i, k]
            edges = _edges(own[i], source[n], flat)
            for j in range(own.shape[1]):
                w, relative = _weight(algebra, float(edges[j]), float(y[i, j]))
                g = mpmath.mpf(float(dy[i, j])) * (1 if own[i, j] + source[n, j] > 0 else float(flat))
                for at, total, scale in (((i, j), sums[0], sums[2]), ((n, j), sums[1], sums[3])):
                    total[at] += g * w
                    scale[at] += abs(g) * (abs(mpmath.mpf(w)) * relative + floor) + float(kind.smallest_normal)
    outputs = {name: x.astype(np.float64) for name, x in zip(("down", "dsource"), sums, strict=False)}
    scales = {name: _rounded(x) for name, x in zip(("down", "dsource"), sums[2:], strict=True)}
    return outputs, scales


def _ends(inputs: Arrays, x: np.ndarray) -> Arrays:
    """What an EdgeMLP's first layer gives to both ends, by NumPy in float64."""
    wide, weight = x.astype(np.float64), inputs["weight"].astype(np.float64)
    d, m = x.shape[1], inputs["indices"].shape[0]
    own, source = wide[:m] @ (weight[:d] - weight[d:]) + inputs["bias"], wide @ weight[d:]
    ends = {"own": own.astype(x.dtype), "source": source.astype(x.dtype)}
    if not ((ends["own"] == own).all() and (ends["source"] == source).all()):
        raise ValueError("semiring_ell_edge_mlp: a case whose products are not exact")
    return {**ends, "indices": inputs["indices"], "slope": inputs["slope"]}


def compute_mlp(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    lead = inputs["x"].shape[:-2]
    parts = [compute(algebra, _ends(inputs, inputs["x"][item])) for item in np.ndindex(lead)]
    shape = (*lead, *parts[0][0]["y"].shape)
    y, scale = ({name: np.stack([p[i][name] for p in parts]).reshape(shape) for name in parts[0][i]} for i in range(2))
    return y, scale


def _mlp_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    random = np.random.RandomState(zlib.crc32(f"edge mlp {algebra} {dtype}".encode()))

    def eighths(*shape: int) -> np.ndarray:
        return (random.randint(-16, 17, shape) / 8).astype(dtype)

    sizes = [(1, 1, 1, 1, 1), (5, 3, 6, 4, 9), (7, 7, 7, 2, 33), (3, 2, 9, 40, 3), (4, 2, 5, 300, 2),
             (3, 300, 90, 3, 5), (3, 0, 4, 2, 5), (0, 2, 4, 2, 5), (3, 2, 4, 0, 5), (3, 2, 4, 2, 0)]  # fmt: skip
    for number, (m, k, n, d, h) in enumerate(sizes):
        at = np.where(random.random_sample((m, k)) < 0.2, -1, random.randint(0, n, (m, k)))
        if m > 4:
            at[2] = -3
        x = eighths(2, n, d) if number % 3 == 1 else eighths(n, d)
        slope = np.array((0.0, 0.25, 1.0, -0.5)[number % 4], dtype)
        kind = np.int64 if number % 2 else np.int32
        yield f"{m}x{k}x{n}x{d}x{h}", {"indices": at.astype(kind), "x": x, "weight": eighths(2 * d, h),
                                       "bias": eighths(h), "slope": slope}  # fmt: skip


def _mlp_gradient_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    random = np.random.RandomState(zlib.crc32(f"edge mlp gradient {algebra} {dtype}".encode()))
    for name, inputs in _mlp_cases(algebra, dtype):
        if name.startswith("3x300"):
            continue
        y = compute_mlp(algebra, inputs)[0]["y"].astype(dtype)
        yield name, {**inputs, "y": y, "dy": (random.randint(-8, 9, y.shape) / 8).astype(dtype)}


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of matrices, exact but for one rounding: the same on every machine."""
    c = np.zeros((a.shape[0], b.shape[1]))
    for i, j in np.ndindex(c.shape):
        c[i, j] = mpmath.fdot(zip(map(mpmath.mpf, a[i].tolist()), b[:, j].tolist(), strict=True))
    return c


def _mlp_gradient(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    exact, weight = algebra not in REDUCTIONS, inputs["weight"].astype(np.float64)
    (m, _), d, kind = inputs["indices"].shape, inputs["x"].shape[-1], inputs["x"].dtype
    upper, lower = weight[:d] - weight[d:], weight[d:]

    def back(x: np.ndarray, upper: np.ndarray, lower: np.ndarray, ends: Arrays, sign: int) -> list[np.ndarray]:
        """Of x, weight and bias; with a sign of 1 the scales of these."""
        down, dsource = (ends[name].astype(np.float64) for name in ("down", "dsource"))
        dx = _product(dsource, lower.T)
        dx[:m] += _product(down, upper.T)
        first, other = _product(x[:m].T, down), _product(x.T, dsource)
        return [dx, np.concatenate([first, other + sign * first]), _product(np.ones((1, m)), down)[0]]

    values, scales = [], []
    with mpmath.workprec(PRECISION):
        for item in np.ndindex(inputs["x"].shape[:-2]):
            x, passed = inputs["x"][item], {name: inputs[name][item] for name in ("y", "dy")}
            ends, size = _gradient(algebra, {**_ends(inputs, x), **passed})
            wide = x.astype(np.float64)
            values.append(back(wide, upper, lower, ends, -1))
            if not exact:
                scales.append(back(abs(wide), abs(upper), abs(lower), size, 1))

    def gathered(parts: list[list[np.ndarray]]) -> Arrays:
        dx = np.stack([p[0] for p in parts]).reshape(inputs["x"].shape)
        return {"dx": dx, "dweight": np.sum([p[1] for p in parts], axis=0), "dbias": np.sum([p[2] for p in parts], 0)}

    outputs = gathered(values)
    if exact:
        return {name: a.astype(kind) for name, a in outputs.items()}, {}
    return outputs, {name: _rounded(a) for name, a in gathered(scales).items()}


REFERENCES = {
    "semiring_ell_edge_mlp_vjp": Reference(FLOATS, _mlp_gradient_cases, _mlp_gradient),
    "semiring_ell_edge_mlp": Reference(FLOATS, _mlp_cases, compute_mlp),
    "semiring_ell_edge_reduce": Reference(FLOATS, _cases, compute),
    "semiring_ell_edge_reduce_vjp": Reference(FLOATS, _gradient_cases, _gradient),
}
