"""The ops of the linked library, as its own table (nitrix_info) describes them."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from nitrix import _nitrix

INPUT_ROLES = ("input", "structure")


def _op(entry: Mapping[str, Any]) -> _nitrix.Op:
    inputs = [(a["name"], a["dims"], a["dtype"]) for a in entry["arguments"] if a["role"] in INPUT_ROLES]
    outputs = [(a["name"], a["dims"], a["dtype"]) for a in entry["arguments"] if a["role"] not in INPUT_ROLES]
    # Bytes that are not the call's dtype are truth values.
    outputs = [(name, dims, "bool" if dtype == "uint8" else dtype) for name, dims, dtype in outputs]
    # An op over algebras takes its algebra as one more attribute.
    attributes = ["semiring"] * bool(entry["algebras"]) + [a["name"] for a in entry["attributes"]]
    optional = [a["name"] for a in entry["arguments"] if a["optional"]]
    like = {a["name"]: a["like"] for a in entry["arguments"] if a["like"]}
    # A component of a state that only some algebras have.
    algebras = {a["name"]: a["algebras"] for a in entry["arguments"] if a["algebras"]}
    by_library: bool = entry["shape_by_library"]
    # A dimension that no input has: then the caller gives the output.
    known = {d for _, dims, _ in inputs for d in dims}
    free = not by_library and any(d not in known for _, dims, _ in outputs for d in dims)
    return _nitrix.Op(entry["name"], inputs, outputs, attributes, optional, like, by_library, algebras, free)


_info = json.loads(_nitrix.info())

VERSION: str = _info["version"]
ALGEBRAS: list[dict[str, Any]] = _info["algebras"]
OPS: dict[str, _nitrix.Op] = {entry["name"]: _op(entry) for entry in _info["ops"]}

# Which op a public function calls, and with what keyword arguments unless told otherwise.
FUNCTIONS: dict[Callable[..., Any], tuple[_nitrix.Op, dict[str, Any]]] = {}

F = TypeVar("F", bound=Callable[..., Any])


def direct(op: str, semiring: Any) -> Callable[[F], F]:
    """Lets plain calls of a function, arrays with semiring, out and threads at most, go to its op without it.

    ``semiring`` is the function's default.
    """

    def decorate(function: F) -> F:
        decorated: Any = functools.update_wrapper(_nitrix.Direct(OPS[op], semiring), function)
        FUNCTIONS[decorated] = (OPS[op], {"semiring": semiring})
        return decorated  # type: ignore[no-any-return]

    return decorate
