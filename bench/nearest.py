"""The k smallest entries of each row of a product: what is measured, and beside whom."""

from collections.abc import Callable, Iterator

import numpy as np

Call = Callable[[], object]


def cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """n points among n others in d dimensions."""
    for n, d, k in ((2_000, 64, 16), (20_000, 64, 16), (20_000, 8, 16), (5_000, 256, 100)):

        def make(rng: np.random.Generator, n: int = n, d: int = d) -> tuple[np.ndarray, np.ndarray]:
            x, y = (rng.standard_normal((n, d)).astype(dtype) for _ in range(2))
            return x, y.T

        item = np.dtype(dtype).itemsize
        yield Case(
            op="semiring_nearest",
            algebra=algebra,
            dtype=dtype,
            size=f"{n} d={d} k={k}",
            make=make,
            operations=2.0 * n * n * d,
            bytes=float(n * (2 * d * item + k * (item + 4))),
            out_shape=(n, k),
            quick=(n, d) in ((2_000, 64), (20_000, 64)) and dtype == "float32",
        )


def call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    """`out` receives the values."""
    function, k, indices = nitrix.semiring.semiring_nearest, out.shape[1], np.empty(out.shape, np.int32)
    return lambda: function(*inputs, k, semiring=case.algebra, out=(out, indices), threads=threads)


def bind_sklearn(neighbors, a, b, out, threads, does_not_apply) -> tuple[Call, np.ndarray]:
    """Brute force; for float32 too it computes in float64."""
    search = neighbors.NearestNeighbors(n_neighbors=out.shape[1], algorithm="brute", n_jobs=threads)
    search.fit(np.ascontiguousarray(b.T))
    kept = np.empty_like(out)

    def run() -> None:
        kept[:] = search.kneighbors(a)[0]

    return run, kept


def bind_faiss(faiss, a, b, out, threads, does_not_apply) -> tuple[Call, np.ndarray]:
    """faiss.knn: squared distances by a product."""
    if a.dtype != np.float32:
        raise does_not_apply
    faiss.omp_set_num_threads(threads)
    points, kept = np.ascontiguousarray(b.T), np.empty_like(out)

    def run() -> None:
        squares, _ = faiss.knn(a, points, out.shape[1])
        np.sqrt(np.maximum(squares, 0, out=squares), out=kept)

    return run, kept


def bind_numpy(numpy, a, b, out, threads, does_not_apply) -> tuple[Call, np.ndarray]:
    """Row by row; no library has this selection."""
    if a.shape[0] > 5_000 or a.shape[1] > 64:
        raise does_not_apply  # minutes
    points, kept, k = np.ascontiguousarray(b.T), np.empty_like(out), out.shape[1]

    def run() -> None:
        for i, row in enumerate(a):
            kept[i] = np.sort(np.partition((points + row).min(1), k - 1)[:k])

    return run, kept
