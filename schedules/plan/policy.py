"""What a set of variants must satisfy before anything is compiled: every op has its proof and its measurement, dispatch
can tell all variants apart, and each of them can be chosen somewhere.
"""

import itertools
import re
from pathlib import Path

from .manifest import Op
from .targets import Target
from .variants import PlanError, Variant


def check_references(ops: list[Op], root: Path) -> None:
    """Each op names the test that proves it right and the benchmark that measures it, and both exist."""
    for op in (o for o in ops if not o.internal):  # a helper is proved and measured with the op that it helps
        for key, example in (("test", "tests/cpp/every_row_test.cpp::EveryRow"), ("benchmark", "bench/x.py::y")):
            reference = getattr(op, key)
            if not reference:
                raise PlanError(f'[op.{op.name}] lacks {key!r}: write {key} = "path::name", for example "{example}"')
            path, _, name = reference.partition("::")
            if not name or not (root / path).is_file():
                raise PlanError(f"[op.{op.name}] {key} {reference!r}: there is no file {path!r}; write it first")
            if name not in (root / path).read_text():
                raise PlanError(f"[op.{op.name}] {key} {reference!r}: {path} does not mention {name!r}")


def check_features(targets: list[Target], root: Path) -> None:
    """A processor feature that the runtime cannot detect would keep a target from ever running."""
    known = set(re.findall(r'"([a-z0-9._]+)"', (root / "runtime/cpu_features.cpp").read_text()))
    for t in targets:
        for feature in t.cpu:
            if feature not in known:
                raise PlanError(
                    f"{t.source.name}: cpu feature {feature!r} is unknown to the runtime, so the target would never "
                    f"run; add it to runtime/cpu_features.cpp or write one of {', '.join(sorted(known))}"
                )


def _hides(better: Variant, worse: Variant) -> bool:
    """Whether every machine and shape that `worse` serves goes to `better`."""
    unconditional = not better.shape_class.when or better.shape_class.when == worse.shape_class.when
    chosen = not better.tolerance and not better.target.reference
    # Reproducible calls pass over an unfused variant.
    rounding = better.target.rounding == worse.target.rounding or better.target.rounding == "fused"
    return chosen and unconditional and rounding and set(better.target.cpu) <= set(worse.target.cpu)


def check_choice(variants: list[Variant]) -> None:
    """Unique names, no ties within a key, and no variant that another one always hides."""
    seen: set[str] = set()
    for v in variants:
        if v.id in seen:
            raise PlanError(f"two variants are called {v.id}: rename an op or a shape class")
        seen.add(v.id)
    for _, group in itertools.groupby(variants, key=lambda v: (v.op.name, v.algebra, v.dtype)):
        cell = list(group)
        for index, v in enumerate(cell):
            for other in cell[:index]:
                if other.priority == v.priority:
                    raise PlanError(
                        f"{other.id} and {v.id} have equal priority {v.priority}: give their targets different ones"
                    )
                # Naive is what everything falls back to; the others run when named.
                always_reachable = v.target.name == "naive" or v.target.reference or v.tolerance
                if not always_reachable and _hides(other, v):
                    raise PlanError(
                        f"{v.id} can never be chosen: {other.id} serves all that it serves and outranks it; list the "
                        f"more special shape class later, raise the target's priority, or remove it"
                    )
