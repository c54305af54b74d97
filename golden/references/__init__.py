"""One module per family of ops; a new op is a new entry of a module's REFERENCES, or a new module.

A module has REFERENCES, a dict from op name to Reference. Nothing here may import nitrix.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from golden.corpus import Case, Cell

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Reference:
    """How the cases of one op are made.

    algebras: the dtypes of each algebra (the algebra "" for an op without one).
    cases: the named inputs for (algebra, dtype).
    compute: the outputs and their scales (see golden.corpus.Case) for an algebra and inputs.
    """

    algebras: Mapping[str, tuple[str, ...]]
    cases: Callable[[str, str], Iterator[tuple[str, Arrays]]]
    compute: Callable[[str, Arrays], tuple[Arrays, Arrays]]


def references() -> dict[str, Reference]:
    """Every op's reference, from all modules of this folder."""
    found: dict[str, Reference] = {}
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        for op, reference in getattr(importlib.import_module(f"{__name__}.{module}"), "REFERENCES", {}).items():
            if op in found:
                raise ValueError(f"two modules of golden/references make {op!r}")
            found[op] = reference
    return found


def cells(known: Mapping[str, Reference]) -> list[Cell]:
    """The cells that the references make."""
    return sorted(Cell(op, a, d) for op, r in known.items() for a, dtypes in r.algebras.items() for d in dtypes)


def make(reference: Reference, cell: Cell) -> list[Case]:
    """Computes all cases of a cell."""
    made = []
    for name, inputs in reference.cases(cell.algebra, cell.dtype):
        outputs, scales = reference.compute(cell.algebra, inputs)
        made.append(Case(name, inputs, outputs, scales))
    names = [case.name for case in made]
    if len(set(names)) != len(names):
        raise ValueError(f"{cell}: two cases have one name: {sorted(n for n in names if names.count(n) > 1)[0]}")
    return made
