"""Reads the facts of each target from the comment that opens its schedule file."""

import dataclasses
import tomllib
from pathlib import Path


class TargetError(Exception):
    """A mistake in a schedule file's front matter."""


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    arch: tuple[str, ...]
    halide: tuple[str, ...]  # Halide target features
    cpu: tuple[str, ...]  # what the processor must have, in the names of runtime/cpu_features.cpp
    rounding: str  # rounding class: "fused" or "unfused"
    priority: int
    source: Path
    reference: bool = False  # never chosen by itself: what mode verify compares its rounding class with
    fma: str = ""  # how generators write a fused multiply-add: "fused", "unfused" or "emulated"
    dtypes: tuple[str, ...] = ()  # that it serves; none named: all
    algebras: tuple[str, ...] = ()  # likewise


def read(path: Path) -> Target:
    """The target that the schedule file at `path` describes."""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("//"):
            break
        text = line.removeprefix("//").strip()
        if lines and not text:
            break
        lines.append(text)
    try:
        facts = tomllib.loads("\n".join(lines))["target"]
        fma = facts["rounding"]
        if fma not in ("fused", "unfused", "emulated"):
            raise TargetError(f"{path.name}: rounding is {fma!r}, must be 'fused', 'unfused' or 'emulated'")
        return Target(
            path.stem, tuple(facts["arch"]), tuple(facts["halide"]), tuple(facts["cpu"]),
            "fused" if fma == "emulated" else fma, int(facts["priority"]), path, bool(facts.get("reference", False)),
            fma, tuple(facts.get("dtypes", ())), tuple(facts.get("algebras", ())),
        )  # fmt: skip
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise TargetError(
            f"{path.name}: front matter: {error}; start the file with a comment like that of schedules/avx2.cpp"
        ) from None


def discover(folder: Path, arch: str) -> list[Target]:
    """All targets for `arch` ("x86-64" or "arm-64"), lowest priority first."""
    targets = [t for t in map(read, sorted(folder.glob("*.cpp"))) if arch in t.arch]
    return sorted(targets, key=lambda t: t.priority)
