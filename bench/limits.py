"""What the machine can do at most: libnitrix_limits, built from limits.cpp."""

import ctypes
import math
from pathlib import Path

TARGETS = ("avx512", "avx2", "sse41")  # widest first

# What the inner loop of an algebra needs at least, per element and step. LOG's main path is a REAL product.
SEQUENCES = {
    "real": "fma",
    "log": "fma",
    "tropical_max_plus": "add_max",
    "tropical_min_plus": "add_max",
    "euclidean": "sub_fma",
    "boolean": "and_or",
}

PAST_CACHES = 2**28
"""Bytes that are well past any cache."""


class Limits:
    """The probes of one build; 1e9 operations or bytes per second."""

    def __init__(self, library: Path, threads: int) -> None:
        if not library.exists():
            raise FileNotFoundError(f"{library} is not built: cmake --build build --target nitrix_limits")
        self._library = ctypes.CDLL(str(library))
        self._library.nitrix_limit_name.restype = ctypes.c_char_p
        for function in ("measure", "read", "copy"):
            prefix = "nitrix_limit_" if function == "measure" else "nitrix_bandwidth_"
            getattr(self._library, prefix + function).restype = ctypes.c_double
        self._threads = threads
        self.index = {
            self._library.nitrix_limit_name(i).decode(): i
            for i in range(self._library.nitrix_limit_count())
            if self._library.nitrix_limit_supported(i)
        }

    def name(self, sequence: str, dtype: str, target: str | None = None) -> str:
        """The limit of an instruction sequence on `target`, by default on the widest that the machine has."""
        for candidate in [target] if target else TARGETS:
            name = f"{sequence}/{dtype}/{candidate}"
            if name in self.index:
                return name
        known = ", ".join(self.index)
        raise KeyError(f"no limit {sequence}/{dtype}/{target or 'any target'} on this machine; there are {known}")

    def measure(self, name: str, seconds: float = 0.02) -> float:
        return self._library.nitrix_limit_measure(self.index[name], ctypes.c_double(seconds), self._threads)

    def bandwidth(self, working_set: float) -> float:
        """Reading from the level of memory that holds `working_set` bytes."""
        # Powers of two from half of an L1; per thread, as every thread has its own.
        each = min(max(1.0, working_set / self._threads), PAST_CACHES)
        size = ctypes.c_size_t(2 ** max(14, math.ceil(math.log2(each))))
        return self._library.nitrix_bandwidth_read(size, ctypes.c_double(0.05), self._threads)

    def memory(self) -> float:
        """Reading past all caches, of which the threads may share the last."""
        return self.bandwidth(max(PAST_CACHES, self._threads * PAST_CACHES // 4))

    def all(self) -> dict[str, float]:
        return {name: round(self.measure(name), 1) for name in self.index}
