"""Tensor kernels over any semiring, compiled ahead of time.

Every function takes NumPy arrays and objects with ``__dlpack__`` (PyTorch, JAX, CuPy, ...), and returns the kind it was
given. Arrays are never converted behind the caller's back: mixed dtypes and lists are errors that say what to write
instead.
"""

from nitrix import semiring, sparse
from nitrix._asking import counters, explain, info, last_variant, workspace_size
from nitrix._memory import empty
from nitrix._ops import VERSION as __version__
from nitrix.errors import NitrixBackendFallback, NitrixFallbackError, NitrixVerifyError

__all__ = [
    "NitrixBackendFallback",
    "NitrixFallbackError",
    "NitrixVerifyError",
    "__version__",
    "counters",
    "empty",
    "explain",
    "info",
    "last_variant",
    "semiring",
    "sparse",
    "workspace_size",
]
