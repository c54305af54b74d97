"""cblas of a loaded library through ctypes: the product alone, without an allocation or a copy of NumPy's."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROW_MAJOR, NO_TRANS, TRANS = 101, 111, 112


class Absent(Exception):
    """A peer that this environment does not have; says why."""


def _operand(x: np.ndarray) -> tuple[int, int]:
    """Transposition and leading dimension of a matrix that is row-major or the transpose of one."""
    size = x.itemsize
    if x.strides[1] == size:
        return NO_TRANS, max(x.strides[0] // size, x.shape[1])
    if x.strides[0] == size:
        return TRANS, max(x.strides[1] // size, x.shape[0])
    raise ValueError("cblas takes no operand without a unit stride")


class Blas:
    """One library's gemm. `prefix` and `suffix` surround its symbols; an ILP64 build has 64-bit integers."""

    def __init__(self, library: ctypes.CDLL, version: str, prefix: str = "", suffix: str = "") -> None:
        self.version = version
        self._integer = ctypes.c_int64 if "64" in suffix else ctypes.c_int
        self._gemm = {}
        for dtype, letter, real in (("float32", "s", ctypes.c_float), ("float64", "d", ctypes.c_double)):
            function = getattr(library, f"{prefix}cblas_{letter}gemm{suffix}")
            i, p = self._integer, ctypes.c_void_p
            function.argtypes = [ctypes.c_int] * 3 + [i] * 3 + [real, p, i, p, i, real, p, i]
            function.restype = None
            self._gemm[dtype] = function
        self._batch = {}
        for dtype, letter, real in (("float32", "s", ctypes.c_float), ("float64", "d", ctypes.c_double)):
            function = getattr(library, f"{prefix}cblas_{letter}gemm_batch_strided{suffix}", None)
            if function is not None:
                i, p = self._integer, ctypes.c_void_p
                one = [real, p, i, i, p, i, i, real, p, i, i, i]
                function.argtypes = [ctypes.c_int] * 3 + [i] * 3 + one
                function.restype = None
                self._batch[dtype] = function

    def product(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Callable[[], None]:
        """A call that writes a @ b into c."""
        (trans_a, lda), (trans_b, ldb) = _operand(a), _operand(b)
        (m, k), n = a.shape, b.shape[1]
        arguments = (ROW_MAJOR, trans_a, trans_b, m, n, k, 1.0, a.ctypes.data, lda, b.ctypes.data, ldb)
        arguments += (0.0, c.ctypes.data, n)
        gemm = self._gemm[c.dtype.name]
        return lambda: gemm(*arguments)

    def batch(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Callable[[], None]:
        """A call that writes a @ b into c, for compact batches of matrices."""
        if c.dtype.name not in self._batch:
            raise Absent("has no gemm_batch_strided")
        count, m, k = a.shape
        n = b.shape[2]
        arguments = (ROW_MAJOR, NO_TRANS, NO_TRANS, m, n, k, 1.0, a.ctypes.data, k, m * k, b.ctypes.data, n, k * n)
        arguments += (0.0, c.ctypes.data, n, m * n, count)
        gemm = self._batch[c.dtype.name]
        return lambda: gemm(*arguments)


def open_blas() -> Blas:
    """The OpenBLAS that NumPy has loaded."""
    try:
        import threadpoolctl
    except ImportError as error:
        raise Absent(str(error)) from None
    rows = [row for row in threadpoolctl.threadpool_info() if row["internal_api"] == "openblas"]
    for row in sorted(rows, key=lambda row: "numpy" not in row["filepath"]):  # other packages bring older ones
        library = ctypes.CDLL(row["filepath"])
        for prefix in ("scipy_", ""):
            for suffix in ("64_", ""):
                if hasattr(library, f"{prefix}cblas_sgemm{suffix}"):
                    version = f"{row['version']} ({row['architecture']})"
                    return Blas(library, version, prefix, suffix)
    raise Absent("this NumPy is linked with another BLAS than OpenBLAS")


def mkl(threads: int) -> Blas:
    """MKL from its PyPI package, which puts its libraries into the environment's lib folder."""
    found = sorted(Path(sys.prefix, "lib").glob("libmkl_rt.so*"))
    if not found:
        raise Absent("PyPI package mkl is not installed")
    try:
        library = ctypes.CDLL(str(found[-1]))
    except OSError as error:
        raise Absent(str(error)) from None
    library.MKL_Set_Num_Threads(ctypes.c_int(threads))
    text = ctypes.create_string_buffer(256)
    library.MKL_Get_Version_String(text, ctypes.c_int(256))
    words = text.value.decode(errors="replace").split("Version ")[-1].split()
    return Blas(library, words[0].removesuffix("-Product"))
