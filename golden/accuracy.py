#!/usr/bin/env python3
"""Measures how far nitrix's results lie from a wider reference: `python golden/accuracy.py --write`.

Writes the tables of docs/accuracy.md, which says what they show; without --write, prints them. `--target TARGET` is for
other variants than nitrix's choice. Needs golden/requirements.txt.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from golden import registry
from golden.call import call
from golden.corpus import Cell, manifest_cells, same_bits
from golden.references import semiring

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
START, END = "<!-- tables: written by `python golden/accuracy.py --write` -->", "<!-- end of the tables -->"
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


def draw(cell: Cell, k: int, inputs: str, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """The operands of a product over k."""
    random = np.random.RandomState(seed)
    a, b = INPUTS[inputs](random, (ROWS, k)), INPUTS[inputs](random, (k, COLUMNS))
    return a.astype(cell.dtype), b.astype(cell.dtype)


def _product(cell: Cell, a: np.ndarray, b: np.ndarray, variant: str | None) -> np.ndarray:
    (got,) = call(cell, {"A": a, "B": b}, variant).values()
    return got


def _merged_parts(cell: Cell, a: np.ndarray, b: np.ndarray, variant: str | None) -> np.ndarray:
    """In seven parts of uneven lengths, merged in order."""
    from nitrix import semiring as s

    k = a.shape[1]
    cuts = [0, *(k * i * i // 49 for i in range(1, 7)), k]
    total = None
    for begin, end in itertools.pairwise(cuts):
        part = s.semiring_matmul_partial(a[:, begin:end], b[begin:end], semiring=cell.algebra)
        total = part if total is None else s.semiring_matmul_merge(total, part, semiring=cell.algebra)
    return s.semiring_matmul_finalize(total, semiring=cell.algebra)


def _convolution(cell: Cell, a: np.ndarray, b: np.ndarray, variant: str | None) -> np.ndarray:
    """The product once more: windows of two positions, side by side, whose channels are k."""
    half = a.shape[1] // 2
    x, window = a.reshape(-1, half), b.reshape(2, half, b.shape[1])
    (got,) = call(cell, {"x": x, "k": window, "stride": np.array([2]), "padding": np.array("VALID")}, variant).values()
    return got


FORWARD = {
    "semiring_matmul": _product,
    "semiring_matmul_partial": _merged_parts,
    "semiring_conv": _convolution,
}


def measure(cell: Cell, k: int, inputs: str, variant: str | None) -> str:
    """One line of the table."""
    a, b = draw(cell, k, inputs)
    got, expected = FORWARD[cell.op](cell, a, b, variant), reference(cell.algebra, a, b)
    head = f"| {cell.algebra} | {cell.dtype} | {k} | {inputs} |"
    if cell.algebra in EXACT:
        wrong = int((~same_bits(got, expected)).sum())
        return f"{head} elements | {wrong or '0 (exact)'} | | | |"
    size = unit(cell.algebra, a, b, expected)
    label = "eps * sum" if cell.algebra == "real" else "ulp"
    line = f"{head} {label} | {_figures(np.abs(got - expected) / size)} |"
    has_peer = cell.algebra == "real" and a.dtype != np.float16  # OpenBLAS has no such product
    peer = _figures(np.abs(a @ b - expected) / size) if has_peer else "|"
    return f"{line} {peer} |"


def measure_gradient(cell: Cell, k: int, inputs: str, variant: str | None) -> str:
    """One line: dA and dB together, in eps times the sum of the terms' sizes. dC is 1 everywhere, C is nitrix's own."""
    from nitrix import semiring as s

    a, b = draw(cell, k, inputs)
    c = s.semiring_matmul(a, b, semiring=cell.algebra)
    got = s.semiring_matmul_vjp(a, b, c, np.ones_like(c), semiring=cell.algebra)
    wide = np.float64 if a.dtype == np.float32 else np.longdouble
    wide_a, wide_b, wide_c = (x.astype(wide) for x in (a, b, c))
    sums = [np.zeros(x.shape, wide) for x in (a, b, a, b)]
    for i in range(ROWS):
        if cell.algebra == "real":
            left, right = wide_b, np.broadcast_to(wide_a[i][:, None], wide_b.shape)
        elif cell.algebra == "log":
            left = right = np.exp(wide_a[i][:, None] + wide_b - wide_c[i])
        elif cell.algebra == "euclidean":
            left = (wide_a[i][:, None] - wide_b) / wide_c[i]
            right = -left
        else:  # the first winner of each entry
            first = np.argmax(a[i][:, None] + b == c[i], axis=0)
            left = right = (np.arange(k)[:, None] == first).astype(wide)
        sums[0][i], sums[2][i] = left.sum(axis=1), np.abs(left).sum(axis=1)
        sums[1] += right
        sums[3] += np.abs(right)
    errors = [np.abs(g - x) for g, x in zip(got, sums[:2], strict=True)]
    head = f"| {cell.algebra} | {cell.dtype} | {k} | {inputs} |"
    if cell.algebra in EXACT:
        wrong = sum(int((e != 0).sum()) for e in errors)
        return f"{head} elements | {wrong or '0 (exact)'} | | | |"
    eps = np.finfo(a.dtype).eps
    units = [np.where(e == 0, 0, e / np.where(x == 0, 1, eps * x)) for e, x in zip(errors, sums[2:], strict=True)]
    return f"{head} eps * sum | {_figures(np.concatenate([u.ravel() for u in units]))} | | |"


def table(op: str, cells: list[Cell], chosen: dict[Cell, str | None], sizes: tuple[int, ...]) -> Iterator[str]:
    """The lines of one op's Markdown table."""
    yield f"### {op}\n"
    yield "| algebra | dtype | K | inputs | unit | nitrix max | nitrix mean | OpenBLAS max | OpenBLAS mean |"
    yield "|---|---|---|---|---|---|---|---|---|"
    one = measure_gradient if op.endswith("_vjp") else measure
    for cell in cells:
        for k in sizes:
            for inputs in INPUTS:
                if (cell.dtype == "bool") == (inputs == "half of C true"):
                    yield one(cell, k, inputs, chosen.get(cell))
    yield ""


def measured_cells() -> dict[str, list[Cell]]:
    """The cells of each op whose errors are measured."""
    ops = [*FORWARD, "semiring_matmul_vjp"]
    return {op: [c for c in manifest_cells() if c.op == op] for op in ops}


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="measure this target's variants (avx2, naive, ...), not nitrix's choice")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="values of K")
    parser.add_argument("--write", action="store_true", help="into docs/accuracy.md")
    options = parser.parse_args(arguments)
    import nitrix

    chosen: dict[Cell, str | None] = {}
    if options.target:
        runnable = [v for v in registry.variants(nitrix.info()) if v.runs_here]
        chosen = {v.cell: v.id for v in runnable if v.target == options.target and not v.condition}
    lines = []
    for op, cells in measured_cells().items():
        if options.target and not all(c in chosen for c in cells):
            print(f"{op}: not all of it has variants of {options.target!r} here: left out", file=sys.stderr)
            continue
        for line in table(op, cells, chosen, tuple(options.sizes)):
            lines.append(line)
            if not options.write:
                print(line, flush=True)
    if options.write:
        before, _, rest = DOCUMENT.read_text().partition(START)
        _, _, after = rest.partition(END)
        DOCUMENT.write_text("\n".join([f"{before}{START}\n", *lines, f"{END}{after}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
