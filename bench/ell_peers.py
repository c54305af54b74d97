"""What products of sparse matrices in ELL form, and what is made of them, are measured beside."""

import functools
from collections.abc import Callable

import numpy as np

Call = Callable[[], object]


@functools.cache
def _numba_loop(algebra: str, parallel: bool):
    import numba

    start, combine, update, finish = {
        "real": ("0", "v * x", "s + t", "s"),
        "tropical_max_plus": ("-np.inf", "v + x", "max(s, t)", "s"),
        "tropical_min_plus": ("np.inf", "v + x", "min(s, t)", "s"),
        "euclidean": ("0", "(v - x) ** 2", "s + t", "np.sqrt(s)"),
        "boolean": ("False", "v & x", "s | t", "s"),
    }[algebra]
    source = f"""
def run(values, indices, b, out):
    for i in numba.prange(values.shape[0]):
        for j in range(b.shape[1]):
            out[i, j] = {start}
        for k in range(values.shape[1]):
            at, v = indices[i, k], values[i, k]
            if at >= 0:
                for j in range(b.shape[1]):
                    s, x = out[i, j], b[at, j]
                    t = {combine}
                    out[i, j] = {update}
        for j in range(b.shape[1]):
            s = out[i, j]
            out[i, j] = {finish}
"""
    space = {"numba": numba, "np": np}
    exec(source, space)
    return numba.njit(space["run"], fastmath=algebra == "real", parallel=parallel)


def bind_numba(problem) -> tuple[Call, np.ndarray]:
    """Rows with the columns innermost, as one writes it by hand; for REAL with fastmath."""
    values, indices, b = problem.inputs
    out = problem.result()
    run = _numba_loop(problem.algebra, problem.threads > 1)
    run(values[:2], indices[:2], b, out[:2])  # compiles
    return lambda: run(values, indices, b, out), out


@functools.cache
def _numba_edges(algebra: str, parallel: bool):
    import numba

    start, update = {
        "real": ("0", "s + e"),
        "tropical_max_plus": ("-np.inf", "max(s, e)"),
        "tropical_min_plus": ("np.inf", "min(s, e)"),
    }[algebra]
    source = f"""
def run(own, indices, source, out):
    for i in numba.prange(own.shape[0]):
        for j in range(own.shape[1]):
            out[i, j] = {start}
        for k in range(indices.shape[1]):
            at = indices[i, k]
            if at >= 0:
                for j in range(own.shape[1]):
                    s, e = out[i, j], max(own[i, j] + source[at, j], 0)
                    out[i, j] = {update}
"""
    space = {"numba": numba, "np": np}
    exec(source, space)
    return numba.njit(space["run"], parallel=parallel)


def bind_numba_edges(problem) -> tuple[Call, np.ndarray]:
    """The loops of a factored EdgeConv, by hand."""
    own, indices, source = problem.inputs
    out = problem.result()
    run = _numba_edges(problem.algebra, problem.threads > 1)
    run(own[:2], indices[:2], source, out[:2])  # compiles
    return lambda: run(own, indices, source, out), out


def bind_numpy_conv(problem) -> tuple[Call, np.ndarray]:
    """The neighbours' features side by side, and one product by OpenBLAS."""
    x, indices, weight = problem.inputs
    at, absent = np.maximum(indices, 0), np.argwhere(indices < 0)
    matrix = weight.reshape(-1, weight.shape[2])

    def run() -> np.ndarray:
        gathered = x[at]
        gathered[tuple(absent.T)] = 0
        return gathered.reshape(len(at), -1) @ matrix

    return run, run()


def _csr(values: np.ndarray, indices: np.ndarray, columns: int):
    """SciPy's matrix of the entries that are no padding."""
    from scipy.sparse import csr_array

    present = indices >= 0
    starts = np.concatenate([[0], np.cumsum(present.sum(1))])
    return csr_array((values[present], indices[present], starts), shape=(len(values), columns))


def bind_scipy(problem) -> tuple[Call, np.ndarray]:
    """CSR @ dense."""
    values, indices, b = problem.inputs
    matrix = _csr(values, indices, len(b))
    out = problem.result()

    out[...] = matrix @ b
    # The result is SciPy's own array: what is timed is without the copy that shows it.
    return lambda: matrix @ b, out


def bind_scipy_ragged(problem) -> tuple[Call, np.ndarray]:
    """CSR @ dense, of the same rows."""
    from scipy.sparse import csr_array

    values, indices, counts, b = problem.inputs
    starts = np.concatenate([[0], np.cumsum(counts)])
    matrix = csr_array((values, indices, starts), shape=(len(counts), len(b)))
    if problem.op == "semiring_ragged_rmatvec":
        matrix = matrix.T.tocsr()
    return lambda: matrix @ b, matrix @ b


def bind_scipy_transposed(problem) -> tuple[Call, np.ndarray]:
    """The transpose made CSR beforehand, @ dense."""
    values, indices, x = problem.inputs
    matrix = _csr(values, indices, len(x)).T.tocsr()
    return lambda: matrix @ x, matrix @ x


def bind_scipy_gradient(problem) -> tuple[Call, np.ndarray]:
    """Both products with CSR matrices made beforehand, and the sampled one for the values."""
    values, indices, b = problem.inputs
    matrix = _csr(values, indices, len(b))
    transposed, gradient, at = matrix.T.tocsr(), np.ones_like(problem.out), np.maximum(indices, 0)

    def run() -> None:
        matrix @ b
        transposed @ gradient
        np.einsum("id,ikd->ik", gradient, b[at])

    return run, transposed @ gradient


def bind_torch(problem) -> tuple[Call, np.ndarray]:
    """embedding_bag, which pads with one index that it skips."""
    import torch

    torch.set_num_threads(problem.threads)
    values, indices, b = problem.inputs
    m, k = values.shape
    weights = torch.from_numpy(np.where(indices >= 0, values, 0).ravel())
    flat = torch.from_numpy(np.maximum(indices, 0).ravel().astype(np.int64))
    offsets = torch.arange(0, m * k, k)
    right = torch.from_numpy(b)
    bag = torch.nn.functional.embedding_bag

    def run():
        return bag(flat, right, offsets, mode="sum", per_sample_weights=weights)

    return run, run().numpy()
