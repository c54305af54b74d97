"""States of products over a part of k (golden/references/semiring.py has the products), and what is made of them.

semiring_matmul_partial: the product of the part, but for LOG, whose state is
    the largest a + b    mpmath, rounded once. Scale: its size, since each sum a + b is rounded.
    sum exp(a + b - it)  mpmath. Scale: the sum times the scale of LOG's product, of which it is the exponential.
  NaN where the product is; the largest is NaN only where an operand is, and -inf absorbs +inf in it. Where it is -inf
  the sum is 0, where it is +inf the sum is 1.
semiring_matmul_merge: one rounded sum (REAL), the left one of equals or the better (MAX_PLUS, MIN_PLUS), or (BOOLEAN):
  NumPy. Exact. LOG: the larger first component, and both sums brought to it; mpmath. Scale: of each sum its size times
  1 + the distance of its first component from the larger one.
semiring_matmul_finalize: the state, but LOG's log(sum) + largest by mpmath. Scale: 1 + |log(sum)| + |largest|.
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

STRICT = {algebra: dtypes for algebra, dtypes in ALGEBRAS.items() if algebra != "euclidean"}
WANTED = re.compile(
    r"plain_8|odd_(1x1x1|7x13x5|1x17x6|3x5x70)|zero_|blocks_2x257|batch_|identity_|magnitudes|ties$|maxima_apart|"
    r"equal_terms|zeros_of_both|denormals$|density_2$|nan_|infinities_"
)


def _coarse(scale: np.ndarray) -> np.ndarray:
    """Six bits suffice for a bound, and compress."""
    mantissa, exponent = np.frexp(scale)
    return np.ldexp(np.ceil(mantissa * 64) / 64, exponent)


def _largest(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """max over k of a + b, which two float64 inputs may give only rounded once; -inf absorbs +inf, NaN stays."""
    terms = A.astype(np.longdouble)[..., :, :, None] + B.astype(np.longdouble)[..., None, :, :]
    absorbed = (-np.inf == A)[..., :, :, None] | (-np.inf == B)[..., None, :, :]
    poisoned = np.isnan(A).any(-1)[..., :, None] | np.isnan(B).any(-2)[..., None, :]
    best = np.where(absorbed, -np.inf, terms).max(axis=-2, initial=-np.inf)
    return np.where(poisoned, np.nan, best).astype(np.float64)


def _partial(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    outputs, scales = product(algebra, inputs)
    if algebra != "log":
        return {"state": outputs["C"]}, {"state": scales["C"]} if scales else {}
    with np.errstate(all="ignore"):
        top = _largest(inputs["A"], inputs["B"])
    value, scale = outputs["C"], scales["C"]
    rows, columns = (np.broadcast_to(x, (*value.shape[:-2], *x.shape[-2:])) for x in (inputs["A"], inputs["B"]))
    sums, error = np.zeros(value.shape), np.zeros(value.shape)
    with mpmath.workprec(PRECISION):
        for at in np.ndindex(value.shape):
            if np.isnan(value[at]):
                sums[at] = np.nan
            elif np.isfinite(top[at]):
                # From the terms themselves: the product is rounded to float64 already.
                *lead, i, j = at
                row, column = rows[(*lead, i)], columns[(*lead, slice(None), j)]
                live = np.isfinite(row) & np.isfinite(column)
                pairs = zip(row[live].tolist(), column[live].tolist(), strict=True)
                exact = mpmath.fsum(mpmath.exp(mpmath.mpf(x) + y - mpmath.mpf(float(top[at]))) for x, y in pairs)
                sums[at], error[at] = float(exact), float(exact) * scale[at]
            else:
                sums[at] = top[at] == np.inf
    size = np.where(np.isfinite(top), np.abs(top), 0)
    return {"state": top, "state_2": sums}, {"state": _coarse(size), "state_2": _coarse(error)}


def _partial_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    for name, inputs in product_cases(algebra, dtype):
        if WANTED.match(name):
            yield name, inputs


def _states(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    """States of the cases of semiring_matmul_partial, as a library would round them."""
    for name, inputs in _partial_cases(algebra, dtype):
        with np.errstate(over="ignore"):
            yield name, {k: x.astype(dtype) for k, x in _partial(algebra, inputs)[0].items()}


def _merge_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    """Each state with one of another part: its own elements in another order, which meets what it did not meet."""
    for name, state in _states(algebra, dtype):
        shape = state["state"].shape
        random = np.random.RandomState(zlib.crc32(f"merge {algebra} {dtype} {name}".encode()))
        order = random.permutation(state["state"].size)
        other = {k: x.reshape(-1)[order].reshape(shape) for k, x in state.items()}
        suffixes = {k: k.removeprefix("state") for k in state}
        left = {f"left{suffixes[k]}": x for k, x in state.items()}
        yield name, left | {f"right{suffixes[k]}": x for k, x in other.items()}
    if algebra == "log":
        # Sums far from 1 and first components far apart, at both ends of what counts.
        gaps = np.array([0, 1e-3, 1, 20, 80, 85.9, 86.1, 100, 600, 699, 701, 1e4], dtype)
        ones = np.ones_like(gaps)
        yield "gaps", {
            "left": gaps[None], "left_2": ones[None], "right": 0 * gaps[None], "right_2": 1000 * ones[None]
        }  # fmt: skip
        yield "broadcast", {
            "left": gaps[None], "left_2": ones[None], "right": np.zeros((2, 1, 12), dtype),
            "right_2": np.ones((2, 1, 12), dtype),
        }  # fmt: skip


def _merge_log(left: tuple, right: tuple, least: float) -> tuple[tuple, tuple]:
    (x, p), (y, q) = left, right
    top = y if y > x else x
    if np.isnan(p) or np.isnan(q) or np.isnan(x) or np.isnan(y):
        return (top, np.nan), (0, 0)
    total = scale = mpmath.mpf(0)
    for value, weight in (left, right):
        # In the exponent, a first component that is not finite counts as 0.
        gap = 0 if value == np.inf else min(value - (top if np.isfinite(top) else 0), 0)
        if gap >= least:
            term = mpmath.mpf(weight) * mpmath.exp(mpmath.mpf(gap))
            total, scale = total + term, scale + term * (1 + abs(mpmath.mpf(gap)))
    return (top, float(total)), (0, float(scale))


def _merge(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    left, right = inputs["left"], inputs["right"]
    if algebra == "boolean":
        return {"state": left | right}, {}
    if algebra == "real":
        with np.errstate(invalid="ignore"):
            return {"state": left + right}, {}
    if algebra != "log":
        better = right > left if ANNIHILATOR[algebra] < 0 else right < left
        nan = np.isnan(left) | np.isnan(right)
        return {"state": np.where(nan, left.dtype.type(np.nan), np.where(better, right, left))}, {}
    least = -700 if left.dtype == np.float64 else -86
    states = np.broadcast_arrays(*(np.asarray(inputs[k], np.float64) for k in ("left", "left_2", "right", "right_2")))
    merged, scale = np.zeros((2, *states[0].shape)), np.zeros((2, *states[0].shape))
    with mpmath.workprec(PRECISION):
        for at in np.ndindex(states[0].shape):
            x, p, y, q = (float(s[at]) for s in states)
            merged[(slice(None), *at)], scale[(slice(None), *at)] = _merge_log((x, p), (y, q), least)
    return {"state": merged[0], "state_2": merged[1]}, {"state": scale[0], "state_2": _coarse(scale[1])}


def _finalize(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    if algebra != "log":
        return {"C": inputs["state"]}, {}
    top, total = (np.asarray(inputs[k], np.float64) for k in ("state", "state_2"))
    value, scale = np.zeros(top.shape), np.zeros(top.shape)
    with mpmath.workprec(PRECISION):
        for at in np.ndindex(top.shape):
            if np.isnan(total[at]) or not np.isfinite(top[at]) or total[at] == 0:
                with np.errstate(divide="ignore"):
                    value[at] = np.log(total[at]) + top[at]
            else:
                log = mpmath.log(float(total[at]))
                value[at], scale[at] = float(log + float(top[at])), float(1 + abs(log) + abs(float(top[at])))
    return {"C": value}, {"C": _coarse(scale)}


REFERENCES = {
    "semiring_matmul_partial": Reference(STRICT, _partial_cases, _partial),
    "semiring_matmul_merge": Reference(STRICT, _merge_cases, _merge),
    "semiring_matmul_finalize": Reference(STRICT, _states, _finalize),
}
