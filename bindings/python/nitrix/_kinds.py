"""Array kinds: giving results back as what the caller's library calls an array."""

import sys
from typing import Any, Protocol, TypeVar

import numpy as np


class SupportsDLPack(Protocol):
    """NumPy arrays and everything else that speaks DLPack."""

    def __dlpack__(self) -> Any: ...


Array = TypeVar("Array", bound=SupportsDLPack)


def as_kind_of(like: Any, result: Any) -> Any:
    """``result``, a NumPy array or a tuple of them, in the library of ``like``; without a copy where it allows that."""
    if isinstance(result, tuple):
        return tuple(as_kind_of(like, array) for array in result)
    from_dlpack = _from_dlpack(like)
    array = result if from_dlpack is np.from_dlpack else from_dlpack(result)
    # NumPy has no bfloat16: uint16 holds its bits.
    return array.view(like.dtype) if result.dtype == np.uint16 else array


def _from_dlpack(like: Any) -> Any:
    # torch.Tensor says it is of "torch", torch.nn.Parameter of "torch.nn.parameter": the nearest package that has it.
    name = type(like).__module__
    while name:
        found = getattr(sys.modules.get(name), "from_dlpack", None)
        if found is not None:
            return found
        name = name.rpartition(".")[0]
    # JAX's arrays come from jaxlib, and name their library by the array API standard.
    if hasattr(like, "__array_namespace__"):
        return like.__array_namespace__().from_dlpack
    return np.from_dlpack
