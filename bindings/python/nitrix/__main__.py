"""The command line of nitrix: ``python -m nitrix COMMAND``, or ``nitrix COMMAND`` once it is installed."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import nitrix
from nitrix._ops import INPUT_ROLES

Row = Sequence[object]


def _table(header: Row, rows: Iterable[Row]) -> None:
    """Aligned columns on a terminal, tab-separated lines without a header in a pipe."""
    text = [[str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in text))
        return
    lines = [[str(cell) for cell in header], *text]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for index, line in enumerate(lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if index == 0:
            print("  ".join("-" * width for width in widths))


def _progress(done: int, total: int, what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r[{done}/{total}] {what:<70}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _ops() -> dict[str, dict[str, Any]]:
    """The ops that have a public function, by name."""
    found = {op["name"]: op for op in nitrix.info()["ops"]}
    return {name: op for name, op in found.items() if hasattr(getattr(nitrix, op["area"], None), name)}


def _op(name: str) -> dict[str, Any]:
    ops = _ops()
    if name not in ops:
        raise ValueError(f"there is no op '{name}'; this build has {', '.join(ops)}")
    return ops[name]


def _call(op: dict[str, Any], arrays: list[np.ndarray | None], v: dict[str, Any], threads: int, mode: str | None):
    options = {**_algebra(op, v["algebra"]), "variant": v["id"], "threads": threads, "mode": mode}
    given = [array for array in arrays if array is not None]
    if any(a["algebras"] for a in op["arguments"]):  # states, which the function takes as tuples
        step = nitrix.semiring.SEMIRINGS[v["algebra"]].components
        given = [tuple(given[i : i + step]) for i in range(0, len(given), step)]
    return getattr(getattr(nitrix, op["area"]), op["name"])(*given, **options)


def _dimensions(op: dict[str, Any]) -> list[str]:
    """The names of the core dimensions, those of the output first: m, n, k for a matrix product."""
    order = sorted(op["arguments"], key=lambda a: a["role"] in INPUT_ROLES)
    return list(dict.fromkeys(d for a in order for d in a["dims"]))


def _sizes(op: dict[str, Any], text: str) -> dict[str, int]:
    """'1000,777,333' or 'm=1000,n=777,k=333'."""
    names, parts = _dimensions(op), text.split(",")
    pairs = [p.split("=") if "=" in p else (n, p) for n, p in zip(names, parts, strict=False)]
    sizes = {name: int(size) for name, size in pairs if size.isdigit()}
    if len(parts) != len(names) or set(sizes) != set(names):
        raise ValueError(f"--shape: got '{text}', must be the sizes of {','.join(names)}, for example 64,64,64")
    return sizes


def _trials(op: dict[str, Any]) -> list[dict[str, int]]:
    """Sizes on which variants are compared, odd ones among them."""
    names = _dimensions(op)
    if not op["shape_by_library"]:
        return [{d: size + 5 * i if size > 8 else size for i, d in enumerate(names)}
                for size in (1, 3, 8, 9, 31, 70, 129)]  # fmt: skip
    # The axes of a "*spatial" are numbered; with all of them long, the work would be too much for the reference.
    return [{d: size if d[-1] == "2" else min(size, 4) if d[-1].isdigit() else channels for d in names}
            for size in (1, 3, 9, 31, 40) for channels in (1, size)]  # fmt: skip


def _inputs(
    op: dict[str, Any], sizes: dict[str, int], dtype: str, algebra: str, seed: int | None
) -> list[np.ndarray | None]:
    """Arrays for a call; without a seed they are views of one element, for questions that read no data."""
    random = np.random.default_rng(seed)
    arrays: list[np.ndarray | None] = []
    for a in op["arguments"]:
        if a["role"] not in INPUT_ROLES:
            continue
        if a["optional"] or (a["algebras"] and algebra not in a["algebras"]):
            arrays.append(None)
            continue
        shape = [sizes[d] for d in a["dims"]]
        own = np.dtype({"T": dtype, "index": "int32"}.get(a["dtype"], a["dtype"]))
        if a["role"] == "structure" and seed is not None:
            arrays.append(random.integers(-1, sizes[op["indirect_axis"]], shape).astype(own))
        elif seed is None:
            arrays.append(np.broadcast_to(np.zeros((), own), shape))
        elif own.kind == "f":
            arrays.append(random.standard_normal(shape).astype(own))
        else:
            arrays.append(random.integers(0, 2, shape).astype(own))
    return arrays


def _algebra(op: dict[str, Any], name: str | None) -> dict[str, str]:
    return {"semiring": name or "real"} if op["algebras"] else {}


def _variants(words: argparse.Namespace) -> list[dict[str, Any]]:
    ops = _ops()
    found = [v for v in nitrix.info()["variants"] if v["runs_here"] and v["op"] in ops]
    return [v for v in found if words.match in v["id"]]


def info(words: argparse.Namespace) -> int:
    """what this library and this machine have: targets, features, algebras, variants"""
    answer = nitrix.info()
    if words.json:
        print(json.dumps(answer, indent=1))
        return 0
    print(f"nitrix {answer['version']}, {answer['threads']} threads, {' '.join(answer['features'])}")
    rows = []
    for t in answer["targets"]:
        count = sum(v["target"] == t["name"] for v in answer["variants"])
        rows.append((t["name"], t["rounding"], t["priority"], "yes" if t["runs_here"] else "no", count))
    _table(("target", "rounding", "priority", "runs here", "variants"), rows)
    for name, op in _ops().items():
        print(f"{name} {op['signature']}: {', '.join(op['algebras'])}; {', '.join(op['dtypes'])}")
    return 0


def explain(words: argparse.Namespace) -> int:
    """which variant serves a call, and why not the others"""
    op = _op(words.op)
    arrays = _inputs(op, _sizes(op, words.shape), words.dtype, words.algebra or "real", None)
    options = {"threads": words.threads, "backend": words.backend}
    answer = nitrix.explain(words.op, *arrays, **_algebra(op, words.algebra), **options)
    if words.json:
        print(json.dumps(answer, indent=1))
        return 0
    print(f"{answer['op']} {answer['shapes']} {answer['dtype']} {answer['algebra']}: {answer['chosen']}")
    for note in answer["notes"]:
        print(f"note: {note}")
    marks = [(("->" if c["taken"] else ""), c["id"], c["refusal"], c["scratch_bytes"], c["reason"])
             for c in answer["candidates"]]  # fmt: skip
    _table(("", "variant", "refusal", "scratch", "reason"), marks)
    return 0


def verify(words: argparse.Namespace) -> int:
    """every variant of this machine beside its reference, bit for bit"""
    variants, results = _variants(words), []
    for number, v in enumerate(variants, 1):
        _progress(number, len(variants), v["id"])
        op, problem, compared = _op(v["op"]), "", 0
        for seed, sizes in enumerate(_trials(op)):
            arrays = _inputs(op, sizes, v["dtype"], v["algebra"], seed)
            try:
                _call(op, arrays, v, 0, "verify")
                compared += 1
            except nitrix.NitrixVerifyError as error:
                problem = str(error)
                break
            except NotImplementedError:
                continue  # not its shapes
        if not compared and not problem:
            problem = "no shape that was tried is of its class"
        results.append({"id": v["id"], "shapes": compared, "problem": problem})
    wrong = [r for r in results if r["problem"]]
    if words.json:
        print(json.dumps(results, indent=1))
    else:
        _table(("variant", "shapes", "result"), [(r["id"], r["shapes"], r["problem"] or "same bits") for r in results])
        print(f"{len(results) - len(wrong)} of {len(results)} variants have the bits of their references")
    return 1 if wrong or not results else 0


def bench(words: argparse.Namespace) -> int:
    """seconds of each variant of this machine, best of interleaved rounds"""
    op = _op(words.op)
    sizes, calls = _sizes(op, words.shape or ",".join(["512"] * len(_dimensions(op)))), []
    for v in _variants(words):
        if (v["op"], v["dtype"]) != (words.op, words.dtype) or words.algebra not in (None, v["algebra"]):
            continue
        call = _timed(op, _inputs(op, sizes, v["dtype"], v["algebra"], 0), v, words.threads)
        try:
            call()
        except NotImplementedError:
            continue
        calls.append((v, call))
    best = [float("inf")] * len(calls)
    for done in range(words.rounds):
        for index, (_, call) in enumerate(calls):
            best[index] = min(best[index], call())
        _progress(done + 1, words.rounds, "rounds")
    results = [{"id": v["id"], "seconds": s} for (v, _), s in zip(calls, best, strict=True)]
    if words.json:
        print(json.dumps(results, indent=1))
    else:
        _table(("variant", "microseconds"), [(r["id"], f"{1e6 * r['seconds']:.1f}") for r in results])
    return 0 if results else 1


def _timed(op: dict[str, Any], arrays: list[np.ndarray | None], v: dict[str, Any], threads: int) -> Callable[[], float]:
    def call() -> float:
        start = time.perf_counter()
        _call(op, arrays, v, threads, None)
        return time.perf_counter() - start

    return call


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nitrix", description=nitrix.__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for function in (info, explain, verify, bench):
        one = commands.add_parser(function.__name__, help=function.__doc__, description=function.__doc__)
        one.set_defaults(run=function)
        one.add_argument("--json", action="store_true", help="JSON instead of a table")
        if function in (explain, bench):
            one.add_argument("op", nargs=None if function is explain else "?", default="semiring_matmul")
            shape = {"required": True} if function is explain else {"default": None}
            one.add_argument(
                "--shape", help="sizes, output dimensions first: m,n,k or m=..,n=..,k=..; bench: 512 each", **shape
            )
            one.add_argument("--algebra", help="default: real for explain, all for bench")
            one.add_argument("--dtype", default="float32")
            one.add_argument("--threads", type=int, default=0, help="0: all")
        if function is explain:
            one.add_argument("--backend", default="auto")
        if function in (verify, bench):
            one.add_argument("--match", default="", metavar="TEXT", help="only variants whose id contains TEXT")
        if function is bench:
            one.add_argument("--rounds", type=int, default=10)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 1 for a variant that is wrong, 2 for a question that makes no sense."""
    arguments = _parser().parse_args(words)
    try:
        return arguments.run(arguments)
    except (ValueError, TypeError) as error:
        print(f"nitrix: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
