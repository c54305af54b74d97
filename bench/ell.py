"""Products of sparse matrices in ELL form: what is measured; ell_peers.py says beside whom.

The graph is that of an icosphere, a vertex beside its neighbours: ico_6 has 40,962 vertices and ico_7 163,842, of seven
entries each. The limit is reading all arrays once from memory, for those too that a third-level cache holds: ico_6.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

Call = Callable[[], object]


@functools.cache
def neighbours(level: int) -> np.ndarray:
    """Each vertex of an icosphere and its neighbours, -1 where a vertex has five."""
    from nitrix.sparse.mesh import icosphere, mesh_k_ring_adjacency

    return np.asarray(mesh_k_ring_adjacency(icosphere(level), include_self=True).indices)


def _case(Case, op: str, algebra: str, dtype: str, level: int, d: int):
    m = {5: 10_242, 6: 40_962, 7: 163_842}[level]

    def make(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if dtype == "bool":
            return rng.random((m, 7)) < 0.5, neighbours(level), rng.random((m, d)) < 0.3
        return rng.standard_normal((m, 7)).astype(dtype), neighbours(level), rng.standard_normal((m, d)).astype(dtype)

    item = np.dtype(dtype).itemsize
    return Case(
        op=op,
        algebra=algebra,
        dtype=dtype,
        size=f"ico_{level} d={d}",
        make=make,
        operations=2.0 * 7 * m * d,
        bytes=float(m * (2 * d * item + 7 * (item + 4))),
        out_shape=(m, d),
        quick=(level, d) == (6, 64),
        of_memory=True,
    )


def cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """The cases of semiring_ell_matmul on raw arrays."""
    for level in (6, 7):
        for d in (64, 128):
            yield _case(Case, "semiring_ell_matmul", algebra, dtype, level, d)
    if dtype == "float32" and algebra in ("real", "tropical_max_plus", "tropical_min_plus"):
        yield replace(_case(Case, "semiring_ell_matmul", algebra, "float16", 6, 64), peers=False)


def call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    """nitrix on a checked structure, as its users hold one."""
    values, indices, b = inputs
    ell = nitrix.sparse.ELL(values, indices, b.shape[0])
    product = nitrix.semiring.semiring_ell_matmul
    semiring = getattr(nitrix.semiring, case.algebra.upper())
    return lambda: product(ell.values, ell.indices, b, semiring=semiring, out=out, threads=threads)


def transposed_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """Of semiring_ell_rmatvec."""
    yield _case(Case, "semiring_ell_rmatvec", algebra, dtype, 6, 64)


def transposed_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    values, indices, x = inputs
    ell = nitrix.sparse.ELL(values, indices, x.shape[0])
    product, n = nitrix.semiring.semiring_ell_rmatvec, x.shape[0]
    return lambda: product(ell.values, ell.indices, x, n_cols=n, semiring=case.algebra, out=out, threads=threads)


def gradient_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """Of semiring_ell_matmul_vjp: forward and backward."""
    case = _case(Case, "semiring_ell_matmul_vjp", algebra, dtype, 6, 64)
    yield replace(case, operations=3 * case.operations, bytes=4 * case.bytes)


def gradient_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    """The product and both gradients of the sum of its entries; `out` receives that of B."""
    values, indices, b = inputs
    ell = nitrix.sparse.ELL(values, indices, b.shape[0])
    c, gradient, dvalues = nitrix.empty(out.shape, out.dtype), np.ones_like(out), np.empty_like(values)
    s, options = nitrix.semiring, {"semiring": case.algebra, "threads": threads}

    def run() -> None:
        s.semiring_ell_matmul(values, ell.indices, b, out=c, **options)
        s.semiring_ell_matmul_vjp(values, ell.indices, b, c, gradient, out=(dvalues, out), **options)

    return run


def ragged_counts(m: int) -> np.ndarray:
    """Rows of very different lengths: 12 in the middle, 240 at most."""
    tail = np.exp(np.random.default_rng(2).standard_normal(m) * 0.9)
    return np.clip(np.round(12 * tail), 1, 240).astype(np.int32)


def ragged_cases(Case, op: str, algebra: str, dtype: str) -> Iterator[object]:
    """Of the products with rows of different lengths."""
    m, d = 20_000, 64
    counts = ragged_counts(m)
    v, item = int(counts.sum()), np.dtype(dtype).itemsize

    def make(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        near = np.repeat(np.arange(m), counts) + rng.integers(-300, 300, v)
        shapes = (v,), (m, d)
        values, b = (rng.random(s) < 0.5 if dtype == "bool" else rng.standard_normal(s).astype(dtype) for s in shapes)
        return values, np.clip(near, 0, m - 1).astype(np.int32), counts, b

    yield Case(op=op, algebra=algebra, dtype=dtype, size="median 12, most 240", make=make, operations=2.0 * v * d,
               bytes=float(2 * m * d * item + v * (item + 4)), out_shape=(m, d))  # fmt: skip


def ragged_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    values, indices, counts, b = inputs
    m = len(counts)
    ends = np.cumsum(counts)
    rows = [slice(e - c, e) for e, c in zip(ends, counts, strict=True)]
    sectioned = nitrix.sparse.sectioned_ell_from_ragged([values[r] for r in rows], [indices[r] for r in rows], n_cols=m)
    arrays = sectioned.values, sectioned.indices, sectioned.counts, b
    options = {"semiring": case.algebra, "out": out, "threads": threads}
    if case.op == "semiring_ragged_rmatvec":
        return lambda: nitrix.semiring.semiring_ragged_rmatvec(*arrays, n_cols=m, **options)
    return lambda: nitrix.semiring.semiring_ragged_matmul(*arrays, **options)


def edge_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """Of semiring_ell_edge_reduce, with ReLU."""
    m, d, item = 40_962, 64, np.dtype(dtype).itemsize

    def make(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        own, source = (rng.standard_normal((m, d)).astype(dtype) for _ in range(2))
        return own, neighbours(6), source

    yield Case(op="semiring_ell_edge_reduce", algebra=algebra, dtype=dtype, size="ico_6 d=64", make=make, quick=True,
               operations=3.0 * 7 * m * d, bytes=float(m * (3 * d * item + 28)), out_shape=(m, d))  # fmt: skip


def edge_gradient_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """Forward and backward."""
    for case in edge_cases(Case, algebra, dtype):
        yield replace(case, op="semiring_ell_edge_reduce_vjp", operations=4 * case.operations, bytes=3 * case.bytes)


def _edge_arguments(nitrix, case, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    own, indices, source = inputs
    ell = nitrix.sparse.ELL(np.empty(indices.shape, own.dtype), indices, len(source))
    return own, source, ell.indices, np.zeros((), own.dtype)


def edge_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    arguments = _edge_arguments(nitrix, case, inputs)
    reduce, options = nitrix.semiring.semiring_ell_edge_reduce, {"semiring": case.algebra, "threads": threads}
    return lambda: reduce(*arguments, out=out, **options)


def edge_gradient_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    arguments = _edge_arguments(nitrix, case, inputs)
    s, options = nitrix.semiring, {"semiring": case.algebra, "threads": threads}
    y, dy, down = nitrix.empty(out.shape, out.dtype), np.ones_like(out), nitrix.empty(out.shape, out.dtype)

    def run() -> None:
        s.semiring_ell_edge_reduce(*arguments, out=y, **options)
        s.semiring_ell_edge_reduce_vjp(*arguments, y, dy, out=(down, out), **options)

    return run


def mlp_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """Of semiring_ell_edge_mlp: EdgeConv with a bias and ReLU, 64 features to 64."""
    m, d, h, item = 40_962, 64, 64, np.dtype(dtype).itemsize

    def make(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        x, weight, bias = (rng.standard_normal(s).astype(dtype) for s in ((m, d), (2 * d, h), (h,)))
        return x, neighbours(6), weight, bias

    yield Case(op="semiring_ell_edge_mlp", algebra=algebra, dtype=dtype, size="ico_6 64 to 64", make=make,
               quick=(algebra, dtype) == ("tropical_max_plus", "float32"), operations=4.0 * m * d * h + 3.0 * 7 * m * h,
               bytes=float(m * ((d + h) * item + 28)), out_shape=(m, h))  # fmt: skip


def mlp_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    x, indices, weight, bias = inputs
    ell = nitrix.sparse.ELL(np.empty(indices.shape, x.dtype), indices, len(x))
    mlp, slope = nitrix.semiring.semiring_ell_edge_mlp, np.zeros((), x.dtype)
    return lambda: mlp(ell.indices, x, weight, bias, slope, semiring=case.algebra, out=out, threads=threads)


def mlp_gradient_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """Forward and backward."""
    for case in mlp_cases(Case, algebra, dtype):
        yield replace(case, op="semiring_ell_edge_mlp_vjp", operations=4 * case.operations, bytes=3 * case.bytes)


def mlp_gradient_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    """`out` receives the gradient of x."""
    x, indices, weight, bias = inputs
    ell = nitrix.sparse.ELL(np.empty(indices.shape, x.dtype), indices, len(x))
    s, options = nitrix.semiring, {"semiring": case.algebra, "threads": threads}
    arguments = ell.indices, x, weight, bias, np.zeros((), x.dtype)
    y, dy = nitrix.empty(out.shape, out.dtype), np.ones_like(out)
    dweight, dbias = np.empty_like(weight), np.empty_like(bias)

    def run() -> None:
        s.semiring_ell_edge_mlp(*arguments, out=y, **options)
        s.semiring_ell_edge_mlp_vjp(*arguments, y, dy, out=(out, dweight, dbias), **options)

    return run


def conv_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """Of semiring_ell_conv, 32 channels to 32."""
    m, k, d, item = 40_962, 7, 32, np.dtype(dtype).itemsize

    def make(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        shapes = (m, d), (k, d, d)
        x, weight = (rng.random(s) < 0.2 if dtype == "bool" else rng.standard_normal(s).astype(dtype) for s in shapes)
        return x, neighbours(6), weight

    yield Case(op="semiring_ell_conv", algebra=algebra, dtype=dtype, size="ico_6 32 to 32", make=make,
               quick=(algebra, dtype) == ("real", "float32"), operations=2.0 * m * k * d * d,
               bytes=float(m * (2 * d * item + 4 * k)), out_shape=(m, d))  # fmt: skip


def conv_gradient_cases(Case, algebra: str, dtype: str) -> Iterator[object]:
    """Forward and backward."""
    for case in conv_cases(Case, algebra, dtype):
        yield replace(case, op="semiring_ell_conv_vjp", operations=3 * case.operations, bytes=3 * case.bytes)


def conv_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    x, indices, weight = inputs
    ell = nitrix.sparse.ELL(np.empty(indices.shape, x.dtype), indices, len(x))
    conv = nitrix.semiring.semiring_ell_conv
    return lambda: conv(ell.indices, x, weight, semiring=case.algebra, out=out, threads=threads)


def conv_gradient_call(nitrix, case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int) -> Call:
    """`out` receives the gradient of x."""
    x, indices, weight = inputs
    ell = nitrix.sparse.ELL(np.empty(indices.shape, x.dtype), indices, len(x))
    s, options = nitrix.semiring, {"semiring": case.algebra, "threads": threads}
    y, dy, dweight = nitrix.empty(out.shape, out.dtype), np.ones_like(out), np.empty_like(weight)

    def run() -> None:
        s.semiring_ell_conv(ell.indices, x, weight, out=y, **options)
        s.semiring_ell_conv_vjp(ell.indices, x, weight, y, dy, out=(out, dweight), **options)

    return run
