"""semiring_matmul_partial, _merge and _finalize: a product whose k is cut into slices."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nitrix
from nitrix.semiring import (
    BOOLEAN,
    EUCLIDEAN,
    LOG,
    REAL,
    SEMIRINGS,
    TROPICAL_MAX_PLUS,
    TROPICAL_MIN_PLUS,
    semiring_matmul,
    semiring_matmul_finalize,
    semiring_matmul_merge,
    semiring_matmul_partial,
)

STRICT = [s for s in SEMIRINGS.values() if s.strict]
EXACT = [TROPICAL_MAX_PLUS, TROPICAL_MIN_PLUS, BOOLEAN]
# Exactly representable, so that no order of sums rounds; with what only special rules get right.
NUMBERS = [-3.0, -1.0, -0.0, 0.0, 0.5, 2.0]
SPECIAL = [*NUMBERS, np.inf, -np.inf, np.nan]


def dtypes_of(semiring):
    return [np.dtype(bool)] if semiring is BOOLEAN else [np.dtype(np.float32), np.dtype(np.float64)]


def operands(draw, semiring, values, m=3, n=4, most=20):
    dtype = draw(st.sampled_from(dtypes_of(semiring)))
    k = draw(st.integers(0, most))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    choice = [False, False, False, True] if semiring is BOOLEAN else values
    return random.choice(choice, (m, k)).astype(dtype), random.choice(choice, (k, n)).astype(dtype)


def slices(draw, k):
    """Any cuts, empty slices included."""
    cuts = sorted(draw(st.lists(st.integers(0, k), max_size=5)))
    return [slice(a, b) for a, b in itertools.pairwise([0, *cuts, k])]


def partials(A, B, cuts, semiring, **options):
    return [semiring_matmul_partial(A[..., :, s], B[..., s, :], semiring=semiring, **options) for s in cuts]


def merged(states, semiring, **options):
    total = states[0]
    for state in states[1:]:
        total = semiring_matmul_merge(total, state, semiring=semiring, **options)
    return total


def assert_same_bits(x, y):
    assert x.dtype == y.dtype and x.shape == y.shape
    if x.dtype.kind == "f":
        nan = np.isnan(x) & np.isnan(y)
        x, y = (np.where(nan, 0, a).astype(a.dtype).view(f"u{a.itemsize}") for a in (x, y))
    np.testing.assert_array_equal(x, y)


@given(st.data(), st.sampled_from(EXACT))
@settings(max_examples=300, deadline=None)
def test_any_split(data, semiring):
    A, B = operands(data.draw, semiring, SPECIAL)
    states = partials(A, B, slices(data.draw, A.shape[1]), semiring)
    C = semiring_matmul_finalize(merged(states, semiring), semiring=semiring)
    assert_same_bits(C, semiring_matmul(A, B, semiring=semiring))


@given(st.data(), st.sampled_from([REAL, LOG]))
@settings(max_examples=200, deadline=None)
def test_any_split_within_rounding(data, semiring):
    A, B = operands(data.draw, semiring, NUMBERS if semiring is REAL else [*NUMBERS, -np.inf])
    states = partials(A, B, slices(data.draw, A.shape[1]), semiring)
    C = semiring_matmul_finalize(merged(states, semiring), semiring=semiring)
    whole = semiring_matmul(A, B, semiring=semiring)
    if semiring is REAL:
        np.testing.assert_array_equal(C, whole)
    else:
        np.testing.assert_allclose(C, whole, rtol=32 * np.finfo(A.dtype).eps, atol=32 * np.finfo(A.dtype).eps)


@given(st.data(), st.sampled_from(STRICT))
@settings(max_examples=200, deadline=None)
def test_merging_associates(data, semiring):
    """Bit for bit where it is exact; the identity's state on either side changes nothing."""
    A, B = operands(data.draw, semiring, SPECIAL if semiring in EXACT else NUMBERS)
    x, y, z = (partials(A, B, [s], semiring)[0] for s in slices(lambda _: [A.shape[1] // 3] * 2, A.shape[1]))

    def merge(a, b):
        return semiring_matmul_merge(a, b, semiring=semiring)

    left, right = merge(merge(x, y), z), merge(x, merge(y, z))
    nothing = semiring_matmul_partial(A[:, :0], B[:0], semiring=semiring)
    for a, b in zip(left, right, strict=True):
        if semiring is LOG:
            np.testing.assert_allclose(a, b, rtol=16 * np.finfo(a.dtype).eps)
        else:
            assert_same_bits(a, b)
    for whole, left_nothing, right_nothing in zip(x, merge(nothing, x), merge(x, nothing), strict=True):
        np.testing.assert_array_equal(left_nothing, whole)
        assert_same_bits(right_nothing, whole if semiring is not REAL else whole + whole.dtype.type(0))


@pytest.mark.parametrize("semiring", STRICT, ids=lambda s: s.name)
def test_sizes_strides_threads_and_batches(semiring):
    random = np.random.default_rng(1)
    for dtype in dtypes_of(semiring):
        shape = (2, 1, 37, 600), (3, 600, 45)
        A, B = (
            random.random(s) < 0.05 if semiring is BOOLEAN else random.standard_normal(s).astype(dtype) for s in shape
        )
        whole = semiring_matmul(A, B, semiring=semiring)
        cuts = [slice(0, 256), slice(256, 512), slice(512, 600)]
        states = partials(A, B, cuts, semiring)
        total = merged(states, semiring)
        assert all(x.shape == (2, 3, 37, 45) and x.dtype == dtype for x in total)
        C = semiring_matmul_finalize(total, semiring=semiring)
        if semiring is LOG:
            np.testing.assert_allclose(C, whole, rtol=0, atol=16 * np.finfo(dtype).eps)
        else:
            # A block of the product's own order each, so REAL too: the sums are those of the product.
            assert_same_bits(C, whole)
        for option in ({"threads": 1}, {"threads": 2}, {"backend": "naive"}, {"mode": "verify"}):
            again = merged(partials(A, B, cuts, semiring, **option), semiring, **option)
            for x, y in zip(total, again, strict=True):
                assert_same_bits(x, y)
            assert_same_bits(semiring_matmul_finalize(total, semiring=semiring, **option), C)
        views = partials(np.asfortranarray(A), B[..., ::-1][..., ::-1], cuts, semiring)
        turned = [tuple(np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2) for x in s) for s in views]
        for x, y in zip(total, merged(turned, semiring), strict=True):
            assert_same_bits(x, y)


@pytest.mark.parametrize("k", [8192, 8193, 12288, 20001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_long_sum_is_one_of_slices(dtype, k):
    """Beyond 8192 steps REAL's product is what its slices of 4096 make: any threads, strides, leading dimensions."""
    random = np.random.default_rng(k)
    A, B = (random.standard_normal(s).astype(dtype) for s in ((2, 1, 5, k), (3, k, 37)))
    length = k if k <= 8192 else 4096
    cuts = [slice(first, first + length) for first in range(0, k, length)]
    total = merged(partials(A, B, cuts, REAL), REAL)
    expected = semiring_matmul_finalize(total, semiring=REAL)
    np.testing.assert_allclose(expected, A.astype(np.longdouble) @ B, rtol=0, atol=k * np.finfo(dtype).eps)
    for options in ({"threads": 1}, {"threads": 2}, {"backend": "naive"}, {"mode": "verify"}):
        assert_same_bits(semiring_matmul(A, B, **options), expected)
    turned = np.empty((2, 3, 37, 5), dtype).swapaxes(-1, -2)
    semiring_matmul(np.asfortranarray(A), np.ascontiguousarray(B.swapaxes(-1, -2)).swapaxes(-1, -2), out=turned)
    assert_same_bits(np.ascontiguousarray(turned), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_state_of_log(dtype):
    random = np.random.default_rng(2)
    A, B = random.standard_normal((20, 300)).astype(dtype), random.standard_normal((300, 30)).astype(dtype)
    A[3] = -np.inf  # a dead row
    A[4, 7] = np.inf
    terms = A.astype(np.float64)[:, :, None] + B.astype(np.float64)
    maximum, total = semiring_matmul_partial(A, B, semiring=LOG)
    np.testing.assert_array_equal(maximum, terms.max(axis=1).astype(dtype))
    live = np.isfinite(maximum)
    with np.errstate(invalid="ignore"):
        want = np.exp(terms - terms.max(axis=1, keepdims=True)).sum(axis=1)
    np.testing.assert_allclose(total[live], want[live], rtol=100 * np.finfo(dtype).eps)
    assert (maximum[3] == -np.inf).all() and (total[3] == 0).all()
    assert (maximum[4] == np.inf).all() and (total[4] == 1).all()
    dead = tuple(x[3:4] for x in (maximum, total))
    both = semiring_matmul_merge(dead, dead, semiring=LOG)
    assert (both[0] == -np.inf).all() and (both[1] == 0).all()
    assert (semiring_matmul_finalize(both, semiring=LOG) == -np.inf).all()


def test_large_magnitudes_of_log():
    """Slices whose terms lie far apart: what one slice has underflowed beside the other, and overflow of exp."""
    A = np.array([[1e4, 2.0, -1e4, -np.inf]], np.float32)
    B = np.array([[1.0], [3.0], [-1e4], [5.0]], np.float32)
    for cut in range(5):
        states = partials(A, B, [slice(0, cut), slice(cut, 4)], LOG)
        assert semiring_matmul_finalize(merged(states, LOG), semiring=LOG) == np.float32(10001)
        assert semiring_matmul_finalize(merged(states[::-1], LOG), semiring=LOG) == np.float32(10001)


@pytest.mark.parametrize("semiring", [REAL, LOG, TROPICAL_MAX_PLUS, TROPICAL_MIN_PLUS], ids=lambda s: s.name)
def test_nan_survives_merging(semiring):
    A, B = np.ones((2, 4), np.float32), np.ones((4, 3), np.float32)
    A[0, 1] = B[3, 2] = np.nan
    for order in (1, -1):
        states = partials(A, B, [slice(0, 2), slice(2, 4)], semiring)[::order]
        C = semiring_matmul_finalize(merged(states, semiring), semiring=semiring)
        np.testing.assert_array_equal(np.isnan(C), [[True, True, True], [False, False, True]])


def test_out():
    A, B = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    for semiring in (REAL, LOG):
        want = semiring_matmul_partial(A, B, semiring=semiring)
        out = tuple(np.empty((3, 5), np.float32) for _ in want)
        got = semiring_matmul_partial(A, B, semiring=semiring, out=out)
        assert all(x is y for x, y in zip(got, out, strict=True))
        for x, y in zip(out, want, strict=True):
            assert_same_bits(x, y)
        into = tuple(np.empty((3, 10), np.float32)[:, ::2] for _ in want)
        semiring_matmul_merge(want, want, semiring=semiring, out=into)
        for x, y in zip(into, semiring_matmul_merge(want, want, semiring=semiring), strict=True):
            np.testing.assert_array_equal(x, y)
        C = np.empty((3, 5), np.float32)
        assert semiring_matmul_finalize(want, semiring=semiring, out=C) is C
        with pytest.raises(ValueError, match="overlap"):
            semiring_matmul_merge(want, want, semiring=semiring, out=want)


def test_relaxed_algebras_are_refused():
    A = np.ones((3, 3), np.float32)
    for call in (
        lambda: semiring_matmul_partial(A, A, semiring=EUCLIDEAN),
        lambda: semiring_matmul_merge((A,), (A,), semiring=EUCLIDEAN),
        lambda: semiring_matmul_finalize((A,), semiring=EUCLIDEAN),
    ):
        with pytest.raises(
            TypeError, match=r"'euclidean': it is relaxed: only a strict algebra's reduction may be split"
        ):
            call()


def test_what_is_no_state_is_refused():
    x = np.ones((3, 3), np.float32)
    with pytest.raises(
        TypeError, match="left must be a state, a tuple of arrays such as semiring_matmul_partial returns"
    ):
        semiring_matmul_merge(x, (x,), semiring=REAL)
    with pytest.raises(ValueError, match="right has 2 arrays, the state of this semiring has 1"):
        semiring_matmul_merge((x,), (x, x), semiring=REAL)
    with pytest.raises(ValueError, match="state has 1 arrays, the state of this semiring has 2"):
        semiring_matmul_finalize((x,), semiring=LOG)
    with pytest.raises(TypeError, match="right_2 is float64 but left is float32"):
        semiring_matmul_merge((x, x), (x, x.astype(np.float64)), semiring=LOG)
    with pytest.raises(TypeError, match="out must be a tuple of 2 arrays"):
        semiring_matmul_partial(x, x, semiring=LOG, out=(x,))
    with pytest.raises(TypeError, match="has no int32 form"):
        semiring_matmul_partial(x.astype(np.int32), x.astype(np.int32), semiring=REAL)
    with pytest.raises(TypeError, match="semiring 'real' has no uint8 form; with this dtype: boolean"):
        semiring_matmul_partial(x.astype(bool), x.astype(bool), semiring=REAL)


def test_questions_about_states():
    x = np.ones((8, 8), np.float32)
    state = semiring_matmul_partial(x, x, semiring=LOG)
    answer = nitrix.explain(semiring_matmul_merge, state, state, semiring=LOG)
    assert answer["chosen"].startswith("semiring-matmul-merge/log/f32/any/")
    assert nitrix.workspace_size(semiring_matmul_merge, state, state, semiring=LOG) == 0
    assert nitrix.explain("semiring_matmul_finalize", (x,), semiring="real")["chosen"].startswith(
        "semiring-matmul-finalize/real/f32/any/"
    )
    # LOG's state needs the product beside it; one component needs no more than the product does.
    assert nitrix.workspace_size(semiring_matmul_partial, x, x, semiring=LOG) >= x.nbytes
    assert nitrix.workspace_size(semiring_matmul_partial, x, x, semiring=REAL) == nitrix.workspace_size(
        semiring_matmul, x, x
    )
    assert LOG.components == 2 and all(s.components == 1 for s in STRICT if s is not LOG)
