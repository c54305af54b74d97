"""The plan: manifest x targets -> variants, registry tables, wrappers, and the list that CMake turns into build edges.

Usage: python -m plan --root <source> --out <build>/generated --arch x86-64 [--subset REGEX]
"""

import argparse
import json
import sys
from pathlib import Path

from .algebras import AlgebraError
from .algebras import discover as discover_algebras
from .headers import write_algebras, write_header, write_wrappers
from .manifest import ManifestError, load
from .registry import write_registry
from .targets import TargetError, discover
from .variants import PlanError, enumerate_variants


def _write(path: Path, text: str) -> None:
    """Leaves an unchanged file alone, so that nothing is rebuilt for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


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
        registry = write_registry(ops, algebras, targets, variants)
    except (AlgebraError, ManifestError, TargetError, PlanError) as error:
        print(error, file=sys.stderr)
        return 1
    _write(args.out / "registry_tables.cpp", registry)
    _write(args.out / "include/nitrix/nitrix_ops.h", write_header(ops))
    _write(args.out / "nitrix_ops.cpp", write_wrappers(ops))
    _write(args.out / "algebras.cpp", write_algebras(algebras))
    lines = [f"set(NITRIX_OPS {' '.join(o.name for o in ops)})"]
    lines += [f"set(NITRIX_AREA_{o.name} {o.area})" for o in ops]
    lines += [f"set(NITRIX_TARGETS {' '.join(t.name for t in targets)})"]
    lines += [f"set(NITRIX_VARIANTS_OF_{o.name}_{t.name})" for o in ops for t in targets]
    for v in variants:
        key = f"{v.op.name}_{v.target.name}"
        lines.append(f"list(APPEND NITRIX_VARIANTS_OF_{key} {v.symbol})")
        lines.append(f"set(NITRIX_ARGUMENTS_{v.symbol} {' '.join(v.generator_arguments(args.arch))})")
    _write(args.out / "plan.cmake", "\n".join(lines) + "\n")
    _write(args.out / "plan.json", json.dumps([v.id for v in variants], indent=1) + "\n")
    print(f"{len(variants)} variants: {len(ops)} ops x {len(algebras)} algebras x {len(targets)} targets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
