"""The results as a table to read and as JSON to keep."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from measure import Row, geometric_mean

COLUMNS = f"{'m x n x k':<20}{'time':>11}{'Gop/s':>9}{'of limit':>10}{'best peer':>11}   "


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    units = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))
    unit, scale = next((u for u in units if seconds * u[1] >= 1), units[-1])
    value = seconds * scale
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"


class Table:
    """Prints each row as it comes, under a heading for its op, algebra and dtype. Colours on a terminal alone."""

    def __init__(self, write: Callable[[str], object], colour: bool) -> None:
        self._write = write
        self._colour = colour
        self._heading = ""

    def _paint(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def add(self, row: Row) -> None:
        heading = f"{row.op}  {row.algebra.upper()}  {row.dtype}"
        if heading != self._heading:
            self._heading = heading
            self._write(f"\n{self._paint(heading, 1)}\n{COLUMNS}peers (time / nitrix's), variant\n")
        fraction = "-" if row.fraction is None else f"{row.fraction:.2f}{' m' if row.limit == 'memory' else '  '}"
        best = "-" if row.ratio is None else f"{row.ratio:.2f}x"
        line = f"{row.size:<20}{duration(row.seconds):>11}{_rate(row.gops):>9}{fraction:>10}"
        if row.ratio is None:
            line += f"{best:>11}"
        else:
            line += self._paint(f"{best:>11}", 32 if row.ratio >= 0.97 else 33 if row.ratio >= 0.8 else 31)
        peers = []
        for name, peer in sorted(row.peers.items(), key=lambda item: item[1].ratio):
            text = f"{name} {peer.ratio:.2f}"
            if not peer.agrees:
                text = self._paint(f"{name} DIFFERS", 31)
            elif not peer.safe:
                text = f"({text})"
            peers.append(text)
        peers += [f"{name} absent" for name in row.absent]
        tail = "/".join(row.variant.split("/")[3:]) or row.variant
        self._write(f"{line}   {', '.join([*peers, self._paint(tail, 2)])}\n")


def _rate(gops: float) -> str:
    return f"{gops:.{3 if gops < 1 else 2 if gops < 10 else 1 if gops < 1000 else 0}f}"


LEGEND = """
Time and Gop/s (2mnk) of nitrix; fraction of the machine's limit measured in the same rounds (m: memory binds; of sparse
products it is memory past all caches, so those that a cache holds can exceed 1); ratio of the fastest safe peer's time
to nitrix's: above 1, nitrix is faster. (In brackets): right on benign input only, or nitrix itself otherwise.
"""


def summary(rows: list[Row]) -> str:
    """How nitrix stands by algebra and dtype, and what was missing."""
    lines = []
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.algebra, row.dtype), []).append(row)
    for (algebra, dtype), members in groups.items():
        ratios = [row.ratio for row in members if row.ratio]
        fractions = [row.fraction for row in members if row.fraction]
        text = f"{algebra.upper()} {dtype}: {len(members)} cases"
        if ratios:
            text += (
                f", beside the best peer {geometric_mean(ratios):.2f}x (from {min(ratios):.2f}x to {max(ratios):.2f}x)"
            )
        if fractions:
            text += f", up to {max(fractions):.2f} of the limit"
        lines.append(text)
    absent = {name: reason for row in rows for name, reason in row.absent.items()}
    lines += [f"absent peer {name}: {reason}" for name, reason in absent.items()]
    lines += [
        f"{row.name}: {name} DIFFERS from nitrix beyond its tolerance; one of the two is wrong"
        for row in rows
        for name, peer in row.peers.items()
        if not peer.agrees
    ]
    return "\n".join(lines)


# What README.md shows: (op, algebra, dtype, size) and what it is called there.
README_ROWS = {
    ("semiring_matmul", "real", "float32", "1024"): "REAL",
    ("semiring_matmul", "real", "float32", "1000x777x333"): "REAL",
    ("semiring_matmul", "tropical_max_plus", "float32", "1024"): "TROPICAL_MAX_PLUS",
    ("semiring_matmul", "euclidean", "float32", "1024"): "EUCLIDEAN",
    ("semiring_matmul", "log", "float32", "1024"): "LOG",
    ("semiring_matmul", "boolean", "bool", "1024"): "BOOLEAN",
    ("semiring_matmul_vjp", "tropical_max_plus", "float32", "1024"): "MAX_PLUS with its gradient",
    ("semiring_closure", "tropical_min_plus", "float32", "1024"): "all shortest paths",
    ("semiring_nearest", "euclidean", "float32", "20000 d=64 k=16"): "16 nearest of 20,000 points",
}
MARKS = "<!-- the table of ./x bench -->\n", "<!-- its end -->\n"


def readme_table(rows: list[Row]) -> str:
    """The rows of README.md's table. KeyError where one was not measured."""
    measured = {(row.op, row.algebra, row.dtype, row.size): row for row in rows}
    lines = [
        "| product | m x n x k | time | of the limit | fastest safe peers' time / nitrix's |",
        "|---|---|---|---|---|",
    ]
    for key, label in README_ROWS.items():
        if key not in measured:
            raise KeyError(f"{'/'.join(key)} was not measured, and README.md shows it")
        row = measured[key]
        safe = sorted((p.ratio, name) for name, p in row.peers.items() if p.safe and p.agrees)
        peers = ", ".join(f"{name} {ratio:.{2 if ratio < 10 else 0}f}" for ratio, name in safe[:2])
        # A gradient's operations are not those of the sequence that sets the limit.
        share = "" if row.fraction is None or row.op.endswith("_vjp") else f"{row.fraction:.2f}"
        lines.append(f"| {label} | {row.size} | {duration(row.seconds)} | {share} | {peers} |")
    return "\n".join(lines) + "\n"


def write_readme(path: Path, rows: list[Row]) -> None:
    """Replaces the table between the marks."""
    text = path.read_text()
    before, mark, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not mark or not end:
        raise ValueError(f"{path.name}: no table between {MARKS[0].strip()} and {MARKS[1].strip()}")
    path.write_text(before + mark + "\n" + readme_table(rows) + "\n" + end + after)


def write_json(path: Path, rows: list[Row], machine: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"machine": machine, "rows": [dataclasses.asdict(row) for row in rows]}
    path.write_text(json.dumps(data, indent=1) + "\n")
