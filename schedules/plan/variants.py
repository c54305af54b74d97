"""Multiplies ops, algebras, dtypes, shape classes and targets into variants."""

import dataclasses
import re
from collections.abc import Mapping

from .algebras import FLOATS
from .manifest import Op, ShapeClass
from .targets import Target

SHORT = {
    "float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64", "uint8": "u8", "float16": "f16",
    "bfloat16": "bf16", "uint32": "u32",
}  # fmt: skip


class PlanError(Exception):
    """Variants that the library could not tell apart, choose or answer for (schedules/plan/policy.py)."""


@dataclasses.dataclass(frozen=True)
class Variant:
    op: Op
    algebra: str  # "" for an op without one
    dtype: str
    shape_class: ShapeClass
    target: Target

    @property
    def id(self) -> str:
        parts = [self.op.kebab, self.algebra.replace("_", "-"), SHORT[self.dtype], self.shape_class.name]
        return "/".join(p for p in [*parts, self.target.name.replace("_", "-")] if p)

    @property
    def symbol(self) -> str:
        return "nitrix_" + self.id.replace("/", "_").replace("-", "_")

    @property
    def tolerance(self) -> float:
        return self.shape_class.tolerance

    @property
    def priority(self) -> int:
        """Targets outrank each other; within one, a later shape class of the manifest is the more special."""
        return self.target.priority * 10 + self.op.shape_classes.index(self.shape_class)

    def generator_arguments(self, arch: str) -> list[str]:
        """The command line of the generator process, after `-g <op> -f <symbol>`."""
        base = {"x86-64": "x86-64-linux", "arm-64": "arm-64-linux"}[arch]
        features = ["no_runtime", "strict_float", "user_context", "large_buffers", *self.target.halide]
        # The runtime hands 64-bit indices over as the 32-bit ones that they have been checked to be.
        own = {"T": self.dtype, "index": "int32"}
        types, arguments = [], self.op.arguments_with(self.algebra)
        for a in arguments:
            if a.role == "state" and not a.component:
                types.append(f"{a.name}.size={sum(other.generator_name == a.name for other in arguments)}")
            if a.role == "residual":  # of the same Tuple as the output before it
                types[-1] += f",{a.dtype}"
            elif not a.component:
                types.append(f"{a.name}.type={own.get(a.dtype, a.dtype)}")
        algebra = [f"algebra={self.algebra}"] if self.algebra else []
        shape = [f"shape_class={self.shape_class.name}"] if len(self.op.shape_classes) > 1 else []
        return [
            f"target={'-'.join([base, *features])}", f"schedule={self.target.name}",
            f"rounding={self.target.fma}", *algebra, *shape, *types,
        ]  # fmt: skip


def _has(target: Target, shape_class: ShapeClass) -> bool:
    """The plain targets have one form, which serves every shape."""
    plain = target.name == "naive" or target.reference
    return not plain or (not shape_class.when and not shape_class.tolerance)


def _serves(target: Target, algebra: str, dtype: str) -> bool:
    return (not target.dtypes or dtype in target.dtypes) and (not target.algebras or algebra in target.algebras)


def enumerate_variants(
    ops: list[Op], targets: list[Target], subset: str = "", algebra_dtypes: Mapping[str, tuple[str, ...]] | None = None
) -> list[Variant]:
    """All variants whose id matches the regular expression `subset`, best first within a key.

    `algebra_dtypes` gives what each algebra is defined on; one that is not named takes the floats.
    """
    defined = dict(algebra_dtypes or {})
    chosen = []
    for op in ops:
        if op.composed:
            continue
        for algebra in op.algebras or ("",):
            known = defined.get(algebra, FLOATS) if algebra else op.dtypes
            if not set(known) & set(op.dtypes):
                raise PlanError(
                    f"{op.name} with {algebra}: no dtype in common; the op has {', '.join(op.dtypes)}, the algebra "
                    f"{', '.join(known)}"
                )
            for dtype in (d for d in op.dtypes if d in known):
                cell = [
                    Variant(op, algebra, dtype, c, t)
                    for c in op.shape_classes
                    for t in targets
                    if _has(t, c) and _serves(t, algebra, dtype)
                ]
                # The naive form of every cell is always built: it is what everything falls back to. So are helpers.
                cell = [v for v in cell if v.target.name == "naive" or op.internal or re.search(subset, v.id)]
                chosen += sorted(cell, key=lambda v: -v.priority)
    return chosen
