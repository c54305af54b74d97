"""Writes the constant tables of runtime/registry.h."""

from collections.abc import Mapping

from .manifest import DERIVED_DIMS, DTYPES, Attribute, Op
from .targets import Target
from .variants import SHORT, PlanError, Variant


def quote(text: str) -> str:
    """A C string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _number(value: float | None, missing: str) -> str:
    return missing if value is None else repr(float(value))


def _attribute(op: Op, a: Attribute) -> list[str]:
    lines, default = [], {"int": 0, "float": 0.0, "string": "", "ints": []}[a.type] if a.default is None else a.default
    value = {
        "int": f"{default}, 0, nullptr, nullptr, 0", "float": f"0, {default}, nullptr, nullptr, 0",
        "string": f"0, 0, {quote(str(default))}, nullptr, 0",
    }.get(a.type)  # fmt: skip
    if a.type == "ints":
        ints = "nullptr"
        if default:
            ints = f"default_{op.name}_{a.name}"
            lines.append(f"static const int64_t {ints}[] = {{{', '.join(map(str, default))}}};")
        value = f"0, 0, nullptr, {ints}, {len(default)}"
    bounds = f"{_number(a.minimum, '-INFINITY')}, {_number(a.maximum, 'INFINITY')}"
    kind = f"NITRIX_ATTRIBUTE_{a.type.upper()}"
    row = f"    {{{quote(a.name)}, {quote(a.type)}, {quote(a.doc)}, {kind}, {{{value}}}, {bounds}}},"
    return [*lines, row]


def _op_tables(op: Op, algebras: list[str]) -> list[str]:
    dims = list(op.dims)
    if op.shape_function and op.shape_function not in DERIVED_DIMS:
        raise PlanError(f"{op.name}: shape function {op.shape_function!r} is planned; runtime/shapes does not have it")
    rows = []
    for a in op.arguments:
        dtype = {"T": "any_dtype", "index": "index_dtype"}.get(a.dtype) or str(DTYPES.index(a.dtype))
        names = op.expanded(a)
        spatial = len(names) - len(a.dims) + 1 if len(names) > len(a.dims) else 0
        like = next((i for i, other in enumerate(op.arguments) if other.name == a.like), -1)
        role = a.role if a.role != "state" else "input" if a.is_input else "output"
        indices = ", ".join(str(dims.index(d)) for d in names)
        rows.append(
            f"    {{{quote(a.name)}, {quote(a.doc)}, Role::{role}, {dtype}, {str(a.optional).lower()}, "
            f"{len(names)}, {{{indices}}}, {spatial}, {like}, {_mask(a.algebras, algebras)}, "
            f"{str(a.in_lines).lower()}}},"
        )
    lines = [f"static const Argument arguments_{op.name}[] = {{", *rows, "};"]
    names = ", ".join(map(quote, [*dims, *op.derived_dims]))
    lines.append(f"static const char *const dims_{op.name}[] = {{{names}}};")
    if op.attributes:
        made = [_attribute(op, a) for a in op.attributes]
        lines += [line for *defaults, _ in made for line in defaults]
        lines += [f"static const Attribute attributes_{op.name}[] = {{", *[row for *_, row in made], "};"]
    if op.shape_function:
        lines.append(f"extern const ShapeRule {op.shape_function}_shape;")
    if op.refuses:
        rows = [f"    {{{quote(algebra)}, {quote(why)}}}," for algebra, why in op.refuses]
        lines += [f"static const AlgebraRefusal refusals_{op.name}[] = {{", *rows, "};"]
    if op.composed:
        lines.append(f"extern const Composition compose_{op.name};")
    return lines


def _mask(chosen: tuple[str, ...], known: list[str] | tuple[str, ...]) -> str:
    return hex(sum(1 << known.index(name) for name in chosen))


def _op_row(op: Op, ops: list[Op], algebras: list[str]) -> str:
    fields = [quote(op.name), quote(op.kebab), quote(op.area), quote(op.doc), quote(op.signature)]
    fields += [f"arguments_{op.name}", str(len(op.arguments)), str(len(op.inputs)), f"dims_{op.name}"]
    fields += [str(len(op.dims)), f"attributes_{op.name}" if op.attributes else "nullptr", str(len(op.attributes))]
    fields.append("true" if op.algebras else "false")
    fields.append(f"flops_{op.name}" if op.flops else "nullptr")
    fields.append(str(op.internal).lower())
    fields.append(f"finish_{op.name}" if op.orchestrated else "nullptr")
    fields.append(f"finish_bytes_{op.name}" if op.orchestrated else "nullptr")
    fields += [f"refusals_{op.name}" if op.refuses else "nullptr", str(len(op.refuses))]
    fields.append(f"&compose_{op.name}" if op.composed else "nullptr")
    fields += [_mask(op.algebras, algebras), _mask(op.dtypes, DTYPES)]
    fields += [f"serve_{op.name}", f"serve_bytes_{op.name}"] if op.planned else ["nullptr", "nullptr"]
    fields.append(str(op.dims.index(op.indirect_axis) if op.indirect_axis else -1))
    fields += [f"&{op.shape_function}_shape" if op.shape_function else "nullptr", str(len(op.derived_dims))]
    fields += [_mask(op.storage_algebras, algebras), _mask(op.storage, DTYPES)]
    fields.append(str(next((i for i, other in enumerate(ops) if other.backward == op.name), -1)))
    return f"    {{{', '.join(fields)}}},"


def _shape_function(kind: str, name: str, op: Op, body: str) -> list[str]:
    dims = [*op.dims, *op.derived_dims]
    unpack = " ".join(f"[[maybe_unused]] const int64 {d} = d_[{i}];" for i, d in enumerate(dims))
    more = ", int64_t batch_, int64_t threads_, int64_t strided_" if kind == "int64_t" else ""
    unpack += " [[maybe_unused]] const int64 batch = batch_, threads = threads_, strided = strided_;" if more else ""
    return [f"static {kind} {name}(const int64_t *d_{more}) {{", f"    {unpack}", f"    {body}", "}"]


def write_registry(
    ops: list[Op], algebra_dtypes: Mapping[str, tuple[str, ...]], targets: list[Target], variants: list[Variant]
) -> str:
    """The text of registry_tables.cpp; includes algebras.inc and <symbol>.facts, which generator processes write."""
    algebras = list(algebra_dtypes)
    out = [
        "// Generated by schedules/plan.", '#include "registry.h"', "#include <cmath>",
        "namespace nitrix {",
        "namespace {",
        "using int64 = __int128; // so that no product of sizes overflows on the way to the last step",
        "[[maybe_unused]] int64 min(int64 a, int64 b) { return a < b ? a : b; }",
        "[[maybe_unused]] int64 max(int64 a, int64 b) { return a < b ? b : a; }",
        "[[maybe_unused]] int64_t bounded(int64 n) { return n < INT64_MAX ? static_cast<int64_t>(n) : INT64_MAX; }",
        "}",
    ]  # fmt: skip
    for v in variants:
        out.append(f'extern "C" int {v.symbol}_argv(void **);')
    for op in ops:
        if op.orchestrated:
            out.append(f"void finish_{op.name}(const Call &, const Variant &, KernelContext &);")
            out.append(f"int64_t finish_bytes_{op.name}(const Call &, const Variant &);")
        if op.planned:
            out.append(f"bool serve_{op.name}(const Call &, const Variant &, KernelContext &);")
            out.append(f"int64_t serve_bytes_{op.name}(const Call &, const Variant &);")
        out += _op_tables(op, algebras)
        if op.flops:
            out += _shape_function("double", f"flops_{op.name}", op, f"return 1.0 * {op.flops};")
        for c in op.shape_classes:
            if c.when:
                out += _shape_function("bool", f"is_{op.name}_{c.name}", op, f"return {c.when};")
    for v in variants:
        out += _shape_function("int64_t", f"scratch_{v.symbol}", v.op, f'\n#include "{v.symbol}.facts"\n    ')
    out += ["const Op ops[] = {", *(_op_row(op, ops, algebras) for op in ops), "};", f"const int n_ops = {len(ops)};"]
    out += ["const Algebra algebras[] = {", '#include "algebras.inc"', "};", f"const int n_algebras = {len(algebras)};"]
    masks = ", ".join(_mask(dtypes, DTYPES) for dtypes in algebra_dtypes.values())
    out.append(f"const uint32_t algebra_dtypes[] = {{{masks}}};")
    for t in targets:
        names = ", ".join([*map(quote, t.cpu), "nullptr"])
        out.append(f"static const char *const cpu_{t.name}[] = {{{names}}};")
    out.append("const Target targets[] = {")
    for t in targets:
        out.append(f"    {{{quote(t.name)}, {quote(t.rounding)}, cpu_{t.name}, {len(t.cpu)}, {t.priority}, "
                   f"{str(t.reference).lower()}}},")  # fmt: skip
    out += ["};", f"const int n_targets = {len(targets)};", "const Variant variants[] = {"]
    cells: dict[tuple[int, int, str], tuple[int, int]] = {}
    for index, v in enumerate(variants):
        algebra = algebras.index(v.algebra) if v.algebra else -1
        key = (ops.index(v.op), algebra + 1, v.dtype)
        first, count = cells.get(key, (index, 0))
        cells[key] = (first, count + 1)
        condition = quote(v.shape_class.when) if v.shape_class.when else "nullptr"
        applies = f"is_{v.op.name}_{v.shape_class.name}" if v.shape_class.when else "nullptr"
        out.append(
            f"    {{{quote(v.id)}, {v.symbol}_argv, {key[0]}, {algebra}, {targets.index(v.target)}, "
            f"DType::{SHORT[v.dtype]}, {v.priority}, {condition}, {applies}, scratch_{v.symbol}, {v.tolerance!r}}},"
        )
    out += ["};", f"const int n_variants = {len(variants)};"]
    out.append(f"static const Cell cells[{len(ops)}][{len(algebras) + 1}][n_dtypes] = {{")
    for o in range(len(ops)):
        rows = []
        for a in range(len(algebras) + 1):
            row = [cells.get((o, a, d), (0, 0)) for d in DTYPES]
            rows.append("{" + ", ".join(f"{{{f}, {c}}}" for f, c in row) + "}")
        out.append("    {" + ", ".join(rows) + "},")
    out.append("};")
    out.append(
        "Cell cell(int op, int algebra, DType dtype) { return cells[op][algebra + 1][static_cast<int>(dtype)]; }"
    )
    out.append("}  // namespace nitrix")
    return "\n".join(out) + "\n"
