#!/usr/bin/env python3
"""Regenerates golden/data by independent implementations: `python golden/make.py [--check] [op ...]`.

The bytes depend on the references alone: made twice, the files are identical. --check writes nothing and compares the
committed arrays bit for bit with regenerated ones (arrays, not files: another zlib may compress otherwise).
Needs golden/requirements.txt.
"""

import argparse
import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from golden import corpus
from golden.references import cells, make, references

LARGEST_FILE = 300_000
LARGEST_OP = 1_500_000


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of an .npz file, without the time and machine that zipfile would record."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            archive.writestr(info, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return out.getvalue()


def difference(stored: Mapping[str, np.ndarray], made: Mapping[str, np.ndarray]) -> str | None:
    """Why two sets of arrays are not identical, or None."""
    if list(stored) != list(made):
        odd = sorted(set(stored) ^ set(made))
        return f"array {odd[0]!r} is in only one of them" if odd else "the arrays stand in another order"
    for name in made:
        a, b = stored[name], made[name]
        if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != np.ascontiguousarray(b).tobytes():
            return f"array {name!r} differs"
    return None


def check(cell: corpus.Cell, made: Mapping[str, np.ndarray]) -> str | None:
    """What is wrong with the committed file of a cell, or None."""
    if not cell.path.exists():
        return f"{cell}: no file: run `{corpus.MAKE}` and commit golden/data/{cell.file}"
    with np.load(cell.path, allow_pickle=False) as stored:
        problem = difference(dict(stored), made)
    return f"{cell}: {problem}: run `{corpus.MAKE}` and explain the change" if problem else None


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 1 where --check found a difference or a file is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("ops", nargs="*", help="only these ops")
    options = parser.parse_args(arguments)
    known = references()
    for op in options.ops:
        if op not in known:
            parser.error(f"no reference for {op!r}; known: {', '.join(sorted(known))}")
    chosen = {op: r for op, r in known.items() if not options.ops or op in options.ops}
    problems = []
    for cell in cells(chosen):
        made = corpus.pack(make(chosen[cell.op], cell))
        if options.check:
            problem = check(cell, made)
        else:
            data = npz(made)
            cell.path.parent.mkdir(parents=True, exist_ok=True)
            cell.path.write_bytes(data)
            problem = f"{cell}: {len(data)} bytes, more than {LARGEST_FILE}" if len(data) > LARGEST_FILE else None
        print(f"{cell}: {'PROBLEM' if problem else 'ok'}", flush=True)
        problems += [problem] if problem else []
    stray = sorted({c for c in corpus.cells() if not options.ops} - set(cells(known)))
    problems += [f"{c}: no reference makes golden/data/{c.file}: remove it" for c in stray]
    for op in chosen:
        total = sum(p.stat().st_size for p in (corpus.DATA / op).glob("*.npz"))
        if total > LARGEST_OP:
            problems.append(f"{op}: {total} bytes, more than {LARGEST_OP}: make the cases smaller")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
