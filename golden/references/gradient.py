"""Gradients of the matrix products of golden/references/semiring.py, and the winners of the tropical ones.

semiring_matmul_vjp: dA[i, k] = sum over j of dC[i, j] w, dB[k, j] = sum over i, with C given (rounded), and
    REAL       w = b and a. mpmath. Scale: the sum of |dC||w| + its length * smallest normal.
    LOG        w = exp(a + b - c), 0 where c is -inf. mpmath. Scale: the sum of |dC| w (1 + |a| + |b| + |c| + headroom),
               plus the sum of |dC| * the square of eps: weights that far below the others are rounded away.
    EUCLIDEAN  w = (a - b) / c and its negative, 0 where c is 0. mpmath. Scale: the sum of |dC||w|, plus its length *
               smallest normal.
    MAX_PLUS, MIN_PLUS  w = 1 at the smallest k that attains C, summed in order in the dtype. Exact.
semiring_matmul_argmax, semiring_matmul_carry: that k, and k // 64; -1 where C is the identity or NaN.
"""

import re
import zlib
from collections.abc import Iterator

import mpmath
import numpy as np

from golden.references import Arrays, Reference
from golden.references.semiring import ALGEBRAS, ANNIHILATOR, PRECISION
from golden.references.semiring import cases as product_cases
from golden.references.semiring import compute as product

FLOATS = ("float32", "float64")
TROPICAL = ("tropical_max_plus", "tropical_min_plus")
WANTED = re.compile(
    r"plain_8|odd_(1x1x1|7x13x5|1x17x6|6x17x1|3x5x70)|zero_|batch_|identity_(dead_rows|all|sparse)|ties|magnitudes|"
    r"maxima_apart$|maxima_apart_once|near_zero|integers|denormals$"
)


def _first_winner(A: np.ndarray, B: np.ndarray, C: np.ndarray, identity: float) -> np.ndarray:
    """The smallest k whose sum, rounded to the dtype, is C; -1 without one."""
    found = np.full(C.shape, -1, np.int32)
    for k in reversed(range(A.shape[-1])):
        with np.errstate(all="ignore"):
            found = np.where(A[..., :, k, None] + B[..., None, k, :] == C, np.int32(k), found)
    return np.where(identity == C, np.int32(-1), found)


def _reduced(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Summed, in order, over the leading dimensions that `shape` lacks or has as 1."""
    while gradient.ndim > len(shape):
        gradient = _in_order(gradient, 0)
    for d, size in enumerate(shape[:-2]):
        if size == 1 and gradient.shape[d] != 1:
            gradient = np.expand_dims(_in_order(gradient, d), d)
    return gradient


def _in_order(array: np.ndarray, axis: int) -> np.ndarray:
    total = np.zeros(np.delete(array.shape, axis), array.dtype)
    for part in np.moveaxis(array, axis, 0):
        total = total + part
    return total


def _tropical(algebra: str, A: np.ndarray, B: np.ndarray, C: np.ndarray, dC: np.ndarray) -> tuple[Arrays, Arrays]:
    winner = _first_winner(A, B, C, ANNIHILATOR[algebra])
    batch = C.shape[:-2]
    dA, dB = np.zeros(A.shape, A.dtype), np.zeros(B.shape, B.dtype)
    for *lead, i, j in np.ndindex(C.shape):
        k = winner[(*lead, i, j)]
        if k >= 0:
            for gradient, at in ((dA, (i, k)), (dB, (k, j))):
                own = lead[len(batch) - (gradient.ndim - 2) :]
                index = tuple(x if size > 1 else 0 for x, size in zip(own, gradient.shape[:-2], strict=True))
                gradient[(*index, *at)] += dC[(*lead, i, j)]
    return {"dA": dA, "dB": dB}, {}


def _weights(algebra: str, a, b, c, top) -> tuple[object, object, object]:
    """The weights for A and B, and what their rounding is relative to. `top`: maximum of A's row plus B's column."""
    if algebra == "real":
        return b, a, 1
    if algebra == "euclidean":
        w = (mpmath.mpf(a) - b) / c if c else mpmath.mpf(0)
        return w, -w, 1
    if c == -np.inf or a == -np.inf or b == -np.inf:
        return 0, 0, 0
    w = mpmath.exp(mpmath.mpf(a) + b - c)
    return w, w, 1 + abs(a) + abs(b) + abs(c) + abs(top - c)


def _exact(algebra: str, A: np.ndarray, B: np.ndarray, C: np.ndarray, dC: np.ndarray) -> tuple[Arrays, Arrays]:
    kind = np.finfo(A.dtype)
    batch, (m, n), depth = C.shape[:-2], C.shape[-2:], A.shape[-1]
    A, B, C, dC = (np.asarray(x, np.float64) for x in (A, B, C, dC))
    shapes = A.shape, B.shape
    A, B = np.broadcast_to(A, (*batch, m, depth)), np.broadcast_to(B, (*batch, depth, n))
    sums = [np.full(x.shape, mpmath.mpf(0), object) for x in (A, B, A, B)]
    floor = mpmath.mpf(float(kind.eps)) ** 2 if algebra == "log" else 0
    with mpmath.workprec(PRECISION):
        for *lead, i, k, j in np.ndindex(*batch, m, depth, n):
            left, right, entry = (*lead, i, k), (*lead, k, j), (*lead, i, j)
            top = A[(*lead, i)].max() + B[(*lead, slice(None), j)].max()
            w = _weights(algebra, float(A[left]), float(B[right]), float(C[entry]), float(top))
            g = mpmath.mpf(float(dC[entry]))
            for at, value, total, scale in ((left, w[0], *sums[::2]), (right, w[1], *sums[1::2])):
                total[at] += g * value
                scale[at] += abs(g) * (abs(mpmath.mpf(value)) * w[2] + floor) + float(kind.smallest_normal)
        total_a, total_b, scale_a, scale_b = (
            _reduced(x, shape) for x, shape in zip(sums, (*shapes, *shapes), strict=True)
        )
    outputs = {"dA": total_a.astype(np.float64), "dB": total_b.astype(np.float64)}
    scales = {}
    for name, x in (("dA", scale_a), ("dB", scale_b)):
        mantissa, exponent = np.frexp(x.astype(np.float64))
        scales[name] = np.ldexp(np.ceil(mantissa * 64) / 64, exponent)
    return outputs, scales


def _cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in product_cases(algebra, dtype):
        if WANTED.match(name):
            yield name, inputs


def _vjp_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in _cases(algebra, dtype):
        if name.startswith(("magnitudes_1e15", "near_zero_one_axis")) or max(inputs["A"].shape[-1:], default=0) > 100:
            continue
        with np.errstate(over="ignore"):
            C = product(algebra, inputs)[0]["C"].astype(dtype)
        random = np.random.RandomState(zlib.crc32(f"gradient {algebra} {dtype} {name}".encode()))
        dC = (2 * random.random_sample(C.shape) - 1).astype(dtype)
        yield name, {**inputs, "C": C, "dC": dC}


def _vjp(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    one = _tropical if algebra in TROPICAL else _exact
    return one(algebra, inputs["A"], inputs["B"], inputs["C"], inputs["dC"])


def _argmax(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    C = product(algebra, inputs)[0]["C"]
    return {"C": C, "index": _first_winner(inputs["A"], inputs["B"], C, ANNIHILATOR[algebra])}, {}


def _carry(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    outputs, scales = _argmax(algebra, inputs)
    return {"C": outputs["C"], "winner": (outputs["index"] // 64).astype(np.int32)}, scales


REFERENCES = {
    "semiring_matmul_vjp": Reference({a: FLOATS for a in ALGEBRAS if a != "boolean"}, _vjp_cases, _vjp),
    "semiring_matmul_argmax": Reference(dict.fromkeys(TROPICAL, FLOATS), _cases, _argmax),
    "semiring_matmul_carry": Reference(dict.fromkeys(TROPICAL, FLOATS), _cases, _carry),
}
