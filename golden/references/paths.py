"""Powers and closures of square matrices.

semiring_power: REAL and LOG by mpmath (LOG on the exponentials). Scale: for REAL n * |A|^n + smallest normal, for LOG
n * (1 + n * the largest |a|). The others by products in turn: integers, whose sums are exact.
semiring_closure: SciPy's shortest paths, of negated costs for MAX_PLUS; BOOLEAN: what is at a finite distance. Exact.
"""

from collections.abc import Iterator

import mpmath
import numpy as np
from scipy.sparse import csgraph

from golden.references import Arrays, Reference, semiring

FLOATS = ("float32", "float64")
TROPICAL = ("tropical_max_plus", "tropical_min_plus")
EXPONENTS = (0, 1, 2, 3, 5, 8, 13)


def _unit(algebra: str, A: np.ndarray) -> np.ndarray:
    one, identity = {"real": (1, 0), "boolean": (True, False), "tropical_min_plus": (0, np.inf)}.get(
        algebra, (0, -np.inf)
    )
    return np.broadcast_to(np.where(np.eye(A.shape[-1], dtype=bool), one, identity), A.shape).astype(A.dtype)


def _exact_power(A: np.ndarray, n: int, log: bool) -> np.ndarray:
    out = np.empty(A.shape)
    with mpmath.workprec(semiring.PRECISION):
        for at in np.ndindex(A.shape[:-2]):
            matrix = mpmath.matrix(A[at].astype(np.float64).tolist())
            power = (matrix.apply(mpmath.exp) if log else matrix) ** n
            out[at] = [[float(mpmath.log(x) if log else x) for x in row] for row in power.tolist()]
    return out


def _power(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    A, n = inputs["A"], int(inputs["n"])
    if n == 0 or A.size == 0:
        C = _unit(algebra, A)
        return {"C": C}, {"C": np.ones(C.shape)} if algebra in ("real", "log") else {}
    if algebra == "real":
        tiny = float(np.finfo(A.dtype).smallest_normal)
        scale = n * _exact_power(np.abs(A), n, False) + n * tiny
        return {"C": _exact_power(A, n, False)}, {"C": scale}
    if algebra == "log":
        C = _exact_power(A, n, True)
        return {"C": C}, {"C": np.full(C.shape, n * (1 + n * float(np.abs(A).max())))}
    C = A
    for _ in range(n - 1):
        C = semiring.compute(algebra, {"A": C, "B": A})[0]["C"].astype(A.dtype)
    return {"C": C}, {}


def _power_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    draw = semiring.Draw(algebra, dtype, "power")

    def elements(*shape: int) -> np.ndarray:
        if algebra == "boolean":
            return draw.random.random_sample(shape) < 0.15
        if algebra in TROPICAL:
            sign = 1 if algebra == "tropical_min_plus" else -1
            return draw.where(0.6, sign * np.inf, sign * draw.integers(0, 40, *shape))
        return draw.uniform(*shape)

    for n in EXPONENTS:
        yield f"plain_{n}", {"A": elements(9, 9), "n": np.array(n)}
    yield "one", {"A": elements(1, 1), "n": np.array(4)}
    yield "batch", {"A": elements(2, 3, 5, 5), "n": np.array(6)}
    yield "empty", {"A": elements(0, 0), "n": np.array(3)}
    yield "none", {"A": elements(0, 3, 3), "n": np.array(0)}


def _closure(algebra: str, inputs: Arrays) -> tuple[Arrays, Arrays]:
    A = inputs["A"]
    C = np.empty(A.shape, bool if algebra == "boolean" else np.float64)
    for at in np.ndindex(A.shape[:-2]):
        if A.shape[-1] == 0:
            continue
        costs = np.where(A[at], 1.0, np.inf) if algebra == "boolean" else A[at].astype(np.float64)
        costs = -costs if algebra == "tropical_max_plus" else costs
        paths = csgraph.floyd_warshall(csgraph.csgraph_from_masked(np.ma.masked_invalid(costs)))
        C[at] = np.isfinite(paths) if algebra == "boolean" else -paths if algebra == "tropical_max_plus" else paths
    return {"C": C if algebra == "boolean" else (C + 0.0).astype(A.dtype)}, {}


def _closure_cases(algebra: str, dtype: str) -> Iterator[tuple[str, Arrays]]:
    draw = semiring.Draw(algebra, dtype, "closure")

    def graph(share: float, *shape: int) -> np.ndarray:
        if algebra == "boolean":
            return draw.random.random_sample(shape) < share
        sign = 1 if algebra == "tropical_min_plus" else -1
        return draw.where(1 - share, sign * np.inf, sign * draw.integers(1, 60, *shape))

    for n, share in ((1, 1.0), (2, 0.8), (7, 0.4), (64, 0.05), (66, 0.04), (100, 0.02)):
        yield f"graph_{n}", {"A": graph(share, n, n)}
    yield "no_edges", {"A": graph(0.0, 6, 6)}
    yield "all_edges", {"A": graph(1.0, 20, 20)}
    yield "batch", {"A": graph(0.3, 2, 2, 8, 8)}
    yield "empty", {"A": graph(0.3, 0, 0)}


REFERENCES = {
    "semiring_power": Reference({a: semiring.ALGEBRAS[a] for a in semiring.ALGEBRAS if a != "euclidean"},
                                _power_cases, _power),
    "semiring_closure": Reference({a: semiring.ALGEBRAS[a] for a in (*TROPICAL, "boolean")},
                                  _closure_cases, _closure),
}  # fmt: skip
