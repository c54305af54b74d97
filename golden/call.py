"""Calls nitrix on the arrays of a case: the one place in golden/ that knows how."""

import functools
import importlib
import tomllib
from collections.abc import Mapping

import numpy as np

from golden import corpus
from golden.registry import Variant


@functools.cache
def _entry(op: str) -> dict:
    return tomllib.loads(corpus.MANIFEST.read_text())["op"][op]


def _grouped(states: list[str], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | tuple]:
    """The arrays of a case as the function takes them: a state, `left` and `left_2`, is a tuple."""
    grouped: dict[str, np.ndarray | tuple] = {}
    for name, array in inputs.items():
        base = name.removesuffix("_2")
        grouped[base] = (*grouped.get(base, ()), array) if base in states else array
    return grouped


def call(
    cell: corpus.Cell, inputs: Mapping[str, np.ndarray], variant: str | None = None, **more: str
) -> dict[str, np.ndarray]:
    """The outputs by name of nitrix.<area>.<op>, served by the variant of that id, or by nitrix's own choice.

    `more` are further keyword arguments of the function: backend="naive".
    """
    entry = _entry(cell.op)
    function = getattr(importlib.import_module(f"nitrix.{entry['area']}"), cell.op)
    algebra = {"semiring": cell.algebra} if cell.algebra else {}
    states = [a["name"] for a in entry["arguments"] if a["role"] == "state"]
    arrays = [a["name"] for a in entry["arguments"] if a["role"] in ("input", "structure")]
    named = {n: a for n, a in inputs.items() if n not in arrays and n.removesuffix("_2") not in states}
    options = {n: a.item() if a.dtype.kind == "U" or n == "n_cols" else a.tolist() for n, a in named.items()}
    if variant is not None:
        options["variant"] = variant
    given = _grouped(states, {n: a for n, a in inputs.items() if n not in named})
    results = function(*given.values(), **algebra, **options, **more)
    outputs = [a for a in entry["arguments"] if a["role"] not in ("input", "structure") and a["name"] not in given]
    names = [a["name"] for a in outputs]
    if outputs[-1]["role"] == "state":
        names += [f"{names[-1]}_{i}" for i in range(2, len(results) + 1)]
    return dict(zip(names, results if isinstance(results, tuple) else (results,), strict=True))


def serve(variant: Variant, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The outputs of that variant, or None where its condition on shapes excludes the inputs."""
    try:
        return call(variant.cell, inputs, variant.id)
    except NotImplementedError:
        if not variant.condition:
            raise
        return None
