"""docs/accuracy.md is what golden/accuracy.py gives."""

import sys
from pathlib import Path

import pytest

import nitrix

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
