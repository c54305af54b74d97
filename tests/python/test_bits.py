"""Truth values packed 32 to a word, their products, and products of bytes that are served by them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nitrix
from nitrix.semiring import semiring_conv, semiring_matmul, semiring_matmul_bits, semiring_pack_bits

SIZES = (1, 2, 7, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 100, 130)


def packed(x: np.ndarray, axis: int) -> np.ndarray:
    """The same words by NumPy."""
    moved = np.moveaxis(x, axis, -1)
    missing = -moved.shape[-1] % 32
    padded = np.ascontiguousarray(np.pad(moved, [(0, 0)] * (x.ndim - 1) + [(0, missing)]))
    words = np.packbits(padded != 0, axis=-1, bitorder="little").view("<u4")
    return np.moveaxis(words, -1, axis)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.matmul((a != 0).astype(np.float32), (b != 0).astype(np.float32)) > 0


def layouts(x: np.ndarray) -> list[np.ndarray]:
    """The same values with other strides."""
    wide = np.zeros((*x.shape[:-2], 2 * x.shape[-2], 3 * x.shape[-1]), x.dtype)
    wide[..., ::2, ::3] = x
    return [
        x,
        np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2),
        wide[..., ::2, ::3],
        x[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    ]


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("n", SIZES)
def test_packs_as_numpy_does(axis, n):
    rng = np.random.default_rng(n)
    for shape in ((1, n), (n, 1), (5, n), (n, 19), (70, n), (2, 3, n, 18)):
        for x in (rng.random(shape) < 0.4, rng.integers(0, 3, shape, np.uint8) * np.uint8(0x80)):
            for strided in layouts(x):
                np.testing.assert_array_equal(semiring_pack_bits(strided, axis), packed(x, axis))
                np.testing.assert_array_equal(semiring_pack_bits(strided, axis, threads=2), packed(x, axis))


def test_packing_large_arrays_on_threads_gives_the_same_words():
    x = np.random.default_rng(1).random((3, 513, 1025)) < 0.3
    for axis in (-1, -2):
        for strided in layouts(x):
            np.testing.assert_array_equal(semiring_pack_bits(strided, axis, threads=2), packed(x, axis))


def test_the_caller_may_give_the_words():
    x = np.random.default_rng(2).random((40, 70)) < 0.3
    wide = np.zeros((40, 8), np.uint32)
    assert semiring_pack_bits(x, out=wide[:, 1:7:2]) is not None
    np.testing.assert_array_equal(wide[:, 1:7:2], packed(x, -1))
    assert not wide[:, ::2].any() and not wide[:, 7].any()


def test_sizes_of_zero():
    for shape, axis, words in (((0, 5), -1, (0, 1)), ((5, 0), -1, (5, 0)), ((0, 5), -2, (0, 5)), ((5, 0), -2, (1, 0))):
        assert semiring_pack_bits(np.ones(shape, bool), axis).shape == words
    C = semiring_matmul_bits(np.zeros((3, 0), np.uint32), np.zeros((0, 4), np.uint32))
    assert C.shape == (3, 4) and C.dtype == bool and not C.any()


def test_errors_say_what_must_be():
    x = np.ones((4, 4), bool)
    with pytest.raises(ValueError, match=r"axis.*is 0, must be from -2 to -1"):
        semiring_pack_bits(x, 0)
    with pytest.raises(TypeError, match="float32"):
        semiring_pack_bits(np.ones((4, 4), np.float32))
    with pytest.raises(TypeError, match="no uint8 form; with this dtype: none; with this semiring: uint32"):
        semiring_matmul_bits(x, x)
    with pytest.raises(TypeError, match="out is uint8 but the result is bool"):
        semiring_matmul_bits(np.ones((2, 2), np.uint32), np.ones((2, 2), np.uint32), out=np.empty((2, 2), np.uint8))
    with pytest.raises(ValueError, match="w"):
        semiring_matmul_bits(np.ones((2, 2), np.uint32), np.ones((3, 2), np.uint32))


@settings(deadline=None, max_examples=150)
@given(
    st.tuples(*[st.integers(1, 140)] * 3),
    st.sampled_from(["none", "a", "b", "both"]),
    st.sampled_from([0.02, 0.2, 0.9]),
    st.integers(0, 3),
    st.sampled_from([1, 2]),
)
def test_products_of_bytes_and_of_words_are_by_definition(shape, batch, density, layout, threads):
    m, k, n = shape
    rng = np.random.default_rng(m * k + n)
    lead_a, lead_b = (3,) if batch in "a both" else (), (2, 1) if batch in "b both" else ()
    a, b = rng.random((*lead_a, m, k)) < density**0.5, rng.random((*lead_b, k, n)) < density**0.5 / k**0.5
    expected = product(a, b)
    for x, y in ((a, b), (a * np.uint8(2), b * np.uint8(5))):
        C = semiring_matmul(layouts(x)[layout], layouts(y)[3 - layout], semiring="boolean", threads=threads)
        np.testing.assert_array_equal(C, expected)
    words = semiring_matmul_bits(layouts(packed(a, -1))[layout], layouts(packed(b, -2))[layout], threads=threads)
    assert words.dtype == bool
    np.testing.assert_array_equal(words, expected)


@pytest.mark.parametrize("shape", [(300, 1000, 129), (1, 8300, 70), (70, 8300, 1), (17, 33, 16), (1000, 40, 7)])
def test_long_and_thin_products(shape):
    m, k, n = shape
    rng = np.random.default_rng(k)
    a, b = rng.random((m, k)) < 0.05, rng.random((k, n)) < 0.02
    for threads in (1, 2):
        C = semiring_matmul(a, b, semiring="boolean", threads=threads)
        np.testing.assert_array_equal(C, product(a, b))
    strided = np.zeros((m, 2 * n), bool)
    semiring_matmul(a, b, semiring="boolean", out=strided[:, ::2])
    np.testing.assert_array_equal(strided[:, ::2], product(a, b))
    assert not strided[:, 1::2].any()


def test_one_word_decides():
    """A single true step, anywhere."""
    for k in (1, 31, 32, 33, 100):
        for step in range(k):
            a, b = np.zeros((20, k), bool), np.zeros((k, 20), bool)
            a[3, step] = b[step, 7] = True
            C = semiring_matmul(a, b, semiring="boolean")
            assert C[3, 7] and C.sum() == 1


def test_convolutions_by_one_tap_are_products_in_words():
    rng = np.random.default_rng(5)
    x, w = rng.random((2, 9, 11, 40)) < 0.2, rng.random((1, 1, 40, 30)) < 0.2
    y = semiring_conv(x, w, semiring="boolean", spatial_rank=2)
    np.testing.assert_array_equal(y, product(x, w[0, 0]))


def test_the_estimate_counts_the_words():
    a = np.zeros((1000, 999), bool)
    words = 4 * 2 * 1000 * 32
    for threads in (1, 2):
        size = nitrix.workspace_size(semiring_matmul, a, a[:999].T.copy().T, semiring="boolean", threads=threads)
        assert words <= size < 1.1 * words + 8192
