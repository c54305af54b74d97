"""Sparse products of float16 and bfloat16: float32's on the widened operands, rounded once, bit for bit."""

import ml_dtypes
import numpy as np
import pytest
from test_half import ALGEBRAS, KINDS, check

import nitrix
from nitrix.semiring import semiring_ell_matmul, semiring_ell_matmul_vjp, semiring_ell_rmatvec
from nitrix.sparse import ELL


def widened(function, *arrays, **options):
    """What float32 gives, rounded."""
    single = [a if a.dtype.kind == "i" else a.astype(np.float32) for a in arrays]
    results = function(*single, **options)
    kind = arrays[0].dtype
    with np.errstate(over="ignore"):
        return tuple(r.astype(kind) for r in results) if isinstance(results, tuple) else results.astype(kind)


def problem(kind, m=40, k=6, n=33, d=20, lead=(), seed=0):
    """Values with ties, indices with padding, beside which nothing is finite."""
    rng = np.random.default_rng(seed)
    indices = np.where(rng.random((*lead, m, k)) < 0.2, -1, rng.integers(0, n, (*lead, m, k)))
    values = np.where(indices < 0, np.nan, rng.integers(-20, 20, indices.shape) / 7).astype(kind)
    return values, indices, (rng.integers(-30, 30, (*lead, n, d)) / 3).astype(kind)


@pytest.mark.parametrize("index_kind", [np.int32, np.int64])
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("semiring", ALGEBRAS)
def test_products(semiring, kind, index_kind):
    for lead in ((), (2, 3)):
        values, indices, B = problem(kind, lead=lead)
        indices = indices.astype(index_kind)
        want = widened(semiring_ell_matmul, values, indices, B, semiring=semiring)
        for options in ({}, {"threads": 2}, {"backend": "naive"}, {"mode": "verify"}):
            check(semiring_ell_matmul(values, indices, B, semiring=semiring, **options), want)
        flipped = np.ascontiguousarray(B.swapaxes(-1, -2)).swapaxes(-1, -2)
        check(semiring_ell_matmul(values, indices, flipped, semiring=semiring), want)
        want = widened(semiring_ell_rmatvec, values, indices, want, semiring=semiring, n_cols=33)
        X = semiring_ell_matmul(values, indices, B, semiring=semiring)
        check(semiring_ell_rmatvec(values, indices, X, semiring=semiring, n_cols=33), want)
        check(semiring_ell_rmatvec(values, indices, X, semiring=semiring, n_cols=33, threads=2), want)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("semiring", ALGEBRAS)
def test_products_with_a_structure(semiring, kind):
    values, indices, B = problem(kind, m=700, n=700)
    ell = ELL(values, indices, 700)
    want = widened(semiring_ell_matmul, values, indices, B, semiring=semiring)
    check(semiring_ell_matmul(ell.values, ell.indices, B, semiring=semiring), want)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("semiring", ALGEBRAS)
def test_gradients_are_those_of_the_product_before_it_was_rounded(semiring, kind):
    rng = np.random.default_rng(4)
    shapes = {"m": 40}, {"m": 5, "k": 3, "n": 4, "d": 70, "lead": (3,)}, {"n": 2, "d": 1}
    for shape in shapes:
        values, indices, B = problem(kind, **shape)
        if indices.ndim > 2:
            indices, values = indices[0], np.where(indices[0] < 0, np.nan, values[0]).astype(kind)
        wide = [x.astype(np.float32) for x in (values, B)]
        C32 = semiring_ell_matmul(wide[0], indices, wide[1], semiring=semiring)
        C, dC = C32.astype(kind), rng.standard_normal(C32.shape).astype(kind)
        want = semiring_ell_matmul_vjp(wide[0], indices, wide[1], C32, dC.astype(np.float32), semiring=semiring)
        for options in ({}, {"threads": 2}):
            got = semiring_ell_matmul_vjp(values, indices, B, C, dC, semiring=semiring, **options)
            for g, w in zip(got, want, strict=True):
                check(g, w.astype(kind))
        assert semiring == "real" or np.count_nonzero(want[1])


def test_a_long_row_is_summed_in_float32():
    values, indices = np.full((1, 5000), 1 / 3, np.float16), np.zeros((1, 5000), np.int32)
    one = np.ones((1, 1), np.float16)
    assert semiring_ell_matmul(values, indices, one)[0, 0] == np.float16(5000 * float(values[0, 0]))
    assert semiring_ell_rmatvec(values.T, indices.T, np.ones((5000, 1), np.float16), n_cols=1)[0, 0] == np.float16(
        5000 * float(values[0, 0])
    )


def test_sizes_of_zero_memory_and_refusals():
    values, indices, B = problem(np.float16)
    for m, k, n, d in ((0, 3, 4, 5), (3, 0, 4, 5), (3, 2, 4, 0), (2, 2, 0, 3)):
        none, at, right = np.zeros((m, k), np.float16), np.full((m, k), -1), np.zeros((n, d), np.float16)
        for semiring in ALGEBRAS:
            C = semiring_ell_matmul(none, at, right, semiring=semiring)
            assert C.shape == (m, d) and (nitrix.semiring.SEMIRINGS[semiring].identity == C).all()
            gradients = semiring_ell_matmul_vjp(none, at, right, C, C, semiring=semiring)
            assert all((g == 0).all() for g in gradients) and [g.shape for g in gradients] == [(m, k), (n, d)]
    size = nitrix.workspace_size(semiring_ell_matmul, values, indices, B, threads=1)
    assert size >= 4 * (values.size + B.size + 40 * 20)
    for semiring in ("log", "euclidean"):
        with pytest.raises(TypeError, match=f"'{semiring}' has no float16 form; with this dtype: real, tropical_max"):
            semiring_ell_matmul(values, indices, B, semiring=semiring)
    with pytest.raises(ValueError, match="must be below 3"):
        semiring_ell_matmul(values, indices, B[:3])
    with pytest.raises(TypeError, match="does not promote"):
        semiring_ell_matmul(values, indices, B.astype(ml_dtypes.bfloat16))
