"""Reads the facts of each algebra that the plan needs from the comment that opens its header."""

import dataclasses
import tomllib
from pathlib import Path

from .manifest import DTYPES

FLOATS = ("float32", "float64")


class AlgebraError(Exception):
    """A mistake in an algebra header's front matter."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the plan knows of an algebra."""

    dtypes: tuple[str, ...] = FLOATS  # that it is defined on
    components: int = 1  # of the monoid's state


def read(path: Path) -> Facts:
    """The facts of the algebra at `path`: what its front matter says, else the defaults."""
    lines = []
    for line in path.read_text().splitlines():
        text = line.removeprefix("//").strip()
        if not line.startswith("//") or (lines and not text):
            break
        lines.append(text)
    if not lines or lines[0] != "[algebra]":
        return Facts()
    try:
        facts = tomllib.loads("\n".join(lines))["algebra"]
    except tomllib.TOMLDecodeError as error:
        raise AlgebraError(f"{path.name}: front matter: {error}") from None
    unknown = set(facts) - {"dtypes", "components"}
    dtypes, components = facts.get("dtypes", FLOATS), facts.get("components", 1)
    if unknown:
        raise AlgebraError(
            f"{path.name}: front matter: unknown key {sorted(unknown)[0]!r}; known keys: dtypes, components"
        )
    if not dtypes or not set(dtypes) <= set(DTYPES):
        raise AlgebraError(f"{path.name}: front matter: dtypes is {dtypes!r}, must list some of {', '.join(DTYPES)}")
    if not isinstance(components, int) or components < 1:
        raise AlgebraError(f"{path.name}: front matter: components is {components!r}, must be 1 or more")
    return Facts(tuple(dtypes), components)


def discover(folder: Path) -> dict[str, Facts]:
    """The facts of every algebra in `folder`, by name, in the order of their names."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.h"))}
