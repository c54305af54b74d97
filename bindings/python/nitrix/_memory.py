"""Memory for results."""

from typing import Any

import numpy as np

from nitrix import _nitrix


def empty(shape: int | tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
    """A new row-major array, not initialised, for ``out=``: what a call without ``out`` makes for large results.

    It begins at a line of the cache, so that kernels can store large results past the caches, where an array of NumPy's
    begins 16 bytes behind one. Its memory is kept when the last reference to it goes, and given to the next array of
    about its size: fresh pages can take as long as the kernel that writes them. What is kept is of 1 MB and more, and
    ``NITRIX_KEPT_MEMORY`` bytes in all at most (256 MB; 0: none), the latest.

    Parameters
    ----------
    shape
        As for :func:`numpy.empty`.
    dtype
        Likewise; float32 by default.

    Returns
    -------
    (*shape)
        A NumPy array that owns its memory (through NumPy's memory handlers, NEP 49).
    """
    array: np.ndarray = _nitrix.empty(shape, dtype)
    return array
