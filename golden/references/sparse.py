"""Products of matrices in ELL form: every output is that of a dense product (golden/references/semiring.py) of the
entries that are not padding and the rows of B that they name, in their order. Scales and the answers to non-finite
input are the dense product's; what stands at padding, and rows of B that nothing names, are not read.
"""

from collections.abc import Iterator

import mpmath
import numpy as np

from golden.references import Arrays, Reference
from golden.references.semiring import (
    ALGEBRAS,
    ANNIHILATOR,
    PRECISION,
    Draw,
    _euclidean,
    _log,
    _real,
    _tropical,
)

REDUCTIONS = {"real": _real, "log": _log, "euclidean": _euclidean}


def _product(algebra: str, values: np.ndarray, indices: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One item of a batch: the product, and the scale of its bound where it has one."""
    shape = (values.shape[0], B.shape[1])
    exact = algebra not in REDUCTIONS
    C, scale = np.empty(shape, B.dtype if exact else np.float64), np.empty(shape)
    kind = None if algebra == "boolean" else np.finfo(B.dtype)
    for i in range(shape[0]):
        live = indices[i] >= 0
        a, rows = values[i][live], B[indices[i][live]]
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


def compute(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    """C and its scale, leading dimensions broadcast."""
    arrays = [inputs[name] for name in ("values", "indices", "B")]
    batch = np.broadcast_shapes(*(x.shape[:-2] for x in arrays))
    arrays = [np.broadcast_to(x, batch + x.shape[-2:]) for x in arrays]
    shape = (*batch, arrays[0].shape[-2], arrays[2].shape[-1])
    exact = algebra not in REDUCTIONS
    C, scale = np.empty(shape, arrays[2].dtype if exact else np.float64), np.empty(shape)
    for item in np.ndindex(batch):
        C[item], scale[item] = _product(algebra, *(x[item] for x in arrays))
    return {"C": C}, {} if exact else {"C": scale}


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
    for name, values, indices, b in _all_cases(algebra, Draw(algebra, dtype, "ell")):
        kind = np.dtype(dtype)
        yield name, {"values": np.asarray(values, kind), "indices": indices, "B": np.asarray(b, kind)}


REFERENCES = {"semiring_ell_matmul": Reference(ALGEBRAS, cases, compute)}
