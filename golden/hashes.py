#!/usr/bin/env python3
"""Pins the bits that nitrix returns: `python golden/hashes.py make | check`.

golden/hashes.toml holds for every cell the SHA-256 of nitrix's outputs on the corpus's inputs, from the fused rounding
class (AVX2, AVX-512, arm-64, naive). Every fused variant that this machine can run must give them. A changed output
hash is a CHANGELOG entry; `inputs` tells whether the corpus changed instead. Unlike golden/data these are nitrix's own
results, so they say "the same as before", never "right".
"""

import argparse
import hashlib
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from golden import corpus, registry
from golden.call import call, serve

HASHES = corpus.FOLDER / "hashes.toml"
HEADER = """\
# SHA-256 of nitrix's outputs on the inputs of golden/data, fused rounding class. Written by `python golden/hashes.py
# make`; a changed output is a CHANGELOG entry.
"""


def digest(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Of names, dtypes, shapes and little-endian elements in row-major order. Every NaN counts as the same one."""
    total = hashlib.sha256()
    for name, array in arrays:
        array = np.where(np.isnan(array), array.dtype.type(np.nan), array) if array.dtype.kind == "f" else array
        little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
        total.update(f"{name} {little.dtype.str} {array.shape}\n".encode())
        total.update(little.tobytes())
    return total.hexdigest()


def hash_cell(cell: corpus.Cell, variants: list[registry.Variant]) -> tuple[dict[str, str], list[str]]:
    """The hashes of the cell's inputs and outputs, and a sentence for every variant that gives other bits."""
    inputs, outputs, problems = [], [], []
    for case in corpus.load(cell):
        inputs += [(f"{case.name}/{n}", a) for n, a in case.inputs.items()]
        first: tuple[str, list[tuple[str, np.ndarray]]] | None = None
        for variant in variants:
            served = serve(variant, case.inputs)
            if served is None:
                continue
            named = [(f"{case.name}/{n}", a) for n, a in served.items()]
            if first is None:
                first = (variant.id, named)
                outputs += named
            elif digest(named) != digest(first[1]):
                problems.append(f"case {case.name!r}: {variant.id} gives other bits than {first[0]}")
    return {"inputs": digest(inputs), "outputs": digest(outputs)}, problems


def hash_composed(cell: corpus.Cell, best: str) -> tuple[dict[str, str], list[str]]:
    """The same for an op that is made of others and has no variants: the best backend beside naive."""
    inputs, outputs, problems = [], [], []
    for case in corpus.load(cell):
        inputs += [(f"{case.name}/{n}", a) for n, a in case.inputs.items()]
        chosen, naive = (
            [(f"{case.name}/{n}", a) for n, a in call(cell, case.inputs, backend=backend).items()]
            for backend in (best, "naive")
        )
        outputs += chosen
        if digest(chosen) != digest(naive):
            problems.append(f"case {case.name!r}: {cell} has other bits than its naive form")
    return {"inputs": digest(inputs), "outputs": digest(outputs)}, problems


def read(path: Path = HASHES) -> dict[corpus.Cell, dict[str, str]]:
    """The pinned hashes by cell."""
    tables = tomllib.loads(path.read_text()) if path.exists() else {}
    return {corpus.Cell(*name.split("/")): entry for name, entry in tables.items()}


def write(hashes: dict[corpus.Cell, dict[str, str]], path: Path = HASHES) -> None:
    """The inverse of read."""
    tables = [
        f'\n["{cell.op}/{cell.algebra}/{cell.dtype}"]\n' + "".join(f'{k} = "{v}"\n' for k, v in entry.items())
        for cell, entry in sorted(hashes.items())
    ]
    path.write_text(HEADER + "".join(tables))


def measure(variants: list[registry.Variant]) -> tuple[dict[corpus.Cell, dict[str, str]], list[str]]:
    """The hashes by cell, and what is wrong, from the fused variants that this machine can run."""
    cells: dict[corpus.Cell, list[registry.Variant]] = {}
    for variant in variants:
        if variant.fused and variant.runs_here:
            cells.setdefault(variant.cell, []).append(variant)
    measured, problems = {}, []
    for cell, of_cell in cells.items():
        measured[cell], wrong = hash_cell(cell, of_cell)
        problems += wrong
    # Composed ops choose for themselves: of the fused class only where the processor has fused multiply-add.
    fused = any(v.fused and v.runs_here and v.target not in ("naive", "sse41_emulated") for v in variants)
    for cell in corpus.manifest_cells():
        if cell not in {v.cell for v in variants}:
            measured[cell], wrong = hash_composed(cell, "cpu" if fused else "naive")
            problems += wrong
    return measured, problems


def compare(measured: dict[corpus.Cell, dict[str, str]], pinned: dict[corpus.Cell, dict[str, str]]) -> list[str]:
    """A sentence for every cell whose hashes are not the pinned ones."""
    again = "run `python golden/hashes.py make`"
    problems = [f"{cell}: no hash is pinned: {again}" for cell in measured if cell not in pinned]
    problems += [f"{cell}: pinned, but nitrix has no such cell: {again}" for cell in pinned if cell not in measured]
    for cell in measured.keys() & pinned.keys():
        if measured[cell]["inputs"] != pinned[cell]["inputs"]:
            problems.append(f"{cell}: the corpus's inputs changed: {again}")
        elif measured[cell]["outputs"] != pinned[cell]["outputs"]:
            problems.append(f"{cell}: the output bits changed: find out why, then {again} and say so in CHANGELOG")
    return sorted(problems)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 1 with one line for each problem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["make", "check"])
    options = parser.parse_args(arguments)
    import nitrix  # only here: tests use the functions above without it

    measured, problems = measure(registry.variants(nitrix.info()))
    if options.command == "make" and not problems:
        write(measured)
        print(f"{len(measured)} cells pinned")
    elif options.command == "check":
        problems += compare(measured, read())
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
