"""Questions about the library and its calls: explain, workspace_size, info, counters, last_variant."""

import json
from collections.abc import Callable
from typing import Any

from nitrix import _nitrix
from nitrix._kinds import SupportsDLPack
from nitrix._ops import FUNCTIONS, OPS
from nitrix._semiring_conv import padding_attributes
from nitrix.semiring import MOST_COMPONENTS, Semiring, algebra_name

_OPTIONS: dict[str, Any] = {"backend": "auto", "threads": 0, "variant": None, "mode": None}


def explain(op: str | Callable[..., Any], *arrays: SupportsDLPack, **attributes: Any) -> dict[str, Any]:
    """Which candidates a call would consider, and why each is taken or refused. Nothing is computed.

    ``op`` is a public function (``nitrix.semiring.semiring_matmul``) or an op's name; ``arrays`` are its inputs and
    ``attributes`` its keyword arguments, ``out`` excepted. Raises what the call would raise for the same arguments.

    >>> nitrix.explain(semiring_matmul, A, B, semiring=TROPICAL_MIN_PLUS)  # doctest: +SKIP
    """
    found, values, options = _resolve(op, attributes)
    answer: dict[str, Any] = json.loads(found.explain(_flat(arrays), values, *options))
    return answer


def workspace_size(op: str | Callable[..., Any], *arrays: SupportsDLPack, **attributes: Any) -> int:
    """The most scratch memory that a call would allocate, in bytes. Arguments as for :func:`explain`."""
    found, values, options = _resolve(op, attributes)
    return found.workspace_size(_flat(arrays), values, *options)


def info() -> dict[str, Any]:
    """The library: version, this machine's features, targets, ops, algebras, and every variant with its id."""
    answer: dict[str, Any] = json.loads(_nitrix.info())
    return answer


def counters() -> dict[str, int]:
    """How many calls each variant has served so far in this process, by id."""
    answer: dict[str, int] = json.loads(_nitrix.counters())
    return answer


def last_variant() -> str:
    """The id of the variant that served this thread's latest successful call.

    "" before the first, "none" for a call that a size of zero answered without any kernel.
    """
    return _nitrix.last_variant()


def _flat(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """A state, which is a tuple, as the op's arguments."""
    flat: list[Any] = []
    for array in arrays:
        flat += [*array, *[None] * (MOST_COMPONENTS - len(array))] if isinstance(array, tuple) else [array]
    return tuple(flat)


def _resolve(op: Any, keywords: dict[str, Any]) -> tuple[_nitrix.Op, tuple[Any, ...], tuple[Any, ...]]:
    defaults: dict[str, Any] = {}
    if isinstance(op, str):
        if op not in OPS:
            raise ValueError(f"unknown op '{op}'; this build has {', '.join(OPS)}")
        found = OPS[op]
    elif callable(op) and op in FUNCTIONS:
        found, defaults = FUNCTIONS[op]
    else:
        raise TypeError(f"op must be a function of nitrix or an op's name, got {op!r}")
    known = (*found.attributes, *_OPTIONS)
    for name in keywords:
        if name not in known:
            raise TypeError(f"{found.name} has no attribute '{name}'; it has {', '.join(known)}")
    merged = _OPTIONS | defaults | keywords
    if isinstance(merged.get("semiring"), Semiring | str):
        merged["semiring"] = algebra_name(merged["semiring"])
    if merged.get("padding") is not None and "pads" in found.attributes:
        mode, pads = padding_attributes(merged["padding"])
        merged |= {"padding": mode} | ({"pads": pads} if pads else {})
    return found, tuple(merged.get(name) for name in found.attributes), tuple(merged[name] for name in _OPTIONS)
