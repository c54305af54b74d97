"""Reads and checks generators/manifest.toml (docs/manifest.md explains the schema)."""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "float16", "bfloat16", "uint32")
STORAGE = ("float16", "bfloat16")  # what runtime/storage.cpp widens to float32 and narrows
FAMILIES = (
    "contraction",
    "log_sum_exp",
    "refinement",
    "pointwise",
    "gather_product",
    "gather_dot",
    "stencil",
    "stencil_gradient",
    "gather_reduce",
    "select",
)
ROLES = ("input", "structure", "output", "state", "residual")
INPUT_ROLES = ("input", "structure")
SHAPE_FUNCTIONS = ("bits", "convolution", "edge_aggregate", "nearest", "window")
# What runtime/shapes has, and the numbers that it derives from the attributes for the kernel, outermost axis first.
DERIVED_DIMS = {
    "convolution": tuple(f"{n}{axis}" for n in ("stride", "dilation", "before") for axis in range(3)),
    "nearest": (),
    "bits": (),
}
ATTRIBUTE_TYPES = ("int", "float", "string", "ints")
NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
OP_KEYS = {
    "area", "doc", "family", "shape", "algebras", "dtypes", "arguments", "attributes", "backward", "residuals",
    "indirect_axis", "shape_classes", "orchestrated", "composed", "internal", "refuses", "shape_function", "ranks",
    "flops", "test", "benchmark", "attributes_of", "planned", "free_outputs", "storage",
}  # fmt: skip


class ManifestError(Exception):
    """A mistake in the manifest; the message says where and what to write instead."""


@dataclasses.dataclass(frozen=True)
class Argument:
    name: str
    role: str
    dtype: str  # "T" (the op's dtype), "index" (int32 or int64) or one of DTYPES
    doc: str
    dims: tuple[str, ...]  # core dimensions, outermost first; "*spatial" stands for as many as the call's rank
    optional: bool = False
    many: bool = False  # a list of arrays
    # Of an internal op: its kernels take rows with all that lies in the lines of memory in which they lie.
    in_lines: bool = False
    like: str | None = None  # an output with the leading dimensions of that input, not with the broadcast ones
    is_input: bool = True
    # Of role "state", an entry stands for one array per component of the algebra's state. Which of them this is, and
    # the algebras that have it (none named: all).
    component: int = 0
    algebras: tuple[str, ...] = ()

    @property
    def generator_name(self) -> str:
        """What the generator calls it: the components of a state are an array of buffers."""
        return self.name if not self.component else self.name.removesuffix(f"_{self.component + 1}")


@dataclasses.dataclass(frozen=True)
class Attribute:
    name: str
    type: str
    default: int | float | str | list | None
    doc: str
    minimum: float | None = None
    maximum: float | None = None


@dataclasses.dataclass(frozen=True)
class ShapeClass:
    name: str
    when: str  # condition on the dimensions, as C++ ("n == 1"); empty: always
    tolerance: float = 0.0  # largest relative error against the reference; only 0 is chosen unless named


@dataclasses.dataclass(frozen=True)
class Op:
    name: str
    area: str
    doc: str
    family: str
    shape: str
    algebras: tuple[str, ...]
    dtypes: tuple[str, ...]
    arguments: tuple[Argument, ...]
    attributes: tuple[Attribute, ...]
    shape_classes: tuple[ShapeClass, ...]
    backward: str | None = None
    orchestrated: bool = False
    composed: bool = False  # by runtime/ops/<name>.cpp, of calls of other ops; no kernel of its own
    planned: bool = False  # runtime/ops/<name>.cpp may serve a call by helpers instead of its kernel
    internal: bool = False  # a kernel for other ops: no function of its own in C or Python
    refuses: tuple[tuple[str, str], ...] = ()  # algebras that make no sense here, and why
    shape_function: str | None = None  # where a gufunc signature does not say it all
    ranks: tuple[int, ...] = ()  # what "*spatial" may stand for
    indirect_axis: str | None = None
    flops: str = ""  # of one item of the batch, as C++ over the dimensions
    test: str = ""  # what proves its variants right, as "path::name"
    benchmark: str = ""  # what measures it, as "path::name"
    # Of what calls may be stored in while they are computed in float32: dtypes, and the algebras for which they may.
    storage: tuple[str, ...] = ()
    storage_algebras: tuple[str, ...] = ()

    @property
    def kebab(self) -> str:
        return self.name.replace("_", "-")

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the core dimensions, in order of first appearance; "*spatial" is spatial0, spatial1, ..."""
        return tuple(dict.fromkeys(d for a in self.arguments for d in self.expanded(a)))

    @property
    def derived_dims(self) -> tuple[str, ...]:
        """What the shape function adds to them from the attributes: scalar arguments of the kernel."""
        return DERIVED_DIMS.get(self.shape_function or "", ())

    def expanded(self, argument: Argument) -> list[str]:
        """The argument's core dimensions at the highest rank: a call of a lower one has 1s in front."""
        axes = range(max(self.ranks, default=0))
        return [n for d in argument.dims for n in ([f"{d[1:]}{axis}" for axis in axes] if d[0] == "*" else [d])]

    @property
    def signature(self) -> str:
        """As a gufunc signature: "(*spatial,c_in),(*window,c_in,c_out)->(*out,c_out)" under a shape function."""
        groups = [f"({','.join(a.dims)})" for a in self.arguments]
        n = len(self.inputs)
        return self.shape or f"{','.join(groups[:n])}->{','.join(groups[n:])}"

    @property
    def inputs(self) -> tuple[Argument, ...]:
        return tuple(a for a in self.arguments if a.is_input)

    def arguments_with(self, algebra: str) -> tuple[Argument, ...]:
        """Those that a call over that algebra has."""
        return tuple(a for a in self.arguments if not a.algebras or algebra in a.algebras)


def _fail(where: str, problem: str, remedy: str) -> None:
    raise ManifestError(f"manifest: {where}: {problem}; {remedy}")


def _one_of(where: str, value: object, known: tuple[str, ...] | list[str]) -> None:
    if value not in known:
        _fail(where, f"got {value!r}", f"write one of {', '.join(map(repr, known))}")


def parse_shape(where: str, shape: str, bound_by_inputs: bool = True) -> list[tuple[str, ...]]:
    """'(m,k),(k,n)->(m,n)' -> [('m','k'), ('k','n'), ('m','n')]."""
    group = r"\(\s*(?:[a-z]\w*\s*(?:,\s*[a-z]\w*\s*)*)?\)"
    if not re.fullmatch(rf"{group}(,{group})*->{group}(,{group})*", shape.replace(" ", "")):
        _fail(where, f"shape {shape!r} is no gufunc signature", "write for example '(m,k),(k,n)->(m,n)'")
    groups = re.findall(r"\(([^)]*)\)", shape)
    inputs = shape.replace(" ", "").split("->")[0].count("(")
    parsed = [tuple(d.strip() for d in g.split(",") if d.strip()) for g in groups]
    known = {d for g in parsed[:inputs] for d in g}
    for dims in parsed[inputs:]:
        for d in dims:
            if bound_by_inputs and d not in known:
                _fail(where, f"output dimension {d!r} is in no input", f"use one of {', '.join(sorted(known))}")
    return parsed


def _argument(where: str, entry: dict, dims: tuple[str, ...], is_input: bool) -> Argument:
    for key in ("name", "role", "dtype", "doc"):
        if not isinstance(entry.get(key), str):
            _fail(where, f"an argument lacks {key!r}", f'write {key} = "..."')
    unknown = set(entry) - {"name", "role", "dtype", "doc", "optional", "many", "in_lines", "dims", "like"}
    if unknown:
        _fail(where, f"unknown key {sorted(unknown)[0]!r}", "remove it, or teach schedules/plan/manifest.py about it")
    where = f"{where} {entry['name']!r}"
    if not NAME.match(entry["name"]):
        _fail(where, "the name is not an identifier", "use letters, digits and _")
    _one_of(f"{where}: role", entry["role"], ROLES)
    _one_of(f"{where}: dtype", entry["dtype"], ("T", "index", *DTYPES))
    flags = [bool(entry.get(key)) for key in ("optional", "many", "in_lines")]
    return Argument(
        entry["name"], entry["role"], entry["dtype"], entry["doc"], dims, *flags, entry.get("like"), is_input
    )


def _components(argument: Argument, counts: Mapping[str, int]) -> list[Argument]:
    """One argument for each component of a state, of the algebras that have so many."""
    if argument.role != "state":
        return [argument]
    ordinal = ("first", "second", "third")
    return [
        dataclasses.replace(
            argument,
            name=argument.name if not i else f"{argument.name}_{i + 1}",
            doc=argument.doc if not i else f"its {ordinal[i]} component",
            component=i,
            algebras=() if not i else tuple(a for a, n in counts.items() if n > i),
        )
        for i in range(max(counts.values(), default=1))
    ]


def _groups(where: str, entry: dict) -> list[tuple[str, ...]]:
    """The core dimensions of each argument: from the gufunc signature, or from `dims` under a shape function."""
    if ("shape" in entry) == ("shape_function" in entry):
        _fail(
            where, "needs one of 'shape' and 'shape_function'", 'write shape = "(m,k),(k,n)->(m,n)" if that says it all'
        )
    if "shape" in entry:
        # The caller of a helper, and of an op with free_outputs, gives the output.
        groups = parse_shape(where, entry["shape"], not (entry.get("internal") or entry.get("free_outputs")))
        if len(groups) != len(entry["arguments"]):
            _fail(where, f"shape names {len(groups)} arrays, arguments {len(entry['arguments'])}",
                  "give one group for each")  # fmt: skip
        return groups
    _one_of(f"{where}: shape_function", entry["shape_function"], SHAPE_FUNCTIONS)
    for a in entry["arguments"]:
        if not isinstance(a.get("dims"), str):
            _fail(f"{where} argument {a.get('name')!r}", "lacks 'dims', which a shape function needs",
                  'write for example dims = "*spatial, c_in"')  # fmt: skip
        if "*" in a["dims"] and not entry.get("ranks"):
            _fail(where, "uses *spatial but lacks 'ranks'", "write ranks = [1, 2, 3]")
    return [tuple(d.strip() for d in a["dims"].split(",") if d.strip()) for a in entry["arguments"]]


def _attribute(where: str, entry: dict) -> Attribute:
    for key in ("name", "type", "doc"):
        if not isinstance(entry.get(key), str):
            _fail(where, f"an attribute lacks {key!r}", f'write {key} = "..."')
    where = f"{where} {entry['name']!r}"
    _one_of(f"{where}: type", entry["type"], ATTRIBUTE_TYPES)
    kinds = {"int": int, "float": (int, float), "string": str, "ints": list}
    default = entry.get("default")
    if default is not None and not isinstance(default, kinds[entry["type"]]):
        _fail(where, f"default {default!r} is no {entry['type']}", f"write a {entry['type']}")
    return Attribute(entry["name"], entry["type"], default, entry["doc"], entry.get("min"), entry.get("max"))


def _shape_class(where: str, entry: dict) -> ShapeClass:
    unknown = set(entry) - {"name", "when", "tolerance"}
    if unknown or "name" not in entry:
        _fail(f"{where}: shape_classes", f"got {entry!r}", "write { name, when, tolerance }, of which name is required")
    tolerance = entry.get("tolerance", 0)
    if not isinstance(tolerance, (int, float)) or tolerance < 0:
        _fail(f"{where}: shape_classes", f"tolerance is {tolerance!r}", "write a relative error, or leave it out for 0")
    return ShapeClass(entry["name"], entry.get("when", ""), float(tolerance))


def _storage(where: str, entry: dict, algebras: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if set(entry) - {"dtypes", "algebras"}:
        _fail(f"{where}: storage", f"got {entry!r}", 'write { dtypes = ["float16"], algebras = ["real"] }')
    for dtype in entry.get("dtypes", []):
        _one_of(f"{where}: storage: dtypes", dtype, STORAGE)
    for algebra in entry.get("algebras", []):
        _one_of(f"{where}: storage: algebras", algebra, algebras)
    return tuple(entry.get("dtypes", [])), tuple(entry.get("algebras", []))


def _op(name: str, entry: dict, algebras: list[str], ops: list[str], components: Mapping[str, int]) -> Op:
    where = f"[op.{name}]"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        _fail(where, "the name is not snake_case", "use lower-case letters, digits and _")
    unknown = set(entry) - OP_KEYS
    if unknown:
        _fail(where, f"unknown key {sorted(unknown)[0]!r}", f"known keys: {', '.join(sorted(OP_KEYS))}")
    for key in ("area", "doc", *(() if entry.get("composed") else ("family",))):
        if not isinstance(entry.get(key), str) or not entry[key]:
            _fail(where, f"lacks {key!r}", f'write {key} = "..."')
    for key in ("dtypes", "arguments"):
        if not isinstance(entry.get(key), list) or not entry[key]:
            _fail(where, f"lacks {key!r}", f"write {key} = [...]")
    if not entry.get("composed"):
        _one_of(f"{where}: family", entry["family"], FAMILIES)
    for dtype in entry["dtypes"]:
        _one_of(f"{where}: dtypes", dtype, DTYPES)
    chosen = entry.get("algebras", [])
    for algebra in chosen:
        if algebra not in algebras:
            _fail(f"{where}: algebras", f"got {algebra!r}",
                  f"write one of {', '.join(algebras)}, or add generators/algebra/{algebra}.h")  # fmt: skip
    groups = _groups(where, entry)
    roles = [a.get("role") for a in entry["arguments"]]
    inputs = entry["shape"].split("->")[0].count("(") if "shape" in entry else sum(r in INPUT_ROLES for r in roles)
    arguments = tuple(
        _argument(f"{where} argument", a, dims, index < inputs)
        for index, (a, dims) in enumerate(zip(entry["arguments"], groups, strict=True))
    )
    for a in arguments:
        if a.role != "state" and (a.role in INPUT_ROLES) != a.is_input:
            _fail(where, f"argument {a.name!r} has role {a.role!r} on the wrong side of '->'",
                  "list the inputs first, in the order of the shape")  # fmt: skip
        if a.role == "state" and not chosen:
            _fail(where, f"argument {a.name!r} is a state, and the op has no algebras", "name the algebras")
    counts = {algebra: components.get(algebra, 1) for algebra in chosen}
    arguments = tuple(part for a in arguments for part in _components(a, counts))
    names = [a.name.lower() for a in arguments]
    for n in names:
        if names.count(n) > 1:
            _fail(where, f"two arguments are called {n!r} (case aside)", "rename one")
    backward = entry.get("backward")
    if backward is not None and backward not in ops:
        _fail(f"{where}: backward", f"got {backward!r}", f"write the name of another entry: {', '.join(ops)}")
    residuals = [a.name for a in arguments if a.role == "residual"]
    for r in entry.get("residuals", []):
        if r not in residuals:
            _fail(f"{where}: residuals", f"{r!r} is no argument of role 'residual'", "declare it among the arguments")
    axis = entry.get("indirect_axis")
    if axis is not None and axis not in {d for a in arguments for d in a.dims}:
        _fail(f"{where}: indirect_axis", f"got {axis!r}", "write the name of a dimension of an argument")
    for a in arguments:
        like = [other for other in arguments if other.name == a.like and other.role in INPUT_ROLES]
        if a.like is not None and (a.role in INPUT_ROLES or not like or like[0].dims != a.dims):
            _fail(f"{where} argument {a.name!r}: like", f"got {a.like!r}",
                  "write, at an output, the name of an input with the same core dimensions")  # fmt: skip
    refuses = entry.get("refuses", {})
    for algebra in refuses:
        if algebra in chosen:
            _fail(f"{where}: refuses", f"{algebra!r} is among the algebras", "leave it in one of the two")
    classes = tuple(_shape_class(where, c) for c in entry.get("shape_classes", [{"name": "any"}]))
    if not any(not c.when and not c.tolerance for c in classes):
        _fail(f"{where}: shape_classes", "no class serves every shape", 'add { name = "any" }')
    storage, storage_algebras = _storage(where, entry.get("storage", {}), chosen)
    attributes = tuple(_attribute(f"{where} attribute", a) for a in entry.get("attributes", []))
    return Op(
        name, entry["area"], entry["doc"], entry.get("family", ""), entry.get("shape", "").replace(" ", ""),
        tuple(chosen), tuple(entry["dtypes"]), arguments, attributes, classes, backward,
        bool(entry.get("orchestrated")), bool(entry.get("composed")), bool(entry.get("planned")),
        bool(entry.get("internal")),
        tuple(refuses.items()), entry.get("shape_function"), tuple(entry.get("ranks", ())), axis,
        entry.get("flops", ""), entry.get("test", ""), entry.get("benchmark", ""), storage, storage_algebras,
    )  # fmt: skip


def load(path: Path, algebras: list[str], components: Mapping[str, int] | None = None) -> list[Op]:
    """The ops of the manifest at `path`; `algebras` are the known algebra names. Raises ManifestError.

    `components` gives how many arrays an algebra's state has, where that is not 1.
    """
    try:
        data = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"manifest: {path.name}: {error}") from None
    unknown = set(data) - {"op"}
    if unknown:
        _fail(path.name, f"unknown table {sorted(unknown)[0]!r}", "entries are called [op.<name>]")
    for name, entry in data["op"].items():
        source = entry.get("attributes_of")
        if source is None:
            continue
        if source not in data["op"] or "attributes_of" in data["op"][source] or "attributes" in entry:
            _fail(f"[op.{name}] attributes_of", f"got {source!r}",
                  "write the name of an entry with attributes of its own, and leave 'attributes' out here")  # fmt: skip
        entry["attributes"] = data["op"][source].get("attributes", [])
    return [_op(name, entry, algebras, list(data["op"]), components or {}) for name, entry in data["op"].items()]
