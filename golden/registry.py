"""What `nitrix.info()` says about the variants, in the terms of the corpus."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from golden.corpus import Cell


@dataclasses.dataclass(frozen=True)
class Variant:
    """One row of the registry."""

    id: str
    cell: Cell
    target: str
    condition: str  # on shapes; "" where it serves every shape
    runs_here: bool
    fused: bool  # of the rounding class whose members all give the same bits

    @property
    def backend(self) -> str:
        return self.target if self.target in ("naive", "cuda") else "cpu"


def variants(info: Mapping[str, Any]) -> list[Variant]:
    """All variants of the library, whether or not this machine can run them."""
    return [
        Variant(
            id=v["id"],
            # The library's BOOLEAN takes bytes, and Python's bool.
            cell=Cell(v["op"], v["algebra"], "bool" if v["dtype"] == "uint8" else v["dtype"]),
            target=v["target"],
            condition=v["condition"],
            runs_here=v["runs_here"],
            fused=v["rounding"] == "fused",
        )
        for v in info["variants"]
    ]
