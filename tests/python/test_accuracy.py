"""docs/accuracy.md is what golden/accuracy.py gives."""

import sys
from pathlib import Path

import numpy as np
import pytest

import nitrix
from nitrix.semiring import semiring_matmul

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from golden import accuracy

FUSED = any(t["runs_here"] and t["rounding"] == "fused" and t["priority"] >= 20 for t in nitrix.info()["targets"])


def documented() -> dict[str, dict[str, list[str]]]:
    """For each op, what stands behind "algebra | dtype | K | inputs"."""
    found: dict[str, dict[str, list[str]]] = {}
    text = accuracy.DOCUMENT.read_text()
    for line in text[text.index(accuracy.START) : text.index(accuracy.END)].splitlines():
        if line.startswith("### "):
            op = found.setdefault(line.removeprefix("### "), {})
        elif line.startswith("| ") and not line.startswith("| algebra"):
            key, rest = line.removeprefix("| ").split(" | ", 4)[:4], line.split(" | ", 4)[4]
            op[" | ".join(key)] = [c.strip() for c in rest.rstrip("|").split("|")]
    return found


def test_every_cell_stands_in_the_document():
    wanted = {
        op: {
            f"{c.algebra} | {c.dtype} | {k} | {inputs}"
            for c in cells
            for k in accuracy.SIZES
            for inputs in accuracy.INPUTS
            if (c.dtype == "bool") == (inputs == "half of C true")
        }
        for op, cells in accuracy.measured_cells().items()
    }
    assert {op: set(rows) for op, rows in documented().items()} == wanted, "run `python golden/accuracy.py --write`"


@pytest.mark.parametrize("inputs", ["uniform (0, 1)", "normal"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_sums_are_as_accurate_as_blas(dtype, inputs):
    """REAL at K = 32768 against NumPy's BLAS: the largest error over 4 x 1024 entries."""
    cell = next(c for c in accuracy.measured_cells()["semiring_matmul"] if (c.algebra, c.dtype) == ("real", dtype))
    mine, theirs = [], []
    for seed in range(4):
        a, b = accuracy.draw(cell, 32768, inputs, seed)
        expected = accuracy.reference("real", a, b)
        unit = accuracy.unit("real", a, b, expected)
        mine.append(np.abs(semiring_matmul(a, b) - expected) / unit)
        theirs.append(np.abs(a @ b - expected) / unit)
    assert np.max(mine) <= np.max(theirs), (np.max(mine), np.max(theirs))
    assert np.mean(mine) <= np.mean(theirs), (np.mean(mine), np.mean(theirs))


@pytest.mark.skipif(not FUSED, reason="the document shows the fused rounding class")
@pytest.mark.parametrize("op", accuracy.measured_cells())
def test_figures_are_those_of_this_build(op):
    """At the smallest K; OpenBLAS's columns are the machine's, not ours."""
    for line in accuracy.table(op, accuracy.measured_cells()[op], {}, accuracy.SIZES[:1]):
        if line.startswith("| ") and not line.startswith("| algebra"):
            key, rest = line.removeprefix("| ").split(" | ", 4)[:4], line.split(" | ", 4)[4]
            mine = [c.strip() for c in rest.rstrip("|").split("|")][:3]
            stated = documented()[op][" | ".join(key)][:3]
            assert mine == stated, f"{op} {key}: run `python golden/accuracy.py --write` and look at the change"
