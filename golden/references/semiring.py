"""Matrix products over the six algebras.

What is computed, and the scale that a bound is relative to (eps, smallest: of the dtype of the inputs):

REAL       sum a b. Exact sum by mpmath. Scale: sum |a||b| + k * smallest normal (eps of which is a unit of underflow).
LOG        log sum exp(a + b) by mpmath. Scale: 1 + sum p (|a| + |b|) with p the softmax weights (each sum a + b is
           rounded), plus the headroom h = max a + max b - result, at most log(1 / smallest normal): an evaluation as
           exp(a - max a) * exp(b - max b) rounds numbers of that size, and cannot where the sum has underflowed.
EUCLIDEAN  sqrt(sum (a - b)^2) by mpmath. Scale: the distance, plus what k squares may lose to underflow, over eps.
MAX_PLUS   the first met of the largest sums a + b, each rounded to the dtype; NumPy, k in order. Exact.
MIN_PLUS   the same with the smallest.
BOOLEAN    any (a and b), by counting. Exact.

Non-finite input: a NaN makes every output that reads it NaN. In the tropical algebras the annihilator absorbs
everything, the opposite infinity included; the others follow IEEE arithmetic of the definition (0 * inf, inf - inf and,
in LOG, -inf + inf are NaN).
"""

import zlib
from collections.abc import Iterator

import mpmath
import numpy as np

from golden.references import Arrays, Reference

FLOATS = ("float32", "float64")
ALGEBRAS = {
    "real": FLOATS,
    "log": FLOATS,
    "tropical_max_plus": FLOATS,
    "tropical_min_plus": FLOATS,
    "euclidean": FLOATS,
    "boolean": ("bool",),
}
# Algebras whose products may be stored in float16: computed in float32 and rounded once.
STORED = ("real", "tropical_max_plus", "tropical_min_plus")
PRECISION = 320  # bits: sums of the corpus are exact, or nearly

# What combine maps everything to the monoid's identity with (padding, dead rows) and leaves the other operand alone.
ANNIHILATOR = {"real": 0.0, "log": -np.inf, "tropical_max_plus": -np.inf, "tropical_min_plus": np.inf}
ONE = {"real": 1.0, "log": 0.0, "tropical_max_plus": 0.0, "tropical_min_plus": 0.0}


# ---- The reference implementations: one output from a row of A and a column of B -------------------------------------


def _real(a: np.ndarray, b: np.ndarray, smallest: float, eps: float) -> tuple[float, float]:
    odd = ~(np.isfinite(a) & np.isfinite(b))
    if odd.any():
        with np.errstate(invalid="ignore"):
            return float(np.sum(a[odd] * b[odd])), 0.0
    a, b = a.tolist(), b.tolist()
    total = mpmath.fdot(zip(map(mpmath.mpf, a), b, strict=True))
    size = mpmath.fdot((abs(mpmath.mpf(x)), abs(y)) for x, y in zip(a, b, strict=True))
    return float(total), float(size + len(a) * mpmath.mpf(smallest))


def _log(a: np.ndarray, b: np.ndarray, smallest: float, eps: float) -> tuple[float, float]:
    with np.errstate(invalid="ignore"):
        term = a + b
    if np.isnan(term).any():
        return np.nan, 0.0
    if np.isposinf(term).any() or not np.isfinite(term).any():
        return float(term.max(initial=-np.inf)), 0.0
    live = np.isfinite(term)
    pairs = [(mpmath.mpf(x), mpmath.mpf(y)) for x, y in zip(a[live].tolist(), b[live].tolist(), strict=True)]
    top = max(x + y for x, y in pairs)
    weights = [mpmath.exp(x + y - top) for x, y in pairs]
    total = mpmath.fsum(weights)
    result = top + mpmath.log(total)
    size = mpmath.fdot((w, abs(x) + abs(y)) for w, (x, y) in zip(weights, pairs, strict=True)) / total
    headroom = mpmath.mpf(float(a.max())) + mpmath.mpf(float(b.max())) - result
    return float(result), float(1 + size + min(max(headroom, 0), -mpmath.log(smallest)))


def _euclidean(a: np.ndarray, b: np.ndarray, smallest: float, eps: float) -> tuple[float, float]:
    with np.errstate(invalid="ignore"):
        gap = a - b
    if not np.isfinite(gap).all():
        return (np.nan if np.isnan(gap).any() else np.inf), 0.0
    square = mpmath.fsum((mpmath.mpf(x) - mpmath.mpf(y)) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True))
    distance = mpmath.sqrt(square)
    lost = mpmath.sqrt(square + len(a) * mpmath.mpf(smallest) * mpmath.mpf(eps)) - distance
    return float(distance), float(distance + lost / mpmath.mpf(eps))


def _elementwise(reduce, A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Calls reduce for every row of A and column of B, leading dimensions broadcast."""
    kind = np.finfo(A.dtype)
    smallest, eps = float(kind.smallest_normal), float(kind.eps)
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    A = np.broadcast_to(A, batch + A.shape[-2:]).astype(np.float64)
    B = np.broadcast_to(B, batch + B.shape[-2:]).astype(np.float64)
    value = np.empty((*batch, A.shape[-2], B.shape[-1]))
    scale = np.empty_like(value)
    with mpmath.workprec(PRECISION):
        for index in np.ndindex(value.shape):
            *lead, i, j = index
            value[index], scale[index] = reduce(A[(*lead, i)], B[(*lead, slice(None), j)], smallest, eps)
    mantissa, exponent = np.frexp(scale)
    return value, np.ldexp(np.ceil(mantissa * 64) / 64, exponent)  # six bits suffice for a bound, and compress


def _tropical(A: np.ndarray, B: np.ndarray, identity: float) -> np.ndarray:
    """MAX_PLUS (identity -inf) or MIN_PLUS (+inf) in the inputs' own dtype."""
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    best = np.full((*batch, A.shape[-2], B.shape[-1]), identity, A.dtype)
    poisoned = np.isnan(A).any(axis=-1)[..., :, None] | np.isnan(B).any(axis=-2)[..., None, :]
    for k in range(A.shape[-1]):
        a, b = A[..., :, k, None], B[..., None, k, :]
        with np.errstate(all="ignore"):
            term = np.where((a == identity) | (b == identity), A.dtype.type(identity), a + b)
            better = term > best if identity < 0 else term < best
        best = np.where(better, term, best)
    return np.where(poisoned, A.dtype.type(np.nan), best)


def compute(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    """The product C, and the scale of its bound where it has one."""
    A, B = inputs["A"], inputs["B"]
    if algebra == "boolean":
        return {"C": np.matmul(A.astype(np.int64), B.astype(np.int64)) > 0}, {}
    if algebra.startswith("tropical"):
        return {"C": _tropical(A, B, ANNIHILATOR[algebra])}, {}
    value, scale = _elementwise({"real": _real, "log": _log, "euclidean": _euclidean}[algebra], A, B)
    if A.dtype == np.float16:  # where rounding overflows
        value = np.where(np.abs(value) >= 65520, np.copysign(np.inf, value), value)
    return {"C": value}, {"C": scale}


# ---- The cases -------------------------------------------------------------------------------------------------------


class Draw:
    """Random arrays of one cell and case. RandomState's stream is frozen by NumPy; only exact operations follow it."""

    def __init__(self, algebra: str, dtype: str, case: str) -> None:
        self.dtype = np.dtype(dtype)
        self.random = np.random.RandomState(zlib.crc32(f"{algebra} {dtype} {case}".encode()))
        self.scale = 4.0 if algebra == "log" else 1.0

    def uniform(self, *shape: int) -> np.ndarray:
        return ((2 * self.random.random_sample(shape) - 1) * self.scale).astype(self.dtype)

    def normal(self, *shape: int) -> np.ndarray:
        """Nearly: a sum of twelve, because the logarithm that a true one needs may round otherwise elsewhere."""
        return (self.random.random_sample((12, *shape)).sum(axis=0) - 6).astype(self.dtype)

    def integers(self, low: int, high: int, *shape: int) -> np.ndarray:
        return self.random.randint(low, high + 1, shape).astype(self.dtype)

    def wide(self, bits: int, *shape: int) -> np.ndarray:
        """Magnitudes from 2^-bits to 2^bits."""
        return np.ldexp(self.uniform(*shape), self.random.randint(-bits, bits + 1, shape)).astype(self.dtype)

    def where(self, probability: float, value: float, array: np.ndarray) -> np.ndarray:
        return np.where(self.random.random_sample(array.shape) < probability, self.dtype.type(value), array)

    def choice(self, values: list[float], *shape: int) -> np.ndarray:
        return np.array(values, self.dtype)[self.random.randint(0, len(values), shape)]


PLAIN = [(8, 16, 9), (19, 29, 23)]
ODD = [(1, 1, 1), (7, 13, 5), (1, 17, 6), (6, 17, 1), (1, 19, 1), (3, 5, 70), (67, 3, 4)]
ZERO = [(3, 0, 4), (0, 5, 4), (3, 5, 0), (0, 0, 0), (1, 0, 1)]
BLOCKS = [(1, 255, 2), (2, 257, 2), (2, 300, 1), (1, 513, 2), (2, 1000, 2)]  # blocks of k are 256 long
BATCHES = {
    "both": ((2, 1, 3, 4), (5, 4, 2)),
    "left": ((2, 3, 4), (4, 5)),
    "right": ((3, 4), (2, 4, 5)),
    "of_none": ((0, 3, 4), (4, 2)),
}


def _shapes(draw_a, draw_b, plain: list[tuple[int, int, int]], blocks: list[tuple[int, int, int]]):
    sizes = {"plain": plain, "odd": ODD, "zero": ZERO, "blocks": blocks}
    for name, triples in sizes.items():
        for m, k, n in triples:
            yield f"{name}_{m}x{k}x{n}", draw_a(m, k), draw_b(k, n)
    for name, (a, b) in BATCHES.items():
        yield f"batch_{name}", draw_a(*a), draw_b(*b)


def _identity(draw: Draw, algebra: str):
    """The annihilator in whole rows and columns, here and there, and around a diagonal of ones."""
    zero, one = ANNIHILATOR[algebra], ONE[algebra]
    a, b = draw.uniform(9, 12), draw.uniform(12, 10)
    a[[0, 4]] = zero
    b[:, [1, 9]] = zero
    yield "identity_dead_rows", a, b
    yield "identity_sparse", draw.where(0.6, zero, draw.uniform(9, 20)), draw.where(0.6, zero, draw.uniform(20, 9))
    yield "identity_all", np.full((3, 300), zero, draw.dtype), draw.integers(-9, 9, 300, 3)
    diagonal = np.full((11, 11), zero, draw.dtype)
    np.fill_diagonal(diagonal, one)
    yield "identity_matrix", draw.uniform(7, 11), diagonal
    late = np.full((2, 600), zero, draw.dtype)
    late[0, 511], late[1, 599] = draw.uniform(2)
    yield "identity_until_late", late, draw.integers(-9, 9, 600, 2)


def _nan(draw: Draw, algebra: str):
    nan = np.nan
    a, b = draw.uniform(6, 9), draw.uniform(9, 7)
    a[1, 2] = b[3, 4] = nan
    yield "nan_row_and_column", a, b
    a, b = draw.uniform(5, 6), draw.uniform(6, 5)
    a[0, 0] = b[0, 1] = nan
    b[0, 0], a[3, 0] = ANNIHILATOR.get(algebra, 0.0), np.inf
    yield "nan_meets_annihilator", a, b
    a, b = draw.integers(-9, 9, 3, 300), draw.integers(-9, 9, 300, 4)
    a[2, 299] = b[257, 0] = nan
    yield "nan_in_a_late_block", a, b
    yield "nan_everywhere", np.full((2, 3), nan, draw.dtype), np.full((3, 2), nan, draw.dtype)


def _infinities(draw: Draw):
    inf = np.inf
    a, b = draw.uniform(5, 6), draw.uniform(6, 5)
    a[1, 2], a[3, 4] = inf, -inf
    yield "infinities_left", a, b
    a, b = draw.uniform(5, 6), draw.uniform(6, 5)
    a[1, 2], b[3, 0], a[2, 0], b[5, 4] = inf, inf, -inf, -inf
    yield "infinities_apart", a, b
    a, b = draw.uniform(4, 5), draw.uniform(5, 4)
    a[0, 1] = b[1, 0] = inf
    a[1, 2] = b[2, 1] = -inf
    yield "infinities_of_one_sign_meet", a, b
    a, b = draw.uniform(4, 5), draw.uniform(5, 4)
    a[0, 1], b[1, 0] = inf, -inf
    a[1, 2], b[2, 1] = -inf, inf
    yield "infinities_of_both_signs_meet", a, b
    yield "infinities_only", draw.choice([inf, -inf], 4, 3), draw.choice([inf, -inf], 3, 4)


def _real_cases(draw: Draw):
    yield from _identity(draw, "real")
    yield "magnitudes", draw.wide(30, 8, 20), draw.wide(30, 20, 8)
    yield "magnitudes_1e15", draw.uniform(5, 9) * draw.dtype.type(1e15), draw.uniform(9, 5) * draw.dtype.type(1e15)
    a, b = draw.uniform(6, 40), draw.uniform(40, 6)
    a[:, 20:], b[20:] = -a[:, :20], b[:20]
    yield "cancellation", a, b
    yield "positive", np.abs(draw.uniform(1, 1000)), np.abs(draw.uniform(1000, 1))
    yield "integers", draw.integers(-9, 9, 5, 300), draw.integers(-9, 9, 300, 4)
    yield "zeros_of_both_signs", draw.choice([0.0, -0.0, 1.0], 6, 5), draw.choice([0.0, -0.0, -1.0], 5, 6)
    tiny = draw.dtype.type(np.finfo(draw.dtype).smallest_normal)
    yield "denormals", draw.uniform(6, 7) * tiny, draw.integers(1, 4, 7, 6)
    yield "denormal_products", draw.uniform(4, 5) * np.sqrt(tiny), draw.uniform(5, 4) * np.sqrt(tiny)


def _log_cases(draw: Draw):
    yield from _identity(draw, "log")
    big = draw.dtype.type(1e4)
    yield "magnitudes_1e4", draw.normal(6, 12) * big, draw.normal(12, 6) * big
    a, b = draw.normal(6, 12), draw.normal(12, 6)
    yield "magnitudes_plus_minus_1e4", a + draw.choice([big, -big], 6, 12), b + draw.choice([big, -big], 12, 6)
    yield "magnitudes_shifted_rows", a + draw.choice([big, -big, 0], 6, 1), b + draw.choice([big, -big, 0], 1, 6)
    # A row's maximum in the first half of k, a column's in the second: the product of their exponentials underflows by
    # e^-h. The steps surround where float32 and float64 run out.
    steps = np.array([20, 40, 50, 55, 60, 80, 87, 95, 104, 120, 300, 600, 700, 708, 745, 800, 1e4], draw.dtype)
    a, b = draw.normal(len(steps), 2, 6), draw.normal(len(steps), 6, 3)
    a[:, :, :3] += steps[:, None, None]
    b[:, 3:] += steps[:, None, None]
    yield "maxima_apart", a, b
    a, b = draw.normal(12, 10), draw.normal(10, 12)
    a[3, 0] += 300
    b[1, 5] += 300
    b[:, 8] -= 300
    yield "maxima_apart_once", a, b
    a, b = draw.integers(-3, 3, 2, 513), draw.integers(-3, 3, 513, 3)
    a[:, 10] += 1000
    b[500] += 1000
    yield "maxima_apart_across_blocks", a, b
    a, b = draw.normal(4, 8), draw.normal(8, 4)
    a[:, 0], b[0] = big, -np.inf
    yield "maxima_absorbed", a, b
    yield "equal_terms", np.zeros((2, 1000), draw.dtype), np.zeros((1000, 2), draw.dtype)
    yield "result_near_zero", np.full((3, 4), -1.3862943611198906), draw.uniform(4, 3) / 4096  # -log 4
    tiny = draw.dtype.type(np.finfo(draw.dtype).smallest_normal)
    yield "denormals", draw.uniform(4, 1) * tiny, np.zeros((1, 3))


def _euclidean_cases(draw: Draw):
    a = draw.uniform(6, 15)
    yield "near_zero_exact", a, a.T.copy()
    # Neighbours in floating point, and points a hair apart at the origin and far from it.
    b = a.T.copy()
    b[3] = np.nextafter(b[3], draw.dtype.type(2))
    yield "near_zero_one_ulp", a, b
    hair = draw.dtype.type(1e-15 if draw.dtype == np.float32 else 1e-140)
    yield "near_zero_at_origin", draw.uniform(6, 5) * hair, draw.uniform(5, 6) * hair
    yield "near_zero_far_away", 4096 + draw.integers(0, 3, 6, 8) / 1024, 4096 + draw.integers(0, 3, 8, 6) / 1024
    yield "near_zero_one_axis", np.eye(5, 300, dtype=draw.dtype) * hair, np.zeros((300, 2), draw.dtype)
    yield "magnitudes", draw.wide(30, 8, 20), draw.wide(30, 20, 8)
    yield "magnitudes_1e15", draw.uniform(5, 9) * draw.dtype.type(1e15), draw.uniform(9, 5) * draw.dtype.type(1e15)
    yield "positive", np.abs(draw.uniform(1, 1000)), np.abs(draw.uniform(1000, 1))
    yield "integers", draw.integers(-9, 9, 5, 300), draw.integers(-9, 9, 300, 4)
    yield "zeros_of_both_signs", draw.choice([0.0, -0.0], 4, 5), draw.choice([0.0, -0.0], 5, 4)
    tiny = draw.dtype.type(np.finfo(draw.dtype).smallest_normal)
    yield "denormals", draw.uniform(4, 5) * tiny, draw.uniform(5, 4) * tiny
    small = np.sqrt(tiny) / 4
    yield "denormal_squares", draw.uniform(4, 5) * small, draw.uniform(5, 4) * small


def _tropical_cases(draw: Draw, algebra: str):
    yield from _identity(draw, algebra)
    worst, sign = ANNIHILATOR[algebra], 1 if ANNIHILATOR[algebra] < 0 else -1
    yield "magnitudes", draw.wide(60, 8, 20), draw.wide(60, 20, 8)
    largest = np.finfo(draw.dtype).max
    yield "overflow", draw.choice([largest, -largest], 5, 2), draw.choice([largest, -largest], 2, 5)
    a, b = draw.where(0.8, worst, draw.wide(9, 6, 30)), draw.where(0.8, worst, draw.wide(9, 30, 6))
    yield "finite_or_annihilator", a, b
    yield "ties", draw.integers(-2, 2, 9, 40), draw.integers(-2, 2, 40, 9)
    yield "ties_rounded", draw.integers(-2, 2, 5, 20) * draw.dtype.type(0.1), draw.integers(-2, 2, 20, 5) / 3
    # -0 arises only as -0 + -0, and of equal zeros the first met stays: the sign tells which that was.
    yield "zeros_of_both_signs", draw.choice([0.0, -0.0], 16, 3), draw.choice([0.0, -0.0], 3, 16)
    a, b = np.full((4, 600), -sign, draw.dtype), np.full((600, 2), -sign, draw.dtype)
    meets = [(10, 270), (255, 256), (511, 512), (3, 599)]
    for row, (first, second) in enumerate(meets):
        for k, zero in ((first, -0.0 if row % 2 else 0.0), (second, 0.0 if row % 2 else -0.0)):
            a[row, k] = zero
            b[k, 0] = zero
    b[:, 1] = -0.0
    yield "zeros_of_both_signs_across_blocks", a, b
    tiny = np.finfo(draw.dtype).smallest_normal
    yield "denormals", draw.uniform(6, 7) * draw.dtype.type(tiny), draw.uniform(7, 6) * draw.dtype.type(tiny)
    step = float(np.finfo(draw.dtype).smallest_subnormal)
    yield "denormals_smallest", draw.choice([step, -step, 0.0, -0.0], 8, 3), draw.choice([step, -step, 0.0, -0.0], 3, 8)


def _boolean_cases(draw: Draw):
    def density(p: float):
        return lambda *shape: draw.random.random_sample(shape) < p

    blocks = [*BLOCKS, *((3, k, 4) for k in (7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 256))]
    yield from _shapes(density(0.25), density(0.25), [*PLAIN, (40, 70, 130)], blocks)
    for p in (0.02, 0.98):
        yield f"density_{round(100 * p)}", density(p)(20, 100), density(p)(100, 30)
    yield "identity_matrix", density(0.5)(9, 33), np.eye(33, dtype=bool)
    a, b = density(0.5)(5, 64), density(0.5)(64, 5)
    a[2], b[:, 3] = False, False
    yield "identity_dead_rows", a, b
    yield "identity_all", np.zeros((3, 300), bool), np.ones((300, 3), bool)
    single = np.zeros((70, 70), bool)
    np.fill_diagonal(single, True)
    yield "one_bit_each", single, np.ones((70, 2), bool)
    disjoint = np.arange(1000) % 2 == 0
    yield "never_meet", np.tile(disjoint, (2, 1)), np.tile(~disjoint, (2, 1)).T.copy()


def cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    """The named inputs of a cell."""

    draw = Draw(algebra, dtype, "cases")

    def all_cases():
        if algebra == "boolean":
            yield from _boolean_cases(draw)
            return
        yield from _shapes(draw.uniform, draw.uniform, PLAIN, BLOCKS)
        if algebra == "real":
            yield from _real_cases(draw)
        elif algebra == "log":
            yield from _log_cases(draw)
        elif algebra == "euclidean":
            yield from _euclidean_cases(draw)
        else:
            yield from _tropical_cases(draw, algebra)
        yield from _infinities(draw)
        yield from _nan(draw, algebra)

    # float16 differs in rounding alone: fewer cases, none beyond its range.
    left_out = {"magnitudes_1e15", "blocks_2x1000x2", "identity_until_late"} if dtype == "float16" else set()
    with np.errstate(over="ignore"):
        drawn = [case for case in all_cases() if case[0] not in left_out]
    for name, a, b in drawn:
        yield name, {"A": np.asarray(a, np.dtype(dtype)), "B": np.asarray(b, np.dtype(dtype))}


DTYPES = {a: (*d, "float16") if a in STORED else d for a, d in ALGEBRAS.items()}
REFERENCES = {"semiring_matmul": Reference(DTYPES, cases, compute)}
