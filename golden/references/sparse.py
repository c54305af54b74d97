"""Products of matrices in ELL form, their transposes and gradients.

semiring_ell_matmul: every output is that of a dense product (golden/references/semiring.py) of the entries that are not
padding and the rows of B that they name, in their order. Scales and the answers to non-finite input are the dense
product's; what stands at padding, and rows of B that nothing names, are not read.
semiring_ell_rmatvec: the same with the entries of each column, in the order of their rows and then k.
semiring_ragged_matmul, semiring_ragged_rmatvec: the same with rows of different lengths.
semiring_ell_matmul_vjp: dvalues and dB as in golden/references/gradient.py, 0 at padding. The tropical ones are exact,
so they are summed as the op defines it: over j in 16 lanes whose halves are then added to each other, over the entries
of a column in order.
float16 is storage: tropical products round once, and their gradients are float32's of the product before it was
rounded.
"""

import zlib
from collections.abc import Iterator

import mpmath
import numpy as np

from golden.references import Arrays, Reference
from golden.references.gradient import _weights
from golden.references.semiring import (
    ALGEBRAS,
    ANNIHILATOR,
    PRECISION,
    STORED,
    Draw,
    _euclidean,
    _log,
    _real,
    _tropical,
)

REDUCTIONS = {"real": _real, "log": _log, "euclidean": _euclidean}


Entries = list[tuple[np.ndarray, np.ndarray]]


def _by_row(values: np.ndarray, indices: np.ndarray) -> Entries:
    """The values and the columns of each row's entries."""
    return [(v[at >= 0], at[at >= 0]) for v, at in zip(values, indices, strict=True)]


def _by_column(values: np.ndarray, indices: np.ndarray, n: int) -> Entries:
    """The values and the rows of each column's entries."""
    rows = np.broadcast_to(np.arange(len(indices))[:, None], indices.shape)
    return [(values[indices == c], rows[indices == c]) for c in range(n)]


def _product(algebra: str, entries: Entries, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One item of a batch: the product, and the scale of its bound where it has one."""
    shape = (len(entries), B.shape[1])
    exact = algebra not in REDUCTIONS
    C, scale = np.empty(shape, B.dtype if exact else np.float64), np.zeros(shape)
    kind = None if algebra == "boolean" else np.finfo(B.dtype)
    for i, (a, at) in enumerate(entries):
        rows = B[at]
        if algebra == "boolean":
            C[i] = (a[:, None] & rows).any(axis=0)
        elif exact:
            C[i] = _tropical(a[None], rows, ANNIHILATOR[algebra])[0]
        else:
            for j in range(shape[1]):
                wide = a.astype(np.float64), rows[:, j].astype(np.float64)
                if not len(a):
                    C[i, j], scale[i, j] = (-np.inf if algebra == "log" else 0.0), 0.0
                    continue
                with mpmath.workprec(PRECISION):
                    C[i, j], scale[i, j] = REDUCTIONS[algebra](*wide, float(kind.smallest_normal), float(kind.eps))
    mantissa, exponent = np.frexp(scale)
    return C, np.ldexp(np.ceil(mantissa * 64) / 64, exponent)


def _compute(algebra: str, inputs: Arrays, names: tuple[str, str], entries, height) -> tuple[Arrays, Arrays]:
    """The result and its scale, leading dimensions broadcast. `names`: of the dense operand and of the result."""
    arrays = [inputs[name] for name in ("values", "indices", names[0])]
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in arrays))
    arrays = [np.broadcast_to(x, batch + x.shape[-2:]) for x in arrays]
    shape = (*batch, height, arrays[2].shape[-1])
    exact = algebra not in REDUCTIONS
    C, scale = np.empty(shape, arrays[2].dtype if exact else np.float64), np.empty(shape)
    for item in np.ndindex(batch):
        C[item], scale[item] = _product(algebra, entries(arrays[0][item], arrays[1][item]), arrays[2][item])
    return {names[1]: C}, {} if exact else {names[1]: scale}


def compute(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    return _compute(algebra, inputs, ("B", "C"), _by_row, inputs["values"].shape[-2])


def _transposed(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    n = int(inputs["n_cols"].item())
    return _compute(algebra, inputs, ("X", "Y"), lambda v, at: _by_column(v, at, n), n)


def _in_lanes(terms: np.ndarray) -> np.number:
    lanes = np.zeros(16, terms.dtype)
    for first in range(0, len(terms), 16):
        part = terms[first : first + 16]
        lanes[: len(part)] = lanes[: len(part)] + part
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = lanes[:half] + lanes[half:]
    return lanes[0]


def _tropical_gradient(algebra: str, v, at, B, C, dC) -> list[np.ndarray]:
    dvalues, dB = np.zeros_like(v), np.zeros_like(B)
    won = np.full(C.shape, -1)
    if not len(B):
        return [dvalues, dB, dvalues, dB]
    for k in reversed(range(v.shape[1])):
        with np.errstate(all="ignore"):
            equal = (at[:, k, None] >= 0) & (v[:, k, None] + B[np.maximum(at[:, k], 0)] == C)
        won = np.where(equal & (ANNIHILATOR[algebra] != C), k, won)
    for i, k in np.argwhere(at >= 0):
        dvalues[i, k] = _in_lanes(np.where(won[i] == k, dC[i], dC.dtype.type(0)))
        dB[at[i, k]] = np.where(won[i] == k, dB[at[i, k]] + dC[i], dB[at[i, k]])
    return [dvalues, dB, dvalues, dB]


def _exact_gradient(algebra: str, v, at, B, C, dC) -> list[np.ndarray]:
    kind = np.finfo(v.dtype)
    sums = [np.full(x.shape, mpmath.mpf(0), object) for x in (v, B, v, B)]
    floor = mpmath.mpf(float(kind.eps)) ** 2 if algebra == "log" else 0
    with mpmath.workprec(PRECISION):
        for i, k in np.argwhere(at >= 0):
            for j in range(B.shape[1]):
                a, b, c = float(v[i, k]), float(B[at[i, k], j]), float(C[i, j])
                w = _weights(algebra, a, b, c, c)
                g = mpmath.mpf(float(dC[i, j]))
                for where, value, total, scale in (((i, k), w[0], *sums[::2]), ((at[i, k], j), w[1], *sums[1::2])):
                    total[where] += g * value
                    scale[where] += abs(g) * (abs(mpmath.mpf(value)) * w[2] + floor) + float(kind.smallest_normal)
    return [x.astype(np.float64) for x in sums]


def _gradient(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    exact = algebra not in REDUCTIONS
    if exact and inputs["B"].dtype == np.float16:
        single = {name: x if name == "indices" else x.astype(np.float32) for name, x in inputs.items()}
        outputs, _ = _gradient(algebra, single | compute(algebra, single)[0])
        return {name: x.astype(np.float16) for name, x in outputs.items()}, {}
    v, at, B, C, dC = (inputs[name] for name in ("values", "indices", "B", "C", "dC"))
    one = _tropical_gradient if exact else _exact_gradient
    parts = [one(algebra, v, at, b, c, dc) for b, c, dc in zip(*(x if x.ndim > 2 else x[None] for x in (B, C, dC)),
                                                              strict=True)]  # fmt: skip
    total = list(parts[0])
    for part in parts[1:]:  # values are broadcast over the batch of B
        total[0], total[2] = total[0] + part[0], total[2] + part[2]
    rows = [np.stack([p[n] for p in parts]).reshape(B.shape) for n in (1, 3)]
    outputs = {"dvalues": total[0], "dB": rows[0]}
    if exact:
        return outputs, {}
    scales = {}
    for name, x in (("dvalues", total[2]), ("dB", rows[1])):
        mantissa, exponent = np.frexp(x)
        scales[name] = np.ldexp(np.ceil(mantissa * 64) / 64, exponent)
    return outputs, scales


def _indices(draw: Draw, padding: float, n: int, *shape: int) -> np.ndarray:
    chosen = draw.random.randint(0, max(n, 1), shape)
    return np.where(draw.random.random_sample(shape) < padding, -1, chosen).astype(np.int32)


def _all_cases(algebra: str, draw: Draw) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    boolean = algebra == "boolean"

    def numbers(*shape: int) -> np.ndarray:
        return draw.random.random_sample(shape) < 0.4 if boolean else draw.uniform(*shape)

    sizes = [(5, 4, 6, 9), (7, 3, 12, 40), (1, 1, 1, 1), (3, 7, 5, 70), (19, 3, 9, 4), (2, 5, 4, 133)]
    for m, k, n, d in sizes:
        yield f"plain_{m}x{k}x{n}x{d}", numbers(m, k), _indices(draw, 0.2, n, m, k), numbers(n, d)
    for k in (255, 257, 600):
        yield f"blocks_{k}", numbers(2, k), _indices(draw, 0.1, 40, 2, k), numbers(40, 2)
    for m, k, n, d in [(3, 0, 4, 5), (0, 2, 4, 5), (3, 2, 4, 0), (0, 0, 0, 0)]:
        yield f"zero_{m}x{k}x{n}x{d}", numbers(m, k), _indices(draw, 0, n, m, k), numbers(n, d)
    yield "zero_rows_of_b", numbers(3, 2), np.full((3, 2), -1, np.int32), numbers(0, 4)
    yield "batch_all", numbers(2, 1, 3, 4), _indices(draw, 0.2, 5, 2, 2, 3, 4), numbers(2, 5, 6)
    yield "batch_of_b", numbers(3, 4), _indices(draw, 0.2, 5, 3, 4), numbers(2, 3, 5, 6)
    yield "batch_of_values", numbers(2, 3, 4), _indices(draw, 0.2, 5, 3, 4), numbers(5, 6)
    indices = _indices(draw, 0.3, 8, 6, 5)
    indices[[0, 3]] = -1
    yield "padding_of_rows", numbers(6, 5), indices, numbers(8, 17)
    yield "padding_everywhere", numbers(3, 4), np.full((3, 4), -1, np.int32), numbers(5, 18)
    lowest = np.where(indices < 0, np.iinfo(np.int32).min, indices)
    yield "padding_of_64_bits", numbers(6, 5), lowest.astype(np.int64), numbers(8, 17)
    yield "duplicates", numbers(4, 9), _indices(draw, 0.1, 2, 4, 9), numbers(2, 20)
    if boolean:
        return
    nan, inf = np.nan, np.inf
    values, b = numbers(6, 5), numbers(10, 18)
    values[indices < 0] = draw.choice([nan, inf, -inf], int((indices < 0).sum()))
    b[8:] = nan  # rows that nothing names
    yield "nan_beside_padding", values, indices, b
    values, b = numbers(6, 5), numbers(8, 18)
    values[1, 2], b[3, 4] = nan, nan
    yield "nan_read", values, np.abs(indices), b
    late = numbers(2, 300)
    late[1, 290] = nan
    yield "nan_in_a_late_block", late, _indices(draw, 0, 6, 2, 300), numbers(6, 3)
    values, b = numbers(5, 6), numbers(7, 17)
    values[0, 1], values[2, 3], b[2, 0], b[4, 2] = inf, -inf, -inf, inf
    yield "infinities", values, _indices(draw, 0.1, 7, 5, 6), b
    yield "integers", draw.integers(-9, 9, 5, 30), _indices(draw, 0.1, 6, 5, 30), draw.integers(-9, 9, 6, 17)
    yield (
        "zeros_of_both_signs",
        draw.choice([0.0, -0.0], 6, 3),
        _indices(draw, 0.2, 4, 6, 3),
        draw.choice([0.0, -0.0], 4, 18),
    )
    tiny = draw.dtype.type(np.finfo(draw.dtype).smallest_normal)
    if algebra != "log":
        yield "magnitudes", draw.wide(30, 6, 8), _indices(draw, 0.1, 9, 6, 8), draw.wide(30, 9, 17)
        yield "denormals", draw.uniform(4, 5) * tiny, _indices(draw, 0.1, 6, 4, 5), draw.integers(1, 4, 6, 17)
    else:
        big = draw.dtype.type(1e4)
        yield "magnitudes_1e4", draw.normal(6, 8) * big, _indices(draw, 0.1, 9, 6, 8), draw.normal(9, 17) * big
        dead = np.full((5, 6), -inf, draw.dtype)
        dead[1:, 2] = draw.uniform(4)
        yield "annihilator", dead, _indices(draw, 0, 7, 5, 6), draw.uniform(7, 17)
    if algebra in ANNIHILATOR and algebra != "real":
        worst = draw.dtype.type(ANNIHILATOR[algebra])
        yield (
            "annihilator_sparse",
            draw.where(0.6, worst, draw.uniform(5, 8)),
            _indices(draw, 0.1, 6, 5, 8),
            draw.where(0.5, worst, draw.uniform(6, 18)),
        )
    if algebra == "euclidean":
        same = draw.uniform(3, 1)
        yield "near_zero", np.repeat(same, 4, 1), _indices(draw, 0.2, 3, 3, 4), np.repeat(same, 17, 1)


def cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    """The named inputs of a cell."""
    kind = np.dtype(dtype)
    with np.errstate(over="ignore"):
        drawn = list(_all_cases(algebra, Draw(algebra, dtype, "ell")))
    for name, values, indices, b in drawn:
        if dtype == "float16" and name.startswith("magnitudes"):
            continue  # beyond its range
        yield name, {"values": np.asarray(values, kind), "indices": indices, "B": np.asarray(b, kind)}


def _transposed_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in cases(algebra, dtype):
        values, indices, B = inputs["values"], inputs["indices"], inputs["B"]
        if name.startswith(("magnitudes", "denormals", "annihilator", "integers")):
            continue
        random = np.random.RandomState(zlib.crc32(f"transposed {algebra} {dtype} {name}".encode()))
        shape = (*B.shape[:-2], values.shape[-2], B.shape[-1])
        X = random.random_sample(shape) < 0.4 if algebra == "boolean" else 2 * random.random_sample(shape) - 1
        if name.startswith(("nan", "infinities", "zeros")) and B.size:
            X = B[..., np.arange(shape[-2]) % B.shape[-2], :]  # what is not finite, and signs of zero
        arrays = {"values": values, "indices": indices, "X": X.astype(np.dtype(dtype))}
        yield name, arrays | {"n_cols": np.array([B.shape[-2]])}


def _gradient_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in cases(algebra, dtype):
        wanted = ("plain", "zero", "padding", "duplicates", "integers", "zeros", "near", "annihilator", "batch_of_b")
        if not name.startswith(wanted) or inputs["indices"].ndim > 2 or inputs["values"].ndim > 2:
            continue
        if inputs["B"].ndim > 3:
            inputs = {**inputs, "B": inputs["B"][0]}
        with np.errstate(over="ignore"):
            C = compute(algebra, inputs)[0]["C"].astype(dtype)
        random = np.random.RandomState(zlib.crc32(f"gradient {algebra} {dtype} {name}".encode()))
        yield name, {**inputs, "C": C, "dC": (2 * random.random_sample(C.shape) - 1).astype(dtype)}


def _flat(inputs: Arrays, seed: str) -> Arrays:
    """The entries of a case row after row, with some padding and rows cut short here and there."""
    values, indices = inputs["values"], inputs["indices"]
    random = np.random.RandomState(zlib.crc32(f"ragged {seed}".encode()))
    kept = np.arange(values.shape[-1]) < random.randint(0, values.shape[-1] + 1, len(values))[:, None]
    return {"values": values[kept], "indices": indices[kept], "counts": kept.sum(1).astype(indices.dtype)}


def _rows_of(values: np.ndarray, indices: np.ndarray, counts: np.ndarray) -> Entries:
    ends = np.cumsum(counts)
    parts = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return [(values[p][indices[p] >= 0], indices[p][indices[p] >= 0]) for p in parts]


def _ragged_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in cases(algebra, dtype):
        if inputs["values"].ndim == 2 and inputs["indices"].ndim == 2:
            yield name, _flat(inputs, name) | {"B": inputs["B"]}


def _ragged_transposed_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in _transposed_cases(algebra, dtype):
        if inputs["values"].ndim == 2 and inputs["indices"].ndim == 2:
            yield name, _flat(inputs, name) | {"X": inputs["X"], "n_cols": inputs["n_cols"]}


def _ragged(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    entries = _rows_of(inputs["values"], inputs["indices"], inputs["counts"])
    return _ragged_items(algebra, entries, inputs["B"], "C", len(entries))


def _ragged_transposed(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    n = int(inputs["n_cols"].item())
    lists: list[list[tuple]] = [[] for _ in range(n)]
    for row, (values, columns) in enumerate(_rows_of(inputs["values"], inputs["indices"], inputs["counts"])):
        for value, column in zip(values, columns, strict=True):
            lists[column].append((value, row))
    kind = inputs["values"].dtype
    entries = [(np.array([v for v, _ in c], kind), np.array([r for _, r in c], np.int64)) for c in lists]
    return _ragged_items(algebra, entries, inputs["X"], "Y", n)


def _ragged_items(algebra: str, entries: Entries, dense: np.ndarray, name: str, height: int) -> tuple[Arrays, Arrays]:
    exact = algebra not in REDUCTIONS
    shape = (*dense.shape[:-2], height, dense.shape[-1])
    C, scale = np.empty(shape, dense.dtype if exact else np.float64), np.empty(shape)
    for item in np.ndindex(dense.shape[:-2]):
        C[item], scale[item] = _product(algebra, entries, dense[item])
    return {name: C}, {} if exact else {name: scale}


FLOATS = {a: dtypes for a, dtypes in ALGEBRAS.items() if a != "boolean"}
WITH_HALF = {a: (*dtypes, "float16") if a in STORED else dtypes for a, dtypes in ALGEBRAS.items()}
REFERENCES = {
    "semiring_ell_matmul": Reference(WITH_HALF, cases, compute),
    "semiring_ell_rmatvec": Reference(WITH_HALF, _transposed_cases, _transposed),
    "semiring_ragged_matmul": Reference(ALGEBRAS, _ragged_cases, _ragged),
    "semiring_ragged_rmatvec": Reference(ALGEBRAS, _ragged_transposed_cases, _ragged_transposed),
    "semiring_ell_matmul_vjp": Reference({a: WITH_HALF[a] for a in FLOATS}, _gradient_cases, _gradient),
}
