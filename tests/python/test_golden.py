"""Every variant that this machine can run against the reference arrays of golden/."""

import sys
from pathlib import Path

import pytest

import nitrix

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from golden import call, corpus, hashes, registry

VARIANTS = registry.variants(nitrix.info())
CELLS = sorted({v.cell for v in VARIANTS})


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_every_cell_of_the_library_has_a_golden(cell):
    assert cell.path.exists(), corpus.how_to_add(cell)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_every_cell_of_the_library_has_a_bound_for_each_backend(cell):
    bounds = corpus.bounds()
    lacking = sorted({v.backend for v in VARIANTS if v.cell == cell and (cell, v.backend) not in bounds})
    assert not lacking, f"add a bound of {cell} for {', '.join(lacking)} to golden/tolerance.toml"


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.runs_here], ids=lambda v: v.id)
def test_variant_meets_its_goldens(variant):
    bound = corpus.bounds()[variant.cell, variant.backend]
    problems, kernel_ran = [], 0
    for case in corpus.load(variant.cell):
        outputs = call.serve(variant, case.inputs)
        if outputs is None:
            continue
        served_by = nitrix.last_variant()
        assert served_by in (variant.id, "none"), f"case {case.name!r} was served by {served_by}"
        kernel_ran += served_by == variant.id
        assert outputs.keys() == case.outputs.keys()
        for name, got in outputs.items():
            dtype = str(case.outputs[name].dtype) if bound.kind == "exact" else variant.cell.dtype
            problems.append(corpus.mismatch(case, name, got, dtype, bound))
    assert kernel_ran, f"no case satisfies {variant.condition!r}: add one to golden/references"
    found = [p for p in problems if p]
    assert not found, "\n".join([f"{variant.id}: {len(found)} of {len(problems)} outputs", *found])


COMPOSED = [c for c in corpus.manifest_cells() if c not in CELLS and c.op in nitrix._ops.OPS]


@pytest.mark.parametrize("backend", ["naive", "cpu"])
@pytest.mark.parametrize("cell", COMPOSED, ids=str)
def test_an_op_composed_of_others_meets_its_goldens(cell, backend):
    bound = corpus.bounds()[cell, backend]
    problems = []
    for case in corpus.load(cell):
        for name, got in call.call(cell, case.inputs, backend=backend).items():
            dtype = str(case.outputs[name].dtype) if bound.kind == "exact" else cell.dtype
            problems.append(corpus.mismatch(case, name, got, dtype, bound))
    found = [p for p in problems if p]
    assert problems and not found, "\n".join([f"{cell} on {backend}: {len(found)} of {len(problems)}", *found])


def test_bits_are_the_pinned_ones():
    measured, problems = hashes.measure(VARIANTS)
    problems += hashes.compare(measured, hashes.read())
    assert not problems, "\n".join(problems)
