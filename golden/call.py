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


def call(
    cell: corpus.Cell, inputs: Mapping[str, np.ndarray], variant: str | None = None, **more: str
) -> dict[str, np.ndarray]:
    """The outputs by name of nitrix.<area>.<op>, served by the variant of that id, or by nitrix's own choice.

    `more` are further keyword arguments of the function: backend="naive".
    """
    entry = _entry(cell.op)
    function = getattr(importlib.import_module(f"nitrix.{entry['area']}"), cell.op)
    algebra = {"semiring": cell.algebra} if cell.algebra else {}
    arrays = [a["name"] for a in entry["arguments"] if a["role"] in ("input", "structure")]
    options = {n: a.item() if a.dtype.kind == "U" or n == "n_cols" else a.tolist() for n, a in inputs.items()
               if n not in arrays}  # fmt: skip
    if variant is not None:
        options["variant"] = variant
    results = function(*(inputs[name] for name in arrays if name in inputs), **algebra, **options, **more)
    names = [a["name"] for a in entry["arguments"] if a["role"] not in ("input", "structure")]
    return dict(zip(names, results if isinstance(results, tuple) else (results,), strict=True))


def serve(variant: Variant, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The outputs of that variant, or None where its condition on shapes excludes the inputs."""
    try:
        return call(variant.cell, inputs, variant.id)
    except NotImplementedError:
        if not variant.condition:
            raise
        return None
