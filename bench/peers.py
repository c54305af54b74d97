"""The strongest other ways to a product over each algebra, all on the same inputs and into memory of their own."""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass

import convolution
import ell_peers
import nearest
import numpy as np
import paths
from blas import Absent, mkl, open_blas

Call = Callable[[], object]


class DoesNotApply(Exception):
    """A peer that has no form for this problem (no batches, another dtype): left out without a word."""


@dataclass(frozen=True)
class Problem:
    """One product: a @ b over an algebra, matrices or equal batches of matrices; `out` shows the result's shape."""

    algebra: str
    a: np.ndarray
    b: np.ndarray
    out: np.ndarray
    threads: int
    inputs: tuple[np.ndarray, ...] = ()
    """All of the op's, where they are not two."""
    op: str = "semiring_matmul"

    @property
    def dtype(self) -> str:
        return self.a.dtype.name

    @property
    def is_batch(self) -> bool:
        return self.a.ndim == 3

    def result(self) -> np.ndarray:
        """Memory for a result, as nitrix has it for its own."""
        empty = importlib.import_module("nitrix").empty
        return empty(self.out.shape, self.out.dtype)


@dataclass(frozen=True)
class Peer:
    """A competitor. `bind` returns a call and the array that the call fills."""

    name: str
    algebras: tuple[str, ...]
    bind: Callable[[Problem], tuple[Call, np.ndarray]]
    safe: bool = True
    """False: right on benign input only (or imprecise); shown, but never the peer to be measured against."""
    tolerance: float = 1e-4
    """Relative to the largest entry, how far results may be from nitrix's on the benchmark's benign inputs."""
    optional: str | None = None
    """Runs only with --with NAME."""
    op: str = "semiring_matmul"
    half: bool = False
    """Beside float16 products, and them alone."""


def _require(name: str):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Absent(str(error)) from None


@functools.cache
def _mkl(threads: int):
    return mkl(threads)


@functools.cache
def _open_blas():
    return open_blas()


def _matrix(problem: Problem) -> None:
    if problem.is_batch:
        raise DoesNotApply


def _bind_open_blas(problem: Problem) -> tuple[Call, np.ndarray]:
    _matrix(problem)
    out = problem.result()
    return _open_blas().product(problem.a, problem.b, out), out


def _bind_mkl(problem: Problem) -> tuple[Call, np.ndarray]:
    out = problem.result()
    library = _mkl(problem.threads)
    if not problem.is_batch:
        return library.product(problem.a, problem.b, out), out
    return library.batch(problem.a, problem.b, out), out


def _bind_numpy(problem: Problem) -> tuple[Call, np.ndarray]:
    if not problem.is_batch and problem.out.size > 128**2:
        raise DoesNotApply  # the same OpenBLAS as above
    a, b, out = problem.a, problem.b, problem.result()
    return lambda: np.matmul(a, b, out=out), out


def _row_major(function, problem: Problem) -> tuple[Call, np.ndarray]:
    """`function(a, b, out)` for loops that want unit strides: copying a transposed operand belongs to the call."""
    out = problem.result()
    a, b = problem.a, problem.b
    plain_a = a if a.flags.c_contiguous else np.empty(a.shape, a.dtype)
    plain_b = b if b.flags.c_contiguous else np.empty(b.shape, b.dtype)

    def call() -> None:
        if plain_a is not a:
            np.copyto(plain_a, a)
        if plain_b is not b:
            np.copyto(plain_b, b)
        function(plain_a, plain_b, out)

    small = (slice(0, 2),) * a.ndim
    function(np.ascontiguousarray(a[small]), np.ascontiguousarray(b[small]), np.empty_like(out[small]))  # compiles
    return call, out


def _bind_numba(fastmath: bool):
    def bind(problem: Problem) -> tuple[Call, np.ndarray]:
        _require("numba")
        loops = _require("loops")
        make = loops.small_batch if problem.is_batch else loops.product
        return _row_major(make(problem.algebra, fastmath, problem.threads > 1), problem)

    return bind


def _bind_numba_log(problem: Problem) -> tuple[Call, np.ndarray]:
    _matrix(problem)
    _require("numba")
    return _row_major(_require("loops").log_product(problem.threads > 1), problem)


def _bind_numba_boolean(problem: Problem) -> tuple[Call, np.ndarray]:
    _matrix(problem)
    _require("numba")
    return _row_major(_require("loops").boolean_product(problem.threads > 1), problem)


def _bind_numba_words(problem: Problem) -> tuple[Call, np.ndarray]:
    _require("numba")
    return _row_major(_require("loops").boolean_words(problem.threads > 1), problem)


def _bind_packbits(problem: Problem) -> tuple[Call, np.ndarray]:
    out = problem.result()
    return lambda: np.copyto(out, np.packbits(problem.a, axis=-1, bitorder="little").view(np.uint32)), out


def _bind_exp_matmul_log(problem: Problem) -> tuple[Call, np.ndarray]:
    # Underflows where the maxima of a row and of a column do not meet, and overflows nowhere.
    a, b, out = problem.a, problem.b, problem.result()

    def call() -> None:
        rows = a.max(axis=-1, keepdims=True)
        columns = b.max(axis=-2, keepdims=True)
        np.matmul(np.exp(a - rows), np.exp(b - columns), out=out)
        np.log(out, out=out)
        np.add(out, rows, out=out)
        np.add(out, columns, out=out)

    return call, out


def _bind_cdist(problem: Problem) -> tuple[Call, np.ndarray]:
    _matrix(problem)
    if problem.dtype != "float64":
        raise DoesNotApply  # it would convert, and return float64
    distance = _require("scipy.spatial.distance")
    # Its second operand is row per point: B transposed, made here, outside of what is timed.
    points, out = np.ascontiguousarray(problem.b.T), problem.result()
    a = np.ascontiguousarray(problem.a)
    return lambda: distance.cdist(a, points, out=out), out


def _bind_gemm_distance(problem: Problem) -> tuple[Call, np.ndarray]:
    # |a|^2 + |b|^2 - 2ab: what libraries for neighbours do. Near points lose all their digits.
    a, b, out = problem.a, problem.b, problem.result()

    def call() -> None:
        np.matmul(a, b, out=out)
        np.multiply(out, -2, out=out)
        np.add(out, np.square(a).sum(axis=-1, keepdims=True), out=out)
        np.add(out, np.square(b).sum(axis=-2, keepdims=True), out=out)
        np.sqrt(np.maximum(out, 0, out=out), out=out)

    return call, out


def _bind_torch(problem: Problem) -> tuple[Call, np.ndarray]:
    torch = _require("torch")
    torch.set_num_threads(problem.threads)
    out = problem.result()
    a, b, c = (torch.from_numpy(x) for x in (problem.a, problem.b, out))
    if problem.algebra == "real":
        return lambda: torch.matmul(a, b, out=c), out
    if problem.algebra == "boolean":
        _matrix(problem)
        left, right = a.view(torch.int8), b.view(torch.int8)
        return lambda: torch.ne(torch._int_mm(left, right), 0, out=c), out
    _matrix(problem)
    points = b.T.contiguous()
    return lambda: c.copy_(torch.cdist(a, points, compute_mode="donot_use_mm_for_euclid_dist")), out


TROPICAL = ("tropical_max_plus", "tropical_min_plus")


def _bind_blas_gradient(problem: Problem) -> tuple[Call, np.ndarray]:
    a, b, out = problem.a, problem.b, np.empty_like(problem.a)
    c, gradient, right = problem.result(), np.ones_like(problem.out), np.empty_like(b)

    def call() -> None:
        np.matmul(a, b, out=c)
        np.matmul(gradient, b.T, out=out)
        np.matmul(a.T, gradient, out=right)

    return call, out


def _bind_numba_gradient(problem: Problem) -> tuple[Call, np.ndarray]:
    _require("numba")
    loops = _require("loops")
    a, b, out = problem.a, problem.b, np.zeros_like(problem.a)
    gradient, right = np.ones_like(problem.out), np.zeros_like(b)
    run = loops.gradient(problem.algebra)
    run(a[:2, :2].copy(), b[:2, :2].copy(), gradient[:2, :2].copy(), out[:2, :2].copy(), right[:2, :2].copy())
    return lambda: run(a, b, gradient, out, right), out


def _bind_exp_matmul_gradient(problem: Problem) -> tuple[Call, np.ndarray]:
    # Divides by a sum that underflows where the maxima of a row and of a column do not meet.
    a, b, out = problem.a, problem.b, np.empty_like(problem.a)

    def call() -> None:
        ea = np.exp(a - a.max(axis=-1, keepdims=True))
        eb = np.exp(b - b.max(axis=-2, keepdims=True))
        weights = 1 / np.matmul(ea, eb)
        np.multiply(ea, np.matmul(weights, eb.T), out=out)
        eb *= np.matmul(ea.T, weights)

    return call, out


def _bind_gemm_distance_gradient(problem: Problem) -> tuple[Call, np.ndarray]:
    # a * sum(w) - w b: near points lose all their digits.
    a, b, out = problem.a, problem.b, np.empty_like(problem.a)
    forward, distance = _bind_gemm_distance(problem)

    def call() -> None:
        forward()
        weights = 1 / distance
        np.subtract(a * weights.sum(axis=1, keepdims=True), np.matmul(weights, b.T), out=out)
        b * weights.sum(axis=0) - np.matmul(a.T, weights)

    return call, out


def _bind_numpy_merge(problem: Problem) -> tuple[Call, np.ndarray]:
    a, b, out = problem.a, problem.b, problem.result()
    single = {
        "real": np.add,
        "tropical_max_plus": np.maximum,
        "tropical_min_plus": np.minimum,
        "boolean": np.logical_or,
    }
    if problem.algebra in single:
        function = single[problem.algebra]
        return lambda: function(a, b, out=out), out

    def call() -> None:
        np.maximum(a[0], b[0], out=out[0])
        np.multiply(a[1], np.exp(a[0] - out[0]), out=out[1])
        out[1] += b[1] * np.exp(b[0] - out[0])

    return call, out


def _bind_with(
    bind: Callable[[Problem], tuple[Call, np.ndarray]], library: str, applies: Callable[[Problem], bool] | None = None
):
    """A peer of an op's own file, once its library is there and has a form for the problem."""

    def checked(problem: Problem) -> tuple[Call, np.ndarray]:
        if applies and not applies(problem):
            raise DoesNotApply
        _require(library)
        return bind(problem)

    return checked


def _bind_numpy_finalize(problem: Problem) -> tuple[Call, np.ndarray]:
    a, out = problem.a, problem.result()
    if problem.algebra == "log":
        return lambda: np.add(np.log(a[1]), a[0], out=out), out
    return lambda: np.copyto(out, a), out


def _bind_nearest(bind, module: str):
    def bound(problem: Problem) -> tuple[Call, np.ndarray]:
        return bind(_require(module), problem.a, problem.b, problem.out, problem.threads, DoesNotApply)

    return bound


def _bind_numpy_power(problem: Problem) -> tuple[Call, np.ndarray]:
    out = problem.result()

    def call() -> None:
        out[:] = np.linalg.matrix_power(problem.a, paths.EXPONENT)

    return call, out


def _bind_scipy_paths(problem: Problem) -> tuple[Call, np.ndarray]:
    csgraph, out = _require("scipy.sparse.csgraph"), problem.result()

    def call() -> None:
        out[:] = csgraph.floyd_warshall(problem.a)

    return call, out


def _nitrix_product(problem: Problem, dtype: str, threads: int) -> tuple[Call, np.ndarray]:
    function = importlib.import_module("nitrix.semiring").semiring_matmul
    a, b, out = (x.astype(dtype) for x in (problem.a, problem.b, problem.out))
    return lambda: function(a, b, semiring=problem.algebra, out=out, threads=threads), out


def _bind_one_thread(problem: Problem) -> tuple[Call, np.ndarray]:
    if problem.threads == 1 or problem.is_batch:
        raise DoesNotApply
    return _nitrix_product(problem, problem.dtype, 1)


def _bind_float32(problem: Problem) -> tuple[Call, np.ndarray]:
    return _nitrix_product(problem, "float32", problem.threads)


STRICT = ("real", *TROPICAL, "boolean", "log")
PEERS = (
    Peer("nitrix on one thread", (*STRICT, "euclidean"), _bind_one_thread, safe=False, tolerance=0),
    Peer("nitrix in float32", STRICT, _bind_float32, safe=False, tolerance=1e-2, half=True),
    Peer("OpenBLAS", ("real",), _bind_open_blas),
    Peer("MKL", ("real",), _bind_mkl),
    Peer("NumPy", ("real",), _bind_numpy),
    Peer("numba", (*TROPICAL, "euclidean"), _bind_numba(fastmath=False)),
    Peer("numba fastmath", (*TROPICAL, "euclidean"), _bind_numba(fastmath=True)),
    Peer("numba logsumexp", ("log",), _bind_numba_log),
    Peer("exp-matmul-log", ("log",), _bind_exp_matmul_log, safe=False, tolerance=1e-3),
    Peer("SciPy cdist", ("euclidean",), _bind_cdist),
    Peer("gemm distance", ("euclidean",), _bind_gemm_distance, safe=False, tolerance=1e-2),
    Peer("numba packed", ("boolean",), _bind_numba_boolean, tolerance=0),
    Peer("NumPy packbits", ("boolean",), _bind_packbits, tolerance=0, op="semiring_pack_bits"),
    Peer("numba", ("boolean",), _bind_numba_words, tolerance=0, op="semiring_matmul_bits"),
    Peer("torch", ("real", "euclidean", "boolean"), _bind_torch, optional="torch"),
    Peer(
        "scikit-learn brute",
        ("euclidean",),
        _bind_nearest(nearest.bind_sklearn, "sklearn.neighbors"),
        op="semiring_nearest",
    ),
    # By |a|^2 + |b|^2 - 2ab in float32: distances near 0 are lost.
    Peer(
        "faiss",
        ("euclidean",),
        _bind_nearest(nearest.bind_faiss, "faiss"),
        safe=False,
        tolerance=1e-3,
        op="semiring_nearest",
    ),
    Peer(
        "NumPy", ("tropical_min_plus",), _bind_nearest(nearest.bind_numpy, "numpy"), tolerance=0, op="semiring_nearest"
    ),
    Peer("NumPy matrix_power", ("real",), _bind_numpy_power, op="semiring_power"),
    Peer("SciPy floyd_warshall", ("tropical_min_plus",), _bind_scipy_paths, op="semiring_closure", tolerance=1e-5),
    Peer("NumPy", STRICT, _bind_numpy_merge, op="semiring_matmul_merge"),
    Peer("NumPy", STRICT, _bind_numpy_finalize, op="semiring_matmul_finalize"),
    Peer("OpenBLAS", ("real",), _bind_open_blas, op="semiring_matmul_partial"),
    Peer(
        "numba",
        (*TROPICAL, "real", "euclidean", "boolean"),
        _bind_with(ell_peers.bind_numba, "numba"),
        op="semiring_ell_matmul",
    ),
    Peer("SciPy CSR", ("real",), _bind_with(ell_peers.bind_scipy, "scipy.sparse"), op="semiring_ell_matmul"),
    Peer(
        "SciPy CSR", ("real",), _bind_with(ell_peers.bind_scipy_transposed, "scipy.sparse"), op="semiring_ell_rmatvec"
    ),
    Peer("SciPy CSR", ("real",), _bind_with(ell_peers.bind_scipy_ragged, "scipy.sparse"), op="semiring_ragged_matmul"),
    Peer("SciPy CSR", ("real",), _bind_with(ell_peers.bind_scipy_ragged, "scipy.sparse"), op="semiring_ragged_rmatvec"),
    Peer("NumPy gather, OpenBLAS", ("real",), ell_peers.bind_numpy_conv, op="semiring_ell_conv"),
    Peer("numba", (*TROPICAL, "real"), _bind_with(ell_peers.bind_numba_edges, "numba"), op="semiring_ell_edge_reduce"),
    Peer(
        "SciPy CSR", ("real",), _bind_with(ell_peers.bind_scipy_gradient, "scipy.sparse"), op="semiring_ell_matmul_vjp"
    ),
    Peer(
        "torch embedding_bag",
        ("real",),
        _bind_with(ell_peers.bind_torch, "torch"),
        op="semiring_ell_matmul",
        optional="torch",
    ),
    Peer("NumPy", ("real",), _bind_blas_gradient, op="semiring_matmul_vjp"),
    Peer("numba", (*TROPICAL, "euclidean"), _bind_numba_gradient, op="semiring_matmul_vjp", tolerance=1e-3),
    Peer("exp-matmul", ("log",), _bind_exp_matmul_gradient, op="semiring_matmul_vjp", safe=False, tolerance=1e-3),
    Peer(
        "gemm distance",
        ("euclidean",),
        _bind_gemm_distance_gradient,
        op="semiring_matmul_vjp",
        safe=False,
        tolerance=1e-2,
    ),
    *(
        Peer(name, algebras, _bind_with(bind, library, applies), op="semiring_conv")
        for name, algebras, bind, library, applies in (
            ("SciPy", TROPICAL, convolution.bind_scipy_morphology, "scipy.ndimage", convolution.is_plane),
            ("SciPy", ("real",), convolution.bind_scipy_correlate, "scipy.ndimage", convolution.is_plane),
            ("patches and OpenBLAS", ("real",), convolution.bind_patches, "numpy", convolution.is_layer),
            ("numba", (*TROPICAL, "real"), convolution.bind_numba, "numba", None),
        )
    ),
    Peer(
        "numba",
        TROPICAL,
        _bind_with(convolution.bind_numba_gradient, "numba", convolution.is_layer),
        op="semiring_conv_vjp",
    ),
    *(
        Peer("torch", ("real",), _bind_with(bind, "torch"), op=op, optional="torch")
        for op, bind in (
            ("semiring_conv", convolution.bind_torch),
            ("semiring_conv_vjp", convolution.bind_torch_gradient),
        )
    ),
)


def versions(threads: int) -> dict[str, str]:
    """What the peers are, or why they are absent."""
    found = {}
    for name in ("numpy", "scipy", "numba", "sklearn", "faiss", "torch"):
        try:
            found[name] = importlib.import_module(name).__version__ if name != "torch" else _torch_version()
        except ImportError as error:
            found[name] = f"absent: {error}"
    for name, make in (("OpenBLAS", _open_blas), ("MKL", lambda: _mkl(threads))):
        try:
            found[name] = make().version
        except Absent as reason:
            found[name] = f"absent: {reason}"
    return found


def _torch_version() -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError as error:
        raise ImportError("torch is not installed") from error
