"""Random calls of nitrix.sparse beside the definition in NumPy: shapes with zeros, padding, duplicates, strides,
batches, both index dtypes, numbers that are not finite, one and two threads."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nitrix.semiring import (
    SEMIRINGS,
    semiring_ell_conv,
    semiring_ell_conv_vjp,
    semiring_ell_edge_reduce,
    semiring_ell_edge_reduce_vjp,
    semiring_ell_matmul,
    semiring_ell_matmul_vjp,
    semiring_ell_rmatvec,
    semiring_ragged_matmul,
    semiring_ragged_rmatvec,
)
from nitrix.sparse import (
    ELL,
    ell_from_csr,
    ell_from_dense,
    ell_from_edges,
    ell_from_ragged,
    ell_row_softmax,
    ell_to_dense,
    sectioned_ell_from_ragged,
    sectioned_semiring_ell_matmul,
    sectioned_semiring_ell_rmatvec,
)

FLOATS = [s for s in SEMIRINGS if s != "boolean"]
CASES = settings(max_examples=60, deadline=None, derandomize=True)
SIZES = st.sampled_from([0, 1, 2, 3, 5, 17, 40])
WIDTHS = st.sampled_from([0, 1, 3, 15, 16, 17, 33, 64, 70, 130])
seeds = st.integers(0, 2**32 - 1)


def strided(rng, array):
    """The same elements, one way or another in memory."""
    way = rng.integers(4)
    if way == 0 or array.ndim < 2:
        return array
    if way == 1:
        return np.asfortranarray(array)
    if way == 2:
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 1), array.dtype)
        wide[..., 1::2] = array
        return wide[..., 1::2]
    return array[::-1].copy()[::-1]


def numbers(rng, shape, semiring, dtype, odd):
    """Small whole numbers, so that sums are exact whatever their order, with some that are not finite."""
    if semiring == "boolean":
        return strided(rng, rng.random(shape) < 0.4)
    drawn = rng.integers(-4, 5, shape).astype(dtype)
    if odd and drawn.size:
        at = rng.random(shape) < 0.05
        drawn[at] = rng.choice([np.nan, np.inf, -np.inf], int(at.sum()))
    return strided(rng, drawn)


def indices(rng, shape, n):
    chosen = rng.integers(0, max(n, 1), shape)
    padding = rng.choice([0.0, 0.3, 1.0]) if n else 1.0
    at = np.where(rng.random(shape) < padding, rng.choice([-1, -(2**31)]), chosen)
    return strided(rng, at.astype(rng.choice([np.int32, np.int64])))


def reduced(semiring, terms, axis):
    """The monoid over an axis of terms (as combine gives them); NaN wherever one is."""
    identity = SEMIRINGS[semiring].identity
    if semiring == "boolean":
        return terms.any(axis)
    with np.errstate(all="ignore"):
        if semiring == "real":
            return terms.sum(axis)
        if semiring == "euclidean":
            return np.sqrt((terms.astype(np.float64) ** 2).sum(axis)).astype(terms.dtype)
        if semiring == "log":
            top = np.max(terms, axis=axis, initial=-np.inf)
            shift = np.where(np.isfinite(top), top, 0)
            total = np.exp(terms - np.expand_dims(shift, axis)).sum(axis)
            return np.where(np.isposinf(top), top, np.log(total) + shift)  # a NaN stays in both
        choose = np.max if semiring == "tropical_max_plus" else np.min
        return choose(terms, axis=axis, initial=identity)


def combined(semiring, a, b):
    with np.errstate(all="ignore"):
        if semiring == "boolean":
            return a & b
        if semiring == "real":
            return a * b
        if semiring == "euclidean":
            return a - b
        total = a + b
        if semiring.startswith("tropical"):  # the annihilator absorbs the opposite infinity, but no NaN
            total = np.where(np.isnan(total) & ~np.isnan(a) & ~np.isnan(b), SEMIRINGS[semiring].identity, total)
        return total


def product(values, at, B, semiring):
    """Row by row, of the entries that are there."""
    lead = np.broadcast_shapes(values.shape[:-2], at.shape[:-2], B.shape[:-2])
    v, at, B = (np.broadcast_to(a, lead + a.shape[-2:]) for a in (values, at, B))
    C = np.empty((*lead, v.shape[-2], B.shape[-1]), B.dtype)
    for *item, i in np.ndindex(C.shape[:-1]):
        here = tuple(item)
        there = at[(*here, i)] >= 0
        rows = B[here][at[(*here, i)][there]]
        C[(*here, i)] = reduced(semiring, combined(semiring, v[(*here, i)][there][:, None], rows), 0)
    return C


def check(got, expected, semiring):
    assert got.shape == expected.shape and got.dtype == expected.dtype
    if semiring in ("log", "euclidean"):
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-5)
    else:
        np.testing.assert_array_equal(got, expected)


@CASES
@given(seeds, st.sampled_from(list(SEMIRINGS)), SIZES, SIZES, SIZES, WIDTHS, st.sampled_from([np.float32, np.float64]))
def test_products_and_transposes(seed, semiring, m, k, n, d, dtype):
    rng = np.random.default_rng(seed)
    lead = [((), (), ()), ((2,), (), (2,)), ((), (2,), (3, 1)), ((2, 1), (), ())][rng.integers(4)]
    odd = semiring != "log" and rng.random() < 0.5
    values, at = numbers(rng, (*lead[0], m, k), semiring, dtype, odd), indices(rng, (*lead[1], m, k), n)
    B = numbers(rng, (*lead[2], n, d), semiring, dtype, odd)
    expected = product(values, at, B, semiring)
    got = semiring_ell_matmul(values, at, B, semiring=semiring)
    check(got, expected, semiring)
    np.testing.assert_array_equal(semiring_ell_matmul(values, at, B, semiring=semiring, threads=2), got)
    ell = ELL(values, at, n)
    np.testing.assert_array_equal(semiring_ell_matmul(ell.values, ell.indices, B, semiring=semiring), got)

    X = numbers(rng, (*lead[2], m, d), semiring, dtype, odd)
    Y = semiring_ell_rmatvec(values, at, X, semiring=semiring, n_cols=n)
    all_lead = Y.shape[:-2]
    v, i, x = (np.broadcast_to(a, all_lead + a.shape[-2:]) for a in (values, at, X))
    for item in np.ndindex(all_lead):
        for column in range(n):
            rows, slots = np.nonzero(i[item] == column)
            terms = combined(semiring, v[item][rows, slots][:, None], x[item][rows])
            check(Y[item][column], reduced(semiring, terms, 0), semiring)
    np.testing.assert_array_equal(semiring_ell_rmatvec(ell.values, ell.indices, X, semiring=semiring, n_cols=n,
                                                       threads=2), Y)  # fmt: skip


@CASES
@given(seeds, st.sampled_from(FLOATS), SIZES, SIZES, SIZES, st.sampled_from([0, 1, 5, 16, 70]))
def test_gradients_by_finite_differences(seed, semiring, m, k, n, d):
    """Of values that all differ, so that no choice is near a tie."""
    rng = np.random.default_rng(seed)
    values, B = (strided(rng, rng.standard_normal(s)) for s in ((m, k), (n, d)))
    at = indices(rng, (m, k), n)
    C = semiring_ell_matmul(values, at, B, semiring=semiring)
    dC = np.where(np.isfinite(C), rng.standard_normal(C.shape), 0)
    dvalues, dB = semiring_ell_matmul_vjp(values, at, B, C, strided(rng, dC), semiring=semiring)
    assert (dvalues[at < 0] == 0).all()
    u, w, h = rng.standard_normal(values.shape), rng.standard_normal(B.shape), 1e-7

    def loss(step):
        z = semiring_ell_matmul(values + step * u, at, B + step * w, semiring=semiring)
        return np.sum(dC * np.where(np.isfinite(z), z - np.where(np.isfinite(C), C, 0), 0))

    expected = np.sum(dvalues * u) + np.sum(dB * w)
    assert abs((loss(h) - loss(-h)) / (2 * h) - expected) <= 2e-4 * (1 + abs(expected))
    for one, two in zip((dvalues, dB), semiring_ell_matmul_vjp(values, at, B, C, dC, semiring=semiring, threads=2),
                        strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, two)


def activated(x, slope):
    with np.errstate(all="ignore"):
        return np.where(x <= 0, 0 if slope == 0 else x * x.dtype.type(slope), x)


@CASES
@given(seeds, st.sampled_from(FLOATS), SIZES, SIZES, SIZES, WIDTHS, st.sampled_from([0.0, 0.25, 1.0, 2.0, -0.5]))
def test_edges(seed, semiring, m, k, n, d, slope):
    rng = np.random.default_rng(seed)
    own, source = (numbers(rng, s, semiring, np.float64, False) for s in ((m, d), (n, d)))
    if source.size and rng.random() < 0.4:
        source = source.copy()
        source[rng.integers(n), rng.integers(d)] = rng.choice(
            [np.nan] if semiring == "log" else [np.nan, np.inf, -np.inf]
        )
    if own.size and rng.random() < 0.4:
        own = own.copy()
        own[rng.integers(m), rng.integers(d)] = np.nan
    at, flat = indices(rng, (m, k), n), np.asarray(slope)
    y = semiring_ell_edge_reduce(own, source, at, flat, semiring=semiring)
    for i in range(m):
        edges = activated(own[i] + source[at[i][at[i] >= 0]], slope)
        check(y[i], reduced(semiring, edges, 0).astype(y.dtype), semiring)
    again = semiring_ell_edge_reduce(
        own, source, ELL(np.zeros((m, k)), at, n).indices, flat, semiring=semiring, threads=2
    )
    np.testing.assert_array_equal(again, y)


@CASES
@given(seeds, st.sampled_from(FLOATS), SIZES, SIZES, SIZES, st.sampled_from([0, 1, 5, 70]),
       st.sampled_from([0.0, 0.25, 1.0, -0.5]))  # fmt: skip
def test_gradients_of_edges(seed, semiring, m, k, n, d, slope):
    rng = np.random.default_rng(seed)
    own, source = (strided(rng, rng.standard_normal(s)) for s in ((m, d), (n, d)))
    at, flat = indices(rng, (m, k), n), np.asarray(slope)
    y = semiring_ell_edge_reduce(own, source, at, flat, semiring=semiring)
    dy = np.where(np.isfinite(y), rng.standard_normal(y.shape), 0)
    down, dsource = semiring_ell_edge_reduce_vjp(own, source, at, flat, y, dy, semiring=semiring)
    u, w, h = rng.standard_normal(own.shape), rng.standard_normal(source.shape), 1e-7

    def loss(step):
        z = semiring_ell_edge_reduce(own + step * u, source + step * w, at, flat, semiring=semiring)
        return np.sum(dy * np.where(np.isfinite(z), z - np.where(np.isfinite(y), y, 0), 0))

    # ReLU makes ties, and a root of 0, where only the winner that the op names counts.
    if slope != 0 or semiring in ("real", "log"):
        expected = np.sum(down * u) + np.sum(dsource * w)
        assert abs((loss(h) - loss(-h)) / (2 * h) - expected) <= 2e-4 * (1 + abs(expected))
    assert np.isfinite(down).all() and np.isfinite(dsource).all()


@CASES
@given(seeds, st.sampled_from(list(SEMIRINGS)), SIZES, st.sampled_from([0, 1, 2, 7]), SIZES,
       st.sampled_from([0, 1, 3, 16]), st.sampled_from([0, 1, 5, 16, 33]))  # fmt: skip
def test_graph_convolutions(seed, semiring, m, k, n, c, o):
    rng = np.random.default_rng(seed)
    lead = [((), (), ()), ((2,), (), ()), ((), (2,), (2,)), ((2, 1), (3,), ())][rng.integers(4)]
    at = indices(rng, (*lead[0], m, k), n)
    x = numbers(rng, (*lead[1], n, c), semiring, np.float64, False)
    weight = numbers(rng, (*lead[2], k, c, o), semiring, np.float64, False)
    got = semiring_ell_conv(at, x, weight, semiring=semiring)
    whole = np.broadcast_shapes(*lead)
    i, f, w = (np.broadcast_to(a, whole + a.shape[a.ndim - core :]) for a, core in ((at, 2), (x, 2), (weight, 3)))
    assert got.shape == (*whole, m, o)
    for item in np.ndindex((*whole, m)):
        *batch, row = item
        b = tuple(batch)
        slots = np.flatnonzero(i[(*b, row)] >= 0)
        terms = combined(semiring, f[b][i[(*b, row)][slots]][..., None], w[b][slots])
        check(got[item], reduced(semiring, terms.reshape(-1, o) if terms.size else terms[:0, 0] if c else
                                 np.empty((0, o), got.dtype), 0).astype(got.dtype), semiring)  # fmt: skip
    np.testing.assert_array_equal(semiring_ell_conv(at, x, weight, semiring=semiring, threads=2), got)
    if semiring == "boolean":
        return
    dy = np.where(np.isfinite(got), rng.standard_normal(got.shape), 0)
    dx, dweight = semiring_ell_conv_vjp(at, x, weight, got, dy, semiring=semiring)
    assert dx.shape == x.shape and dweight.shape == weight.shape and np.isfinite(dx).all()
    if semiring == "real":  # bilinear
        np.testing.assert_allclose(np.sum(dx * x), np.sum(dy * got), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(np.sum(dweight * weight), np.sum(dy * got), rtol=1e-9, atol=1e-9)
    if semiring in ("tropical_max_plus", "log"):  # a constant more everywhere is as much more in each result
        live = np.sum(dy)
        np.testing.assert_allclose([np.sum(dx), np.sum(dweight)], [live, live], rtol=1e-9, atol=1e-9)


@CASES
@given(seeds, st.sampled_from(list(SEMIRINGS)), SIZES, SIZES, WIDTHS)
def test_rows_of_different_lengths(seed, semiring, m, n, d):
    rng = np.random.default_rng(seed)
    counts = rng.choice([0, 1, 3, 40], m) if n else np.zeros(m, int)
    columns = [rng.integers(0, max(n, 1), c) for c in counts]
    values = [numbers(rng, (c,), semiring, np.float32, False) for c in counts]
    B = numbers(rng, (n, d), semiring, np.float32, False)
    X = numbers(rng, (m, d), semiring, np.float32, False)
    flat_values = np.concatenate([*values, np.empty(0, B.dtype)])
    flat = flat_values, np.concatenate([*columns, np.empty(0, int)]).astype(np.int64)
    kinds = counts.astype(np.int64)
    C = np.empty((m, d), B.dtype)
    for i, (v, c) in enumerate(zip(values, columns, strict=True)):
        C[i] = reduced(semiring, combined(semiring, v[:, None], B[c]), 0)
    check(semiring_ragged_matmul(*flat, kinds, B, semiring=semiring), C, semiring)
    transposed = semiring_ragged_rmatvec(*flat, kinds, X, semiring=semiring, n_cols=n)
    row = np.repeat(np.arange(m), counts)
    for column in range(n):
        here = flat[1] == column
        terms = combined(semiring, flat[0][here][:, None], X[row[here]])
        check(transposed[column], reduced(semiring, terms, 0).astype(B.dtype), semiring)
    if m:
        sectioned = sectioned_ell_from_ragged(values, columns, n_cols=n)
        check(sectioned_semiring_ell_matmul(sectioned, B, semiring=semiring), C, semiring)
        got = sectioned_semiring_ell_rmatvec(sectioned, X, semiring=semiring)
        np.testing.assert_array_equal(got, transposed)


@CASES
@given(seeds, SIZES, SIZES)
def test_structures_from_everything_are_one_matrix(seed, m, n):
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((m, n)) < 0.6, 0, rng.standard_normal((m, n)))
    rows, columns = np.nonzero(dense)
    counts = np.bincount(rows, minlength=m)
    starts = np.concatenate([[0], np.cumsum(counts)])
    by_row = [slice(*ends) for ends in pairwise(starts)]
    shuffled = rng.permutation(len(rows))
    for ell in (
        ell_from_dense(dense),
        ell_from_csr(dense[rows, columns], columns, starts, n_cols=n),
        ell_from_ragged([dense[rows, columns][r] for r in by_row], [columns[r] for r in by_row], n_cols=n),
        ell_from_edges(
            rows[shuffled], columns[shuffled], dense[rows, columns][shuffled], n_rows=m, n_cols=n, k_max=n + 2
        ),
    ):
        np.testing.assert_array_equal(ell_to_dense(ell), dense)
    scores = rng.standard_normal(ell.values.shape)
    weights = ell_row_softmax(scores, ell)
    present = np.asarray(ell.indices) >= 0
    assert (weights[~present] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), counts > 0, atol=1e-12)
