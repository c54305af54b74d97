"""What is measured: one entry per op of the library. A new op adds its entry here and its peers to peers.py."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import convolution
import ell
import nearest
import numpy as np
import paths
from draws import values


@dataclass(frozen=True)
class Case:
    """One call of an op on inputs of one kind and size, and what it has to do at least."""

    op: str
    algebra: str
    dtype: str
    size: str
    make: Callable[[np.random.Generator], tuple[np.ndarray, ...]]
    operations: float
    """2mnk."""
    bytes: float
    """Inputs and outputs once each: what must move however good the blocking."""
    out_shape: tuple[int, ...]
    out_dtype: str = ""
    """Where it is not the inputs'."""
    quick: bool = False
    large: bool = False
    peers: bool = True
    """Whether it is raced against others."""
    of_memory: bool = False
    """Whether the limit is that of memory even where a cache holds those bytes."""

    @property
    def name(self) -> str:
        return f"{self.op}/{self.algebra}/{self.dtype}/{self.size}"


@dataclass(frozen=True)
class Benchmark:
    """An op's cases for an algebra and a dtype, and how nitrix is called on their inputs."""

    op: str
    cases: Callable[[str, str], Iterator[Case]]
    call: Callable[..., Callable[[], object]]


STORED = ("real", "tropical_max_plus", "tropical_min_plus")  # algebras of which float16 products are computed
QUICK = {"4x4x4 call", "64", "256", "1024", "1000x777x333", "257x129x65", "1024x1x1024"}
LARGE = {"2048"}  # only when asked for: --large, or --only with its name


def _product(algebra: str, dtype: str, size: str, shape: tuple[int, int, int], batch: int = 0, flip: str = "") -> Case:
    m, n, k = shape

    def make(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        lead = (batch,) if batch else ()
        a = values(rng, dtype, (*lead, k, m) if "a" in flip else (*lead, m, k), k)
        b = values(rng, dtype, (*lead, n, k) if "b" in flip else (*lead, k, n), k)
        return (a.swapaxes(-1, -2) if "a" in flip else a), (b.swapaxes(-1, -2) if "b" in flip else b)

    count = batch or 1
    item = np.dtype(dtype).itemsize
    return Case(
        op="semiring_matmul",
        algebra=algebra,
        dtype=dtype,
        size=size,
        make=make,
        operations=2.0 * m * n * k * count,
        bytes=float(item * count * (m * k + k * n + m * n)),
        out_shape=(batch, m, n) if batch else (m, n),
        quick=size in QUICK,
        large=size in LARGE,
    )


def _matmul_cases(algebra: str, dtype: str) -> Iterator[Case]:
    yield _product(algebra, dtype, "4x4x4 call", (4, 4, 4))
    for n in (64, 128, 256, 512, 1024, 2048):
        yield _product(algebra, dtype, str(n), (n, n, n))
    # m x n x k: odd sizes, a long reduction, few columns
    for m, n, k in ((1000, 777, 333), (257, 129, 65), (256, 128, 64), (256, 256, 32768)):
        yield _product(algebra, dtype, f"{m}x{n}x{k}", (m, n, k))
    for n in (1, 4, 16):
        yield _product(algebra, dtype, f"1024x{n}x1024", (1024, n, 1024))
        yield _product(algebra, dtype, f"4096x{n}x4096", (4096, n, 4096))
    for flip in ("a", "b", "ab"):
        yield _product(algebra, dtype, f"1024 {flip} transposed", (1024, 1024, 1024), flip=flip)
    if algebra == "log":
        for share in SHARES:
            yield _log_share(dtype, 1024, share)
    if dtype == "float32" and algebra in STORED:
        for n in (256, 1024):
            yield replace(_product(algebra, "float16", str(n), (n, n, n)), quick=False)
    for n, batch in ((4, 1_000_000), (8, 65536), (16, 16384), (32, 4096), (64, 512), (128, 64)):
        yield _product(algebra, dtype, f"{batch} x {n}", (n, n, n), batch=batch)


SHARES = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0)


def _log_share(dtype: str, n: int, share: float) -> Case:
    """LOG's product in which that share of the entries needs the streaming form.

    They are where a row of A with its maximum far above the rest meets a column of B with its own elsewhere, so that
    the exponentials of both never meet.
    """
    case = _product("log", dtype, f"{n} {share:g} bad", (n, n, n))

    def make(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        a, b = (rng.standard_normal((n, n)).astype(dtype) for _ in range(2))
        count = round(n * share**0.5)
        a[rng.permutation(n)[:count], 0] += 2000
        b[n - 1, rng.permutation(n)[:count]] += 2000
        return a, b

    return replace(case, make=make, peers=False, quick=dtype == "float32")


def _matmul_call(nitrix, case: Case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int):
    matmul, a, b = nitrix.semiring.semiring_matmul, *inputs
    semiring = getattr(nitrix.semiring, case.algebra.upper())
    return lambda: matmul(a, b, semiring=semiring, out=out, threads=threads)


def _bits_cases(algebra: str, dtype: str) -> Iterator[Case]:
    """BOOLEAN's products whose operands hold 32 truth values in a word."""
    for n in (256, 1024, 2048):
        whole = _product(algebra, "bool", str(n), (n, n, n))

        def make(rng: np.random.Generator, n: int = n) -> tuple[np.ndarray, np.ndarray]:
            left, right = (values(rng, "bool", (n, n), n) for _ in range(2))
            columns = np.ascontiguousarray(right.T)
            a, b = (np.packbits(x, axis=1, bitorder="little").view(dtype) for x in (left, columns))
            return a, np.ascontiguousarray(b.T)

        yield replace(
            whole, op="semiring_matmul_bits", dtype=dtype, make=make, bytes=n * n * 1.25, out_dtype="bool", quick=False
        )


def _pack_cases(algebra: str, dtype: str) -> Iterator[Case]:
    for n in (256, 2048):
        case = _product(algebra, dtype, str(n), (n, n, n))
        yield replace(
            case, op="semiring_pack_bits", make=lambda rng, n=n: (values(rng, dtype, (n, n), n),),
            operations=float(n * n), bytes=n * n * 1.125, out_shape=(n, n // 32), out_dtype="uint32", quick=False,
        )  # fmt: skip


def _pack_call(nitrix, case: Case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int):
    function = nitrix.semiring.semiring_pack_bits
    return lambda: function(*inputs, out=out, threads=threads)


def _bits_call(nitrix, case: Case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int):
    function = nitrix.semiring.semiring_matmul_bits
    return lambda: function(*inputs, out=out, threads=threads)


def _square_cases(op: str, products: int):
    """A product and what `op` adds to it, in operations of so many products."""

    def cases(algebra: str, dtype: str) -> Iterator[Case]:
        for n in (256, 1024):
            case = _product(algebra, dtype, str(n), (n, n, n))
            yield replace(case, op=op, operations=products * case.operations)

    return cases


def _with_index_call(name: str):
    def call(nitrix, case: Case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int):
        function, index = getattr(nitrix.semiring, name), nitrix.empty(out.shape, np.int32)
        return lambda: function(*inputs, semiring=case.algebra, out=(out, index), threads=threads)

    return call


def _gradient_call(nitrix, case: Case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int):
    """The product and both gradients of the sum of its entries; `out` receives that of the left operand."""
    (a, b), s = inputs, nitrix.semiring
    c, gradient, right = nitrix.empty(out.shape, out.dtype), np.ones_like(out), nitrix.empty(b.shape, b.dtype)
    options = {"semiring": case.algebra, "threads": threads}
    if not case.algebra.startswith("tropical"):

        def call() -> None:
            s.semiring_matmul(a, b, out=c, **options)
            s.semiring_matmul_vjp(a, b, c, gradient, out=(out, right), **options)

        return call
    winner = nitrix.empty(out.shape, np.int32)

    def carrying() -> None:
        s.semiring_matmul_carry(a, b, out=(c, winner), **options)
        s.semiring_matmul_vjp(a, b, c, gradient, winner=winner, out=(out, right), **options)

    return carrying


def _partial_call(nitrix, case: Case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int):
    """`out` receives the last component of the state, the one that takes longest."""
    function, components = nitrix.semiring.semiring_matmul_partial, 2 if case.algebra == "log" else 1
    state = (*(np.empty_like(out) for _ in range(components - 1)), out)
    return lambda: function(*inputs, semiring=case.algebra, out=state, threads=threads)


def _state_cases(op: str, arrays: int):
    """Elementwise work on states of n x n; LOG's two components are stacked."""

    def cases(algebra: str, dtype: str) -> Iterator[Case]:
        components = 2 if algebra == "log" else 1
        for n in (256, 2048):
            shape = (components, n, n) if components > 1 else (n, n)

            def make(rng: np.random.Generator, shape: tuple[int, ...] = shape) -> tuple[np.ndarray, np.ndarray]:
                left, right = (values(rng, dtype, shape, 1) for _ in range(2))
                for state in (left, right) if components > 1 else ():
                    state[1] = 1 + np.abs(state[1])
                return left, right

            item = np.dtype(dtype).itemsize
            yield Case(
                op=op, algebra=algebra, dtype=dtype, size=str(n), make=make, operations=float(n * n),
                bytes=float(item * n * n * (arrays * components + (components if arrays == 2 else 1))),
                out_shape=shape if arrays == 2 else (n, n), quick=n == 256,
            )  # fmt: skip

    return cases


def _components(state: np.ndarray, algebra: str) -> tuple[np.ndarray, ...]:
    return tuple(state) if algebra == "log" else (state,)


def _merge_call(nitrix, case: Case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int):
    function = nitrix.semiring.semiring_matmul_merge
    left, right, both = (_components(x, case.algebra) for x in (*inputs, out))
    return lambda: function(left, right, semiring=case.algebra, out=both, threads=threads)


def _finalize_call(nitrix, case: Case, inputs: tuple[np.ndarray, ...], out: np.ndarray, threads: int):
    function, state = nitrix.semiring.semiring_matmul_finalize, _components(inputs[0], case.algebra)
    return lambda: function(state, semiring=case.algebra, out=out, threads=threads)


BENCHMARKS = {
    b.op: b
    for b in (
        Benchmark("semiring_matmul", _matmul_cases, _matmul_call),
        Benchmark("semiring_matmul_bits", _bits_cases, _bits_call),
        Benchmark("semiring_pack_bits", _pack_cases, _pack_call),
        Benchmark(
            "semiring_matmul_carry",
            _square_cases("semiring_matmul_carry", 1),
            _with_index_call("semiring_matmul_carry"),
        ),
        Benchmark(
            "semiring_matmul_argmax",
            _square_cases("semiring_matmul_argmax", 1),
            _with_index_call("semiring_matmul_argmax"),
        ),
        Benchmark("semiring_matmul_partial", _square_cases("semiring_matmul_partial", 1), _partial_call),
        Benchmark("semiring_matmul_merge", _state_cases("semiring_matmul_merge", 2), _merge_call),
        Benchmark("semiring_matmul_finalize", _state_cases("semiring_matmul_finalize", 1), _finalize_call),
        Benchmark("semiring_power", partial(paths.power_cases, Case), paths.power_call),
        Benchmark("semiring_closure", partial(paths.closure_cases, Case), paths.closure_call),
        Benchmark("semiring_nearest", partial(nearest.cases, Case), nearest.call),
        Benchmark("semiring_ell_matmul", partial(ell.cases, Case), ell.call),
        Benchmark("semiring_ell_rmatvec", partial(ell.transposed_cases, Case), ell.transposed_call),
        Benchmark("semiring_ell_matmul_vjp", partial(ell.gradient_cases, Case), ell.gradient_call),
        *(
            Benchmark(op, partial(ell.ragged_cases, Case, op), ell.ragged_call)
            for op in ("semiring_ragged_matmul", "semiring_ragged_rmatvec")
        ),
        Benchmark("semiring_ell_conv", partial(ell.conv_cases, Case), ell.conv_call),
        Benchmark("semiring_ell_conv_vjp", partial(ell.conv_gradient_cases, Case), ell.conv_gradient_call),
        Benchmark("semiring_ell_edge_mlp", partial(ell.mlp_cases, Case), ell.mlp_call),
        Benchmark("semiring_ell_edge_mlp_vjp", partial(ell.mlp_gradient_cases, Case), ell.mlp_gradient_call),
        Benchmark("semiring_ell_edge_reduce", partial(ell.edge_cases, Case), ell.edge_call),
        Benchmark("semiring_ell_edge_reduce_vjp", partial(ell.edge_gradient_cases, Case), ell.edge_gradient_call),
        Benchmark("semiring_conv", partial(convolution.cases, Case), convolution.call),
        Benchmark("semiring_conv_vjp", partial(convolution.gradient_cases, Case), convolution.gradient_call),
        # Forward and backward.
        Benchmark("semiring_matmul_vjp", _square_cases("semiring_matmul_vjp", 3), _gradient_call),
    )
}


def all_cases(info: dict) -> Iterator[Case]:
    """Every case that the library of `nitrix.info()` has variants for, op by op and algebra by algebra."""
    cells = dict.fromkeys((v["op"], v["algebra"], v["dtype"]) for v in info["variants"])
    served = {op for op, _, _ in cells}
    composed = [op for op in info["ops"] if op["name"] not in served]  # of calls of other ops
    cells |= dict.fromkeys(
        (op["name"], a, d)
        for op in composed
        for a in op["algebras"]
        for d in op["dtypes"]
        if (a == "boolean") == (d == "uint8") and not d.endswith("float16")  # which is float32's, and two passes
    )
    for op in info["ops"]:
        if op["name"] not in BENCHMARKS:
            raise KeyError(f"op '{op['name']}' has no benchmark: add an entry to bench/benchmarks.py")
        for algebra in op["algebras"]:
            for name, of, dtype in cells:
                if (name, of) == (op["name"], algebra):
                    # One-byte truth values are uint8 to the library and bool to NumPy.
                    yield from BENCHMARKS[name].cases(algebra, "bool" if dtype == "uint8" else dtype)
