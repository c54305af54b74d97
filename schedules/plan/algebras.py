"""Reads the facts of each algebra that the plan needs from the comment that opens its header."""

import tomllib
from pathlib import Path

from .manifest import DTYPES

FLOATS = ("float32", "float64")


class AlgebraError(Exception):
    """A mistake in an algebra header's front matter."""


def read_dtypes(path: Path) -> tuple[str, ...]:
    """The dtypes that the algebra at `path` is defined on: what its front matter says, else the floats."""
    lines = []
    for line in path.read_text().splitlines():
        text = line.removeprefix("//").strip()
        if not line.startswith("//") or (lines and not text):
            break
        lines.append(text)
    if not lines or lines[0] != "[algebra]":
        return FLOATS
    try:
        facts = tomllib.loads("\n".join(lines))["algebra"]
    except tomllib.TOMLDecodeError as error:
        raise AlgebraError(f"{path.name}: front matter: {error}") from None
    unknown = set(facts) - {"dtypes"}
    dtypes = facts.get("dtypes", FLOATS)
    if unknown:
        raise AlgebraError(f"{path.name}: front matter: unknown key {sorted(unknown)[0]!r}; known keys: dtypes")
    if not dtypes or not set(dtypes) <= set(DTYPES):
        raise AlgebraError(f"{path.name}: front matter: dtypes is {dtypes!r}, must list some of {', '.join(DTYPES)}")
    return tuple(dtypes)


def discover(folder: Path) -> dict[str, tuple[str, ...]]:
    """The dtypes of every algebra in `folder`, by name, in the order of their names."""
    return {path.stem: read_dtypes(path) for path in sorted(folder.glob("*.h"))}
