"""Convolution over a graph: by definition, beside a stencil on a grid, by finite differences, and what is refused."""

import numpy as np
import pytest

import nitrix
from nitrix import semiring as ops
from nitrix.semiring import SEMIRINGS
from nitrix.sparse import ELL, semiring_ell_conv, semiring_ell_conv_vjp

FLOATS = [s for s in SEMIRINGS if s != "boolean"]
COMBINE = {"real": np.multiply, "euclidean": lambda a, b: (a - b) ** 2, "boolean": np.logical_and}


def random(shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def indices(shape, n, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return np.where(rng.random(shape) < 0.2, -1, rng.integers(0, n, shape)).astype(np.int32)


def convolved(at, x, weight, semiring):
    """From every term, (m, k, c, o)."""
    terms = COMBINE.get(semiring, np.add)(x[np.maximum(at, 0)][..., None], weight)
    identity = 0.0 if semiring == "euclidean" else SEMIRINGS[semiring].identity
    terms = np.where((at >= 0)[:, :, None, None], terms, identity).astype(terms.dtype)
    if semiring in ("real", "euclidean"):
        total = terms.sum((1, 2))
        return np.sqrt(total) if semiring == "euclidean" else total
    if semiring == "log":
        return np.logaddexp.reduce(terms, axis=(1, 2))
    return {"tropical_max_plus": np.max, "tropical_min_plus": np.min, "boolean": np.any}[semiring](terms, axis=(1, 2))


@pytest.mark.parametrize("semiring", SEMIRINGS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 1), (30, 7, 25, 6, 40), (5, 3, 40, 300, 2)], ids=str)
def test_definition(shape, semiring):
    m, k, n, c, o = shape
    at, x, weight = indices((m, k), n), random((n, c)), random((k, c, o), 1)
    at[0] = -1
    if semiring == "boolean":
        x, weight = x > 1, weight > 1
    got = semiring_ell_conv(ELL(np.ones((m, k), x.dtype), at, n), x, weight, semiring=semiring)
    assert got.dtype == x.dtype
    np.testing.assert_allclose(got, convolved(at, x, weight, semiring), rtol=1e-11, atol=1e-11)
    assert (got[0] == SEMIRINGS[semiring].identity).all()


@pytest.mark.parametrize("semiring", ["real", "tropical_max_plus", "log"])
def test_a_ring_is_a_convolution_in_one_dimension(semiring):
    """The neighbours of a path, in the order of a kernel's taps."""
    n, taps, c, o = 50, 3, 4, 5
    at = np.arange(n)[:, None] + np.arange(taps) - 1
    at[(at < 0) | (at >= n)] = -1
    x, weight = random((n, c)), random((taps, c, o), 1)
    got = semiring_ell_conv(ELL(np.ones(at.shape), at, n), x, weight, semiring=semiring)
    dense = ops.semiring_conv(x, weight, padding="SAME", spatial_rank=1, semiring=semiring)
    np.testing.assert_allclose(got, dense, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("semiring", FLOATS)
def test_finite_differences_and_leading_dimensions(semiring):
    at, x, weight = indices((12, 4), 15), random((2, 15, 3)), random((4, 3, 35), 1)
    ell = ELL(np.ones(at.shape), at, 15)
    y = semiring_ell_conv(ell, x, weight, semiring=semiring)
    for item in range(2):
        np.testing.assert_array_equal(y[item], semiring_ell_conv(ell, x[item], weight, semiring=semiring))
    dy = np.where(np.isfinite(y), random(y.shape, 2), 0)
    dx, dweight = semiring_ell_conv_vjp(ell, x, weight, y, dy, semiring=semiring)
    u, w, h = random(x.shape, 3), random(weight.shape, 4), 1e-6

    def loss(step):
        z = semiring_ell_conv(ell, x + step * u, weight + step * w, semiring=semiring)
        return np.sum(dy * np.where(np.isfinite(z), z, 0))

    expected = np.sum(dx * u) + np.sum(dweight * w)
    assert abs((loss(h) - loss(-h)) / (2 * h) - expected) <= 1e-5 * (1 + abs(expected))


@pytest.mark.parametrize("semiring", ["real", "tropical_min_plus"])
def test_many_channels_are_computed_in_parts(semiring):
    """Of 16 here: products of all nodes and slots for one channel take 4.5 MB."""
    n, o = 80_000, 35
    at, x, weight = indices((300, 7), n), random((n, 2)), random((7, 2, o), 1)
    assert nitrix.workspace_size(ops.semiring_ell_conv, at, x, weight, threads=1) < 2 * (64 << 20)
    y = ops.semiring_ell_conv(at, x, weight, semiring=semiring)
    dx, dweight = ops.semiring_ell_conv_vjp(at, x, weight, y, y, semiring=semiring)
    total = np.zeros_like(x)
    for first in range(0, o, 16):
        part = np.ascontiguousarray(weight[..., first : first + 16])
        own = ops.semiring_ell_conv(at, x, part, semiring=semiring)
        np.testing.assert_array_equal(own, y[:, first : first + 16])
        to_x, to_weight = ops.semiring_ell_conv_vjp(at, x, part, own, own, semiring=semiring)
        np.testing.assert_array_equal(to_weight, dweight[..., first : first + 16])
        total += to_x
    np.testing.assert_allclose(dx, total, rtol=1e-13, atol=1e-13)


def test_indices_layouts_outputs_and_threads():
    at, x, weight = indices((12, 4), 15), random((15, 3)), random((2, 4, 3, 20), 1)
    want = ops.semiring_ell_conv(at, x, weight)
    assert want.shape == (2, 12, 20)
    ell = ELL(np.zeros(at.shape), at, 15)
    out = np.zeros((2, 12, 40))[..., ::2]
    for got in (
        ops.semiring_ell_conv(at.astype(np.int64), np.asfortranarray(x), np.asfortranarray(weight)),
        ops.semiring_ell_conv(np.asfortranarray(at), x, weight, threads=2),
        ops.semiring_ell_conv(ell.indices, x, weight, backend="naive"),
        ops.semiring_ell_conv(at, x, weight, mode="verify"),
        ops.semiring_ell_conv(at, x, weight, out=out),
        semiring_ell_conv(ell, x, weight, threads=2),
    ):
        np.testing.assert_array_equal(got, want)
    dx, dweight = ops.semiring_ell_conv_vjp(at, x, weight, want, want)
    parts = [ops.semiring_ell_conv_vjp(at, x, w, y, y) for w, y in zip(weight, want, strict=True)]
    np.testing.assert_array_equal(dx, parts[0][0] + parts[1][0])
    np.testing.assert_array_equal(dweight, np.stack([p[1] for p in parts]))
    assert nitrix.workspace_size(ops.semiring_ell_conv_vjp, at, x, weight, want, want) > 0


def test_nothing_beside_padding_is_read():
    at, x, weight = indices((12, 4), 14), random((15, 3)), random((4, 3, 5), 1)
    ell = ELL(np.full(at.shape, np.nan), at, 15)
    expected = semiring_ell_conv(ell, x, weight)
    x[14] = np.nan  # which no edge names
    np.testing.assert_array_equal(semiring_ell_conv(ell, x, weight), expected)


def test_refusals():
    ell = ELL(np.ones((3, 2)), np.zeros((3, 2), int), 4)
    x, weight = random((4, 5)), random((2, 5, 6))
    with pytest.raises(ValueError, match=r"x has shape \(3, 5\), must be \(\.\.\., 4, c\)"):
        semiring_ell_conv(ell, x[:3], weight)
    with pytest.raises(ValueError, match=r"weight has shape \(3, 5, 6\), so k = 3, but indices has k = 2"):
        semiring_ell_conv(ell, x, random((3, 5, 6)))
    with pytest.raises(TypeError, match=r"weight.* float32"):
        semiring_ell_conv(ell, x, weight.astype(np.float32))
    with pytest.raises(ValueError, match="must be below 4"):
        ops.semiring_ell_conv(np.full((3, 2), 4), x, weight)
    y = semiring_ell_conv(ell, x, weight)
    with pytest.raises(ValueError, match=r"dy has shape \(3, 5\), so o = 5"):
        semiring_ell_conv_vjp(ell, x, weight, y, y[:, :5])
    with pytest.raises(TypeError, match="boolean"):
        semiring_ell_conv_vjp(ell, x > 0, weight > 0, y > 0, y > 0, semiring="boolean")
