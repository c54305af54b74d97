"""The plan: manifest x targets -> variants, registry tables, wrappers, and the list that CMake turns into build edges.

Usage: python -m plan --root <source> --out <build>/generated --arch x86-64 [--subset REGEX]
"""

import argparse
import json
import sys
from pathlib import Path

from .algebras import AlgebraError
from .algebras import discover as discover_algebras
from .headers import write_algebras, write_exports, write_header, write_wrappers
from .manifest import ManifestError, load
from .policy import check_choice, check_features, check_references
from .registry import write_registry
from .targets import TargetError, discover
from .variants import PlanError, Variant, enumerate_variants


def _write(path: Path, text: str) -> None:
    """Leaves an unchanged file alone, so that nothing is rebuilt for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _facts(v: Variant) -> dict:
    """What is known of a variant at build time, of which the library ships only what it needs."""
    facts = {"id": v.id, "symbol": v.symbol, "op": v.op.name, "algebra": v.algebra, "dtype": v.dtype}
    facts |= {"target": v.target.name, "rounding": v.target.rounding, "when": v.shape_class.when}
    facts |= {"priority": v.priority, "tolerance": v.tolerance, "test": v.op.test, "benchmark": v.op.benchmark}
    return facts


def main() -> int:
    """Writes everything below --out; the exit status is 1 with a sentence on stderr for a mistake in a source."""
    parser = argparse.ArgumentParser(prog="plan", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arch", choices=("x86-64", "arm-64"), required=True)
    parser.add_argument("--subset", default="")
    args = parser.parse_args()
    try:
        dtypes = discover_algebras(args.root / "generators/algebra")
        algebras = list(dtypes)
        ops = load(args.root / "generators/manifest.toml", algebras)
        targets = discover(args.root / "schedules", args.arch)
        variants = enumerate_variants(ops, targets, args.subset, dtypes)
        check_references(ops, args.root)
        check_features(targets, args.root)
        check_choice(variants)
        registry = write_registry(ops, algebras, targets, variants)
    except (AlgebraError, ManifestError, TargetError, PlanError) as error:
        print(error, file=sys.stderr)
        return 1
    _write(args.out / "registry_tables.cpp", registry)
    _write(args.out / "include/nitrix/nitrix_ops.h", write_header(ops))
    _write(args.out / "nitrix_ops.cpp", write_wrappers(ops))
    header = args.root / "runtime/include/nitrix/nitrix.h"
    _write(args.out / "exports.txt", write_exports(ops, header.read_text()))
    _write(args.out / "algebras.cpp", write_algebras(algebras))
    compiled = [o for o in ops if not o.composed]
    lines = [f"set(NITRIX_OPS {' '.join(o.name for o in compiled)})"]
    lines += [f"set(NITRIX_AREA_{o.name} {o.area})" for o in compiled]
    lines += [f"set(NITRIX_TARGETS {' '.join(t.name for t in targets)})"]
    lines += [f"set(NITRIX_VARIANTS_OF_{o.name}_{t.name})" for o in compiled for t in targets]
    for v in variants:
        key = f"{v.op.name}_{v.target.name}"
        lines.append(f"list(APPEND NITRIX_VARIANTS_OF_{key} {v.symbol})")
        lines.append(f"set(NITRIX_ARGUMENTS_{v.symbol} {' '.join(v.generator_arguments(args.arch))})")
    _write(args.out / "plan.cmake", "\n".join(lines) + "\n")
    _write(args.out / "plan.json", json.dumps([_facts(v) for v in variants], indent=1) + "\n")
    print(f"{len(variants)} variants: {len(ops)} ops x {len(algebras)} algebras x {len(targets)} targets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
