"""The ops of the linked library, as its own table (nitrix_info) describes them."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from nitrix import _nitrix


def _core_dims(signature: str) -> tuple[list[list[str]], list[list[str]]]:
    """The core dimensions of inputs and outputs in a gufunc signature such as "(m,k),(k,n)->(m,n)"."""
    sides = signature.replace(" ", "").split("->")
    inputs, outputs = ([[d for d in group.split(",") if d] for group in re.findall(r"\(([^)]*)\)", s)] for s in sides)
    return inputs, outputs


def _op(entry: Mapping[str, Any]) -> _nitrix.Op:
    input_dims, output_dims = _core_dims(entry["signature"])
    inputs = [a for a in entry["arguments"] if a["role"] == "input"]
    outputs = [a for a in entry["arguments"] if a["role"] != "input"]
    attributes = [a["name"] for a in entry.get("attributes", ())]
    if entry["algebras"] and "semiring" not in attributes:
        attributes.insert(0, "semiring")  # every op over algebras takes its algebra as this attribute
    return _nitrix.Op(
        entry["name"],
        [(a["name"], dims, a["dtype"]) for a, dims in zip(inputs, input_dims, strict=True)],
        [(a["name"], dims, a["dtype"]) for a, dims in zip(outputs, output_dims, strict=True)],
        attributes,
    )


_info = json.loads(_nitrix.info())

VERSION: str = _info["version"]
ALGEBRAS: list[dict[str, Any]] = _info["algebras"]
OPS: dict[str, _nitrix.Op] = {entry["name"]: _op(entry) for entry in _info["ops"]}

# Which op a public function calls, and with what keyword arguments unless told otherwise.
FUNCTIONS: dict[Callable[..., Any], tuple[_nitrix.Op, dict[str, Any]]] = {}
