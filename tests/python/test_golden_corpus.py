"""The reference arrays themselves: reproducible, complete, right by a second opinion. Needs no nitrix."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from golden import corpus, hashes, make
from golden.references import cells, references
from golden.references import make as make_cases

ROOT = corpus.FOLDER.parent
KNOWN = references()
CELLS = cells(KNOWN)
SEMIRING = [c for c in CELLS if c.op == "semiring_matmul"]
MEMBERS = {
    "": ["plain", "odd", "zero", "blocks", "batch", "identity_all|near_zero"],
    "real": ["identity_dead_rows", "magnitudes", "denormals", "nan_", "infinities_of_both_signs", "cancellation"],
    "log": ["identity_dead_rows", "magnitudes_1e4", "magnitudes_plus_minus_1e4", "maxima_apart", "nan_", "infinities_"],
    "tropical_max_plus": ["zeros_of_both_signs_across_blocks", "infinities_of_both_signs", "ties", "denormals", "nan_"],
    "tropical_min_plus": ["zeros_of_both_signs_across_blocks", "infinities_of_both_signs", "ties", "denormals", "nan_"],
    "euclidean": ["near_zero_exact", "near_zero_one_ulp", "near_zero_at_origin", "nan_", "infinities_"],
    "boolean": ["identity_dead_rows", "identity_matrix", "density"],
}


def cases(cell: corpus.Cell) -> dict[str, corpus.Case]:
    return {case.name: case for case in corpus.load(cell)}


# ---- The files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_committed_arrays_are_what_the_references_give(cell):
    problem = make.check(cell, corpus.pack(make_cases(KNOWN[cell.op], cell)))
    assert problem is None, problem


def test_files_and_references_are_the_same_cells():
    assert corpus.cells() == CELLS


def test_every_cell_of_the_manifest_has_a_golden():
    missing = [c for c in corpus.manifest_cells() if c not in CELLS]
    assert not missing, "\n".join(map(corpus.how_to_add, missing))


def test_a_cell_without_a_golden_is_told_what_to_do():
    with pytest.raises(
        FileNotFoundError, match=r"python golden/make\.py.*golden/data/semiring_kronecker/log-float32\.npz"
    ):
        corpus.load(corpus.Cell("semiring_kronecker", "log", "float32"))


def test_made_twice_the_bytes_are_the_same():
    cell = corpus.Cell("semiring_matmul", "boolean", "bool")
    first, second = (make.npz(corpus.pack(make_cases(KNOWN[cell.op], cell))) for _ in range(2))
    assert first == second


def test_packing_keeps_every_case():
    for cell in CELLS:
        stored = corpus.load(cell)
        again = corpus.unpack(corpus.pack(stored))
        assert [c.name for c in again] == [c.name for c in stored]
        assert make.difference(corpus.pack(stored), corpus.pack(again)) is None


def test_check_finds_a_changed_array(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(corpus, "DATA", tmp_path)
    cell = corpus.Cell("semiring_matmul", "boolean", "bool")
    assert make.main(["--check"]) == 1  # no files at all
    assert "no file" in capsys.readouterr().err
    made = corpus.pack(make_cases(KNOWN[cell.op], cell))
    cell.path.parent.mkdir(parents=True)
    cell.path.write_bytes(make.npz(made))
    assert make.check(cell, made) is None
    name = next(n for n in made if n.endswith("/out/C") and made[n].size)
    cell.path.write_bytes(make.npz(made | {name: ~made[name]}))
    assert f"array {name!r} differs" in make.check(cell, made)
    cell.path.write_bytes(make.npz({n: a for n, a in made.items() if n != name}))
    assert f"array {name!r} is in only one" in make.check(cell, made)


def test_sizes_stay_small():
    sizes = {p: p.stat().st_size for p in corpus.DATA.rglob("*.npz")}
    assert max(sizes.values()) <= make.LARGEST_FILE
    for op in KNOWN:
        assert sum(s for p, s in sizes.items() if p.parent.name == op) <= make.LARGEST_OP


def test_references_never_use_nitrix():
    for path in (ROOT / "golden" / "references").glob("*.py"):
        assert not re.search(r"^\s*(import|from) +nitrix\b", path.read_text(), re.MULTILINE), path.name
    code = "import sys; sys.modules['nitrix'] = None; import golden.make; golden.make.references()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# ---- Tolerances ------------------------------------------------------------------------------------------------------


def test_tolerances_cover_every_cell_and_no_other():
    stated = {key for key in corpus.bounds() if key[1] in corpus.BACKENDS}
    wanted = {(cell, backend) for cell in CELLS for backend in corpus.BACKENDS}
    assert not wanted - stated, f"add to golden/tolerance.toml: {sorted((str(c), b) for c, b in wanted - stated)}"
    extra = {key for key in corpus.bounds() if key[0] not in CELLS}
    assert not extra, f"no such cell, remove from golden/tolerance.toml: {sorted((str(c), b) for c, b in extra)}"


def test_what_is_exact_has_no_scale_and_the_rest_has():
    for (cell, backend), bound in corpus.bounds().items():
        for case in corpus.load(cell):
            wanted = case.outputs.keys() if bound.kind == "scaled" else set()
            assert case.scales.keys() == wanted, f"{cell} on {backend}, case {case.name}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[bound]]\nop="o"\ndtypes=["d"]\nbackends=["b"]\nkind="close"', "must be one of exact, scaled"),
        ('[[bound]]\nop="o"\ndtypes=["d"]\nbackends=["b"]\nkind="scaled"', "positive factor"),
        ('[[bound]]\nop="o"\ndtypes=["d"]\nbackends=["b"]\nkind="exact"\nfactor=1', "positive factor"),
        ('[[bound]]\nop="o"\ndtypes=["d", "d"]\nbackends=["b"]\nkind="exact"', "two bounds"),
        ('[[bound]]\nop="o"\ndtypes=["d"]\nbackends=["b"]\nkind="exact"\nrtol=1', "unknown key 'rtol'"),
    ],
)
def test_nonsense_in_the_tolerance_file_is_refused(tmp_path, text, message):
    path = tmp_path / "tolerance.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        corpus.bounds(path)


def one(expected, scale=None) -> corpus.Case:
    return corpus.Case("c", {}, {"C": np.array(expected)}, {} if scale is None else {"C": np.array(scale)})


EXACT, SCALED = corpus.Bound("exact"), corpus.Bound("scaled", 4)
EPS = 2.0**-23


@pytest.mark.parametrize(
    ("got", "case", "bound", "agrees"),
    [
        ([1.0, -0.0], one(np.float32([1, -0.0])), EXACT, True),
        ([1.0, 0.0], one(np.float32([1, -0.0])), EXACT, False),
        ([np.nan], one(np.float32([np.nan])), EXACT, True),
        ([np.nan], one(np.float32([-np.inf])), EXACT, False),
        ([1 + EPS], one(np.float32([1])), EXACT, False),
        ([1 + 4 * EPS], one([1.0], [1.0]), SCALED, True),
        ([1 + 5 * EPS], one([1.0], [1.0]), SCALED, False),
        ([1 + 5 * EPS], one([1.0], [2.0]), SCALED, True),
        ([0.0], one([0.0], [0.0]), SCALED, True),
        ([1e-45], one([0.0], [0.0]), SCALED, False),
        ([np.inf], one([np.inf], [0.0]), SCALED, True),
        ([np.inf], one([-np.inf], [0.0]), SCALED, False),
        ([np.inf], one([1.0], [np.inf]), SCALED, False),
        ([np.nan], one([1.0], [1.0]), SCALED, False),
        ([1.0], one([np.nan], [1.0]), SCALED, False),
        ([np.nan], one([np.nan], [0.0]), SCALED, True),
        ([1.0, 1.0], one([1.0], [1.0]), SCALED, False),
    ],
)
def test_comparison(got, case, bound, agrees):
    assert (corpus.mismatch(case, "C", np.array(got, np.float32), "float32", bound) is None) == agrees


def test_comparison_asks_for_the_dtype():
    assert "dtype is float64" in corpus.mismatch(one([1.0], [1.0]), "C", np.array([1.0]), "float32", SCALED)


# ---- The members -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", SEMIRING, ids=str)
def test_members(cell):
    names = list(cases(cell))
    for wanted in MEMBERS[""] + MEMBERS[cell.algebra]:
        assert any(re.match(wanted, n) for n in names), f"{cell} has no case {wanted!r}"


@pytest.mark.parametrize("cell", SEMIRING, ids=str)
def test_second_opinion(cell):
    """SciPy and NumPy on the well-conditioned cases, within what their own rounding allows."""
    for name, case in cases(cell).items():
        a, b, c = case.inputs["A"], case.inputs["B"], case.outputs["C"]
        if not name.startswith(("plain", "odd", "blocks", "batch", "positive", "density")):
            continue
        wide = [x.astype(np.longdouble) for x in (a, b)]
        if cell.algebra == "boolean":
            assert np.array_equal(c, np.einsum("...mk,...kn->...mn", a, b))
        elif cell.algebra == "real":
            assert np.allclose(c, np.matmul(*wide).astype(np.float64), rtol=0, atol=1e-12)
        elif cell.algebra == "log":
            terms = (wide[0][..., :, :, None] + wide[1][..., None, :, :]).astype(np.float64)
            assert np.allclose(c, logsumexp(terms, axis=-2), rtol=1e-13, atol=1e-13)
        elif cell.algebra == "euclidean":
            if c.ndim == 2:
                assert np.allclose(c, cdist(*(x.astype(np.float64) for x in (a, b.T))), rtol=1e-13)
        else:
            terms = a[..., :, :, None] + b[..., None, :, :]
            pick = np.max if cell.algebra == "tropical_max_plus" else np.min
            assert np.array_equal(c, pick(terms, axis=-2))


@pytest.mark.parametrize("algebra", ["real", "log", "tropical_max_plus", "tropical_min_plus", "euclidean", "boolean"])
def test_nothing_to_reduce_gives_the_identity(algebra):
    identity = {"log": -np.inf, "tropical_max_plus": -np.inf, "tropical_min_plus": np.inf}.get(algebra, 0)
    for cell in [c for c in SEMIRING if c.algebra == algebra]:
        got = cases(cell)["zero_3x0x4"].outputs["C"]
        assert got.shape == (3, 4)
        assert (got == identity).all()


@pytest.mark.parametrize("algebra", ["tropical_max_plus", "tropical_min_plus"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tropical_annihilator_absorbs_the_opposite_infinity(algebra, dtype):
    inf = np.inf if algebra == "tropical_max_plus" else -np.inf
    reference = KNOWN["semiring_matmul"].compute
    a, b = np.array([[-inf], [inf]], dtype), np.array([[inf, -inf]], dtype)
    assert np.array_equal(reference(algebra, {"A": a, "B": b})[0]["C"], np.array([[-inf, -inf], [inf, -inf]], dtype))
    stored = cases(corpus.Cell("semiring_matmul", algebra, dtype))["infinities_of_both_signs_meet"]
    with np.errstate(invalid="ignore"):
        meets = np.isnan(stored.inputs["A"][:, :, None] + stored.inputs["B"]).any(axis=1)
    assert meets.any()
    assert not np.isnan(stored.outputs["C"]).any()


@pytest.mark.parametrize("cell", [c for c in SEMIRING if c.dtype != "bool"], ids=str)
def test_nan_reaches_whatever_reads_it(cell):
    for name, case in cases(cell).items():
        reads = np.isnan(case.inputs["A"]).any(-1)[..., :, None] | np.isnan(case.inputs["B"]).any(-2)[..., None, :]
        assert np.isnan(case.outputs["C"])[reads].all(), name
        if cell.algebra.startswith("tropical"):
            assert not np.isnan(case.outputs["C"])[~reads].any(), name


@pytest.mark.parametrize("algebra", ["tropical_max_plus", "tropical_min_plus"])
def test_of_equal_zeros_the_first_met_stays(algebra):
    case = cases(corpus.Cell("semiring_matmul", algebra, "float32"))["zeros_of_both_signs_across_blocks"]
    assert (case.outputs["C"][:, 0] == 0).all()
    assert np.signbit(case.outputs["C"][:, 0]).tolist() == [False, True, False, True]


def test_denormals_are_not_flushed():
    for cell in SEMIRING:
        if cell.algebra.startswith(("tropical", "real")):
            c = np.abs(cases(cell)["denormals"].outputs["C"])
            assert ((c > 0) & (c < np.finfo(cell.dtype).smallest_normal)).any(), cell


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_has_entries_whose_scaled_sum_underflows(dtype):
    case = cases(corpus.Cell("semiring_matmul", "log", dtype))["maxima_apart"]
    a, b = case.inputs["A"], case.inputs["B"]
    product = np.exp(a - a.max(-1, keepdims=True)) @ np.exp(b - b.max(-2, keepdims=True))
    assert (product == 0).any()
    assert (product > 1e-3 * np.finfo(dtype).eps).any()
    assert np.isfinite(case.outputs["C"]).all()


# ---- Hashes ----------------------------------------------------------------------------------------------------------


def test_digest_sees_bits_shape_and_dtype_but_one_nan():
    base = np.float32([1, np.nan, 0.0])
    other_nan = base.copy()
    other_nan.view(np.uint32)[1] ^= 1
    digest = hashes.digest([("c", base)])
    assert digest == hashes.digest([("c", other_nan)])
    assert digest == hashes.digest([("c", base.astype(">f4"))])
    for other in (np.float32([1, np.nan, -0.0]), base[None], base.astype(np.float64)):
        assert digest != hashes.digest([("c", other)])
    assert digest != hashes.digest([("d", base)])


def test_hashes_survive_the_file_and_differences_are_told(tmp_path):
    cell = SEMIRING[0]
    entry = {"inputs": "1", "outputs": "2"}
    hashes.write({cell: entry}, tmp_path / "h.toml")
    pinned = hashes.read(tmp_path / "h.toml")
    assert pinned == {cell: entry}
    assert hashes.compare({cell: entry}, pinned) == []
    assert "output bits changed" in hashes.compare({cell: entry | {"outputs": "3"}}, pinned)[0]
    assert "inputs changed" in hashes.compare({cell: {"inputs": "0", "outputs": "3"}}, pinned)[0]
    assert "no hash is pinned" in hashes.compare({cell: entry}, {})[0]
    other = dataclasses.replace(cell, dtype="float16")
    assert "no such cell" in hashes.compare({cell: entry}, pinned | {other: entry})[0]
