#!/usr/bin/env python3
"""Measures how far nitrix's products lie from a wider reference: `python golden/accuracy.py [--target TARGET] > table`.

Prints the Markdown table of docs/accuracy.md. The reference is float64 for float32, and the processor's long double
(64 bits of mantissa on x86-64) for float64. Units: REAL in eps * sum |a||b|, where the sum's condition cancels out; LOG
and EUCLIDEAN in units in the last place (ulp) of the result; tropical and BOOLEAN as the number of wrong elements. REAL
stands beside NumPy's own product (OpenBLAS) on the same arrays. Needs golden/requirements.txt.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from golden import registry
from golden.call import call
from golden.corpus import Cell, manifest_cells, same_bits
from golden.references import semiring

EXACT = ("tropical_max_plus", "tropical_min_plus", "boolean")
SIZES = (64, 1024, 32768)
ROWS = COLUMNS = 32
SEED = 20240
INPUTS: dict[str, Callable] = {
    "uniform (0, 1)": lambda random, shape: random.random_sample(shape),
    "normal": lambda random, shape: random.standard_normal(shape),
    "half of C true": lambda random, shape: random.random_sample(shape) < np.sqrt(np.log(2) / max(shape)),
}


def _rows(a: np.ndarray, b: np.ndarray, reduce: Callable) -> np.ndarray:
    """reduce(row of a against all of b), row by row: the k x n table of one row is all that is held."""
    return np.stack([reduce(row[:, None], b) for row in a])


def _log_sum_exp(row: np.ndarray, b: np.ndarray) -> np.ndarray:
    term = row + b
    top = term.max(axis=0)
    return top + np.log(np.exp(term - top).sum(axis=0))


def reference(algebra: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product in a wider type than the inputs'; tropical and BOOLEAN in their own, where they are exact."""
    if algebra in EXACT:
        return semiring.compute(algebra, {"A": a, "B": b})[0]["C"]
    wide = np.float64 if a.dtype == np.float32 else np.longdouble
    a, b = a.astype(wide), b.astype(wide)
    if algebra == "real":
        return a @ b
    if algebra == "log":
        return _rows(a, b, _log_sum_exp)
    if algebra == "euclidean":
        return _rows(a, b, lambda row, all_b: np.sqrt(((row - all_b) ** 2).sum(axis=0)))
    raise ValueError(f"golden/accuracy.py has no reference for {algebra!r}: add one")


def unit(algebra: str, a: np.ndarray, b: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """What an error of 1 is, element by element."""
    if algebra == "real":
        return np.finfo(a.dtype).eps * (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64))
    return np.spacing(np.abs(expected).astype(a.dtype)).astype(expected.dtype)


def _figures(errors: np.ndarray) -> str:
    return f"{float(errors.max()):.3g} | {float(errors.mean()):.2g}"


def measure(cell: Cell, k: int, inputs: str, variant: str | None) -> str:
    """One line of the table."""
    random = np.random.RandomState(SEED)
    a, b = INPUTS[inputs](random, (ROWS, k)), INPUTS[inputs](random, (k, COLUMNS))
    a, b = a.astype(cell.dtype), b.astype(cell.dtype)
    (got,) = call(cell, {"A": a, "B": b}, variant).values()
    expected = reference(cell.algebra, a, b)
    head = f"| {cell.algebra} | {cell.dtype} | {k} | {inputs} |"
    if cell.algebra in EXACT:
        wrong = int((~same_bits(got, expected)).sum())
        return f"{head} elements | {wrong or '0 (exact)'} | | | |"
    size = unit(cell.algebra, a, b, expected)
    label = "eps * sum" if cell.algebra == "real" else "ulp"
    line = f"{head} {label} | {_figures(np.abs(got - expected) / size)} |"
    peer = _figures(np.abs(a @ b - expected) / size) if cell.algebra == "real" else "|"
    return f"{line} {peer} |"


def table(cells: list[Cell], chosen: dict[Cell, str | None], sizes: tuple[int, ...]) -> Iterator[str]:
    """The lines of the Markdown table."""
    yield "| algebra | dtype | K | inputs | unit | nitrix max | nitrix mean | OpenBLAS max | OpenBLAS mean |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for cell in cells:
        for k in sizes:
            for inputs in INPUTS:
                if (cell.dtype == "bool") != (inputs == "half of C true"):
                    continue
                yield measure(cell, k, inputs, chosen[cell])


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="measure this target's variants (avx2, naive, ...), not nitrix's choice")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="values of K")
    options = parser.parse_args(arguments)
    import nitrix

    runnable = [v for v in registry.variants(nitrix.info()) if v.runs_here]
    cells = [c for c in manifest_cells() if c.op == "semiring_matmul" and any(v.cell == c for v in runnable)]
    chosen: dict[Cell, str | None] = dict.fromkeys(cells)
    if options.target:
        chosen |= {v.cell: v.id for v in runnable if v.target == options.target and not v.condition}
        lacking = [str(c) for c, identifier in chosen.items() if identifier is None]
        if lacking:
            parser.error(f"this machine runs no variant of {options.target!r} for {', '.join(lacking)}")
    command = "python golden/accuracy.py" + (f" --target {options.target}" if options.target else "")
    print(f"<!-- written by `{command}`: {ROWS} x K x {COLUMNS}, nitrix {nitrix.__version__} -->")
    for line in table(cells, chosen, tuple(options.sizes)):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
