"""Powers and closures of square matrices: what is measured."""

from collections.abc import Callable, Iterator

import numpy as np

Call = Callable[[], object]

EXPONENT = 13  # five products: 1101 in binary


def _square(Case, op: str, algebra: str, dtype: str, n: int, products: int, quick: bool):
    def make(rng: np.random.Generator) -> tuple[np.ndarray]:
        if dtype == "bool":
            return (rng.random((n, n)) < 2 / n,)
        if algebra == "real":
            return ((rng.standard_normal((n, n)) / n**0.5).astype(dtype),)
        sign = -1 if algebra == "tropical_max_plus" else 1  # no cycle is better than standing still
        return ((sign * rng.random((n, n))).astype(dtype),)

    return Case(
        op=op, algebra=algebra, dtype=dtype, size=str(n), make=make, operations=2.0 * n**3 * products,
        bytes=float(2 * n * n * np.dtype(dtype).itemsize), out_shape=(n, n), quick=quick,
    )  # fmt: skip


def power_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """A^EXPONENT."""
    for n in (64, 256, 1024):
        yield _square(Case, "semiring_power", algebra, dtype, n, 5, n == 256)


def power_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    function = nitrix.semiring.semiring_power
    return lambda: function(inputs[0], EXPONENT, semiring=case.algebra, out=out, threads=threads)


def closure_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """All pairs of dense graphs, in operations of one product."""
    for n in (64, 256, 1024, 2048):
        yield _square(Case, "semiring_closure", algebra, dtype, n, 1, n in (256, 1024))


def closure_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    function = nitrix.semiring.semiring_closure
    return lambda: function(inputs[0], semiring=case.algebra, out=out, threads=threads)
