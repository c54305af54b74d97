"""The manifest's validator, the targets' front matter, and the enumeration of variants."""

import dataclasses
import re

import pytest
from plan.algebras import AlgebraError
from plan.algebras import discover as discover_algebras
from plan.headers import write_header
from plan.manifest import ManifestError, load, parse_shape
from plan.policy import check_choice, check_features, check_references
from plan.targets import TargetError, discover, read
from plan.variants import PlanError, enumerate_variants

GOOD = """
[op.product]
area = "semiring"
doc = "A product."
family = "contraction"
shape = "(m,k),(k,n)->(m,n)"
algebras = ["real"]
dtypes = ["float32"]
arguments = [
  { name = "A", role = "input", dtype = "T", doc = "left" },
  { name = "B", role = "input", dtype = "T", doc = "right" },
  { name = "C", role = "output", dtype = "T", doc = "result" },
]
"""


def load_text(tmp_path, text, algebras=("real", "log")):
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    return load(path, list(algebras))


def test_the_manifest_of_this_tree_is_valid(root):
    algebras = sorted(p.stem for p in (root / "generators/algebra").glob("*.h"))
    assert "semiring_matmul" in [op.name for op in load(root / "generators/manifest.toml", algebras)]


def test_a_good_entry(tmp_path):
    (op,) = load_text(tmp_path, GOOD)
    assert op.dims == ("m", "k", "n")
    assert [a.dims for a in op.arguments] == [("m", "k"), ("k", "n"), ("m", "n")]
    assert op.kebab == "product"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"(m,k),(k,n)->(m,n)"', '"m,k->n"', r"no gufunc signature; write for example"),
        ('"(m,k),(k,n)->(m,n)"', '"(m,k),(k,n)->(m,p)"', r"output dimension 'p' is in no input; use one of k, m, n"),
        ('["real"]', '["rael"]', r"got 'rael'; write one of real, log, or add generators/algebra/rael.h"),
        ('["float32"]', '["float31"]', r"dtypes: got 'float31'; write one of 'float32'"),
        ('["float32"]', "[]", r"lacks 'dtypes'"),
        ('role = "output"', 'role = "input"', r"wrong side of '->'"),
        ('role = "output"', 'role = "result"', r"write one of 'input', 'structure', 'output'"),
        ('name = "B"', 'name = "a"', r"two arguments are called 'a'"),
        ('family = "contraction"', 'family = "contract"', r"family: got 'contract'; write one of 'contraction'"),
        ('doc = "A product."', "", r"lacks 'doc'"),
        ('doc = "A product."', 'doc = "x"\nspeed = 3', r"unknown key 'speed'; known keys"),
        ("[op.product]", "[op.Product]", r"not snake_case"),
        ("[op.product]", "[operator.product]", r"unknown table 'operator'"),
        ("area =", 'backward = "nothing"\narea =', r"backward: got 'nothing'; write the name of another entry"),
        ("shape =", 'shape_classes = [{ name = "tall", when = "n == 1" }]\nshape =', r"no class serves every shape"),
        ("[op.product]", "[op.product", r"manifest.toml"),
    ],
)  # fmt: skip
def test_a_mistake_says_what_to_write_instead(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(ManifestError, match=message):
        load_text(tmp_path, GOOD.replace(old, new, 1))


def test_shapes_may_have_scalars_and_several_outputs():
    assert parse_shape("", "(n),()->(n),()") == [("n",), (), ("n",), ()]


def test_targets_of_this_tree(root):
    names = [t.name for t in discover(root / "schedules", "x86-64")]
    assert names == ["naive_unfused", "naive", "sse41_emulated", "sse41", "avx2", "avx512"]


def test_front_matter_mistakes(tmp_path):
    path = tmp_path / "fast.cpp"
    path.write_text("// no front matter\n")
    with pytest.raises(TargetError, match=r"fast.cpp: front matter.*like that of schedules/avx2.cpp"):
        read(path)
    path.write_text(
        '// [target]\n// arch = ["x86-64"]\n// halide = []\n// cpu = []\n// rounding = "round"\n// priority = 1\n'
    )
    with pytest.raises(TargetError, match="must be 'fused', 'unfused' or 'emulated'"):
        read(path)


def test_variants_have_stable_ids_and_naive_is_always_there(tmp_path, root):
    ops = load_text(tmp_path, GOOD)
    targets = discover(root / "schedules", "x86-64")
    ids = [v.id for v in enumerate_variants(ops, targets)]
    names = ("avx512", "avx2", "sse41", "sse41-emulated", "naive", "naive-unfused")
    assert ids == [f"product/real/f32/any/{t}" for t in names]
    assert [v.id for v in enumerate_variants(ops, targets, "avx2$")] == [
        "product/real/f32/any/avx2",
        "product/real/f32/any/naive",
    ]


def test_an_algebra_takes_the_dtypes_it_is_defined_on(tmp_path, root):
    facts = discover_algebras(root / "generators/algebra")
    dtypes = {name: f.dtypes for name, f in facts.items()}
    assert dtypes["boolean"] == ("uint8", "uint32") and dtypes["real"] == ("float32", "float64")
    assert {name for name, f in facts.items() if f.components > 1} == {"log"}
    text = GOOD.replace('["real"]', '["real", "boolean"]').replace('["float32"]', '["float32", "uint8"]')
    targets = discover(root / "schedules", "x86-64")
    ops = load_text(tmp_path, text, list(dtypes))
    cells = {v.id.rsplit("/", 2)[0] for v in enumerate_variants(ops, targets, "", dtypes)}
    assert cells == {"product/real/f32", "product/boolean/u8"}
    with pytest.raises(PlanError, match="product with real: no dtype in common; the op has uint8, the algebra float32"):
        only_bytes = load_text(tmp_path, GOOD.replace("float32", "uint8"))
        enumerate_variants(only_bytes, targets, "", dtypes)


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ('dtypes = ["bool"]', r"wrong.h: front matter: dtypes is \['bool'\], must list some of float32"),
        ("strict = true", r"unknown key 'strict'; known keys: dtypes, components"),
        ("components = 0", r"components is 0, must be 1 or more"),
        ("dtypes = [", r"wrong.h: front matter"),
    ],
)
def test_mistakes_in_the_front_matter_of_an_algebra(tmp_path, front, message):
    path = tmp_path / "wrong.h"
    path.write_text(f"// [algebra]\n// {front}\n//\n// A comment.\n")
    with pytest.raises(AlgebraError, match=message):
        discover_algebras(tmp_path)


def variants_of(tmp_path, root, text=GOOD, change=lambda targets: targets):
    targets = change(discover(root / "schedules", "x86-64"))
    return enumerate_variants(load_text(tmp_path, text), targets)


def renamed(name, **changes):
    """Replaces facts of one target."""
    return lambda targets: [dataclasses.replace(t, **changes) if t.name == name else t for t in targets]


def test_equal_priorities_fail(tmp_path, root):
    with pytest.raises(PlanError, match="equal priority 300: give their targets different ones"):
        check_choice(variants_of(tmp_path, root, change=renamed("avx2", priority=30)))


def test_duplicate_names_fail(tmp_path, root):
    variants = variants_of(tmp_path, root)
    with pytest.raises(PlanError, match="two variants are called product/real/f32/any/avx512: rename"):
        check_choice([variants[0], *variants])


def test_a_variant_that_is_never_chosen_fails(tmp_path, root):
    check_choice(variants_of(tmp_path, root))
    with pytest.raises(PlanError, match=r"any/avx512 can never be chosen: .*avx2 serves all.*outranks it; list"):
        check_choice(variants_of(tmp_path, root, change=renamed("avx512", priority=15)))
    # Unfused, the better target leaves it the reproducible calls.
    check_choice(
        variants_of(
            tmp_path, root, change=lambda t: renamed("avx2", rounding="unfused")(renamed("avx512", priority=15)(t))
        )
    )
    special = 'shape_classes = [{ name = "column", when = "n == 1" }, { name = "any" }]\ndtypes'
    with pytest.raises(PlanError, match=r"column/avx512 can never be chosen: .*any/avx512 serves all"):
        check_choice(variants_of(tmp_path, root, GOOD.replace("dtypes", special)))
    # What is inexact hides nothing, and runs when named.
    inexact = 'shape_classes = [{ name = "any" }, { name = "fast", tolerance = 1e-6 }]\ndtypes'
    variants = variants_of(tmp_path, root, GOOD.replace("dtypes", inexact))
    check_choice(variants)
    assert {v.tolerance for v in variants if v.shape_class.name == "fast"} == {1e-6}


def test_a_target_that_never_runs_fails(root):
    targets = discover(root / "schedules", "x86-64")
    check_features(targets, root)
    with pytest.raises(PlanError, match=r"avx2.cpp: cpu feature 'avx3' is unknown.*add it to runtime/cpu_features.cpp"):
        check_features(renamed("avx2", cpu=("avx3",))(targets), root)


@pytest.mark.parametrize(
    ("test", "benchmark", "message"),
    [
        ("", "bench/b.py::b", r'lacks \'test\': write test = "path::name", for example'),
        ("t.cpp::Rows", "", "lacks 'benchmark'"),
        ("u.cpp::Rows", "bench/b.py::b", "there is no file 'u.cpp'; write it first"),
        ("t.cpp::Columns", "bench/b.py::b", "t.cpp does not mention 'Columns'"),
    ],
)
def test_an_op_without_proof_or_measurement_fails(tmp_path, test, benchmark, message):
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/b.py").write_text("def b(): ...")
    (tmp_path / "t.cpp").write_text("TEST(Rows, x)")
    (op,) = load_text(tmp_path, GOOD)
    check_references([dataclasses.replace(op, test="t.cpp::Rows", benchmark="bench/b.py::b")], tmp_path)
    with pytest.raises(PlanError, match=message):
        check_references([dataclasses.replace(op, test=test, benchmark=benchmark)], tmp_path)


def test_the_header_has_a_function_and_its_workspace_size(tmp_path):
    header = write_header(load_text(tmp_path, GOOD))
    assert "nitrix_product(const DLTensor *a, const DLTensor *b, DLTensor *c, const char *semiring," in header
    assert "nitrix_product_workspace_size(" in header


def test_a_state_has_an_array_per_component_of_the_algebra(tmp_path, root):
    text = GOOD.replace('name = "C", role = "output"', 'name = "S", role = "state"').replace(
        'algebras = ["real"]', 'algebras = ["real", "log"]'
    )
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    (op,) = load(path, ["real", "log"], {"log": 2})
    assert [a.name for a in op.arguments_with("real")] == ["A", "B", "S"]
    assert [a.name for a in op.arguments_with("log")] == ["A", "B", "S", "S_2"]
    assert [a.name for a in op.inputs] == ["A", "B"]
    assert "DLTensor *s, DLTensor *s_2, const char *semiring" in write_header([op])
    assert "s_2: [..., m, n], the call's dtype, output, NULL but for log" in write_header([op])
    arguments = {
        v.id: v.generator_arguments("x86-64") for v in enumerate_variants([op], discover(root / "schedules", "x86-64"))
    }
    assert arguments["product/log/f32/any/naive"][-2:] == ["S.size=2", "S.type=float32"]
    assert arguments["product/real/f32/any/naive"][-2:] == ["S.size=1", "S.type=float32"]
    with pytest.raises(ManifestError, match="is a state, and the op has no algebras; name the algebras"):
        load_text(tmp_path, text.replace('algebras = ["real", "log"]', ""))


def test_the_entries_of_the_documentation_are_valid(tmp_path, root):
    blocks = re.findall(r"```toml\n(.*?)```", (root / "docs/manifest.md").read_text(), re.S)
    ops = {op.name: op for op in load_text(tmp_path, "\n".join(blocks), ["real", "log", "tropical_max_plus"])}
    assert set(ops) == {"matmul", "matmul_argmax", "conv", "edge_aggregate", "matmul_partial", "median"}
    assert ops["conv"].ranks == (1, 2, 3) and ops["conv"].arguments[0].dims == ("*spatial", "c_in")
    assert [a.name for a in ops["edge_aggregate"].arguments if a.optional or a.many] == ["edge_attr", "weights"]
    assert ops["matmul"].shape_classes[1].when == "n == 1"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ranks = [1, 2, 3]", "", r"uses \*spatial but lacks 'ranks'"),
        (
            'shape_function = "convolution"',
            'shape_function = "warp"',
            r"got 'warp'; write one of 'bits', 'convolution'",
        ),
        ('dims = "*out, c_out", ', "", r"argument 'y': lacks 'dims'"),
        ('shape_function = "convolution"', "", r"needs one of 'shape' and 'shape_function'"),
        ("min = 1, doc", "min = 1, dok", r"an attribute lacks 'doc'"),
        ('default = [1], min = 1, doc = "step of the k', 'default = 1, doc = "step of the k', r"default 1 is no ints"),
    ],
)
def test_mistakes_under_a_shape_function(tmp_path, root, old, new, message):
    (conv,) = re.findall(r"```toml\n(\[op\.conv\].*?)```", (root / "docs/manifest.md").read_text(), re.S)
    assert old in conv
    with pytest.raises(ManifestError, match=message):
        load_text(tmp_path, conv.replace(old, new, 1))
