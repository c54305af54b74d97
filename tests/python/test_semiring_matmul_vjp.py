"""Gradients of semiring products: finite differences, ties, broadcasting, strides, threads, memory."""

import numpy as np
import pytest
from processes import output_of

import nitrix
from nitrix.semiring import (
    REAL,
    SEMIRINGS,
    TROPICAL_MAX_PLUS,
    TROPICAL_MIN_PLUS,
    semiring_matmul,
    semiring_matmul_argmax,
    semiring_matmul_carry,
    semiring_matmul_vjp,
)

ALGEBRAS = [s for s in ("real", "tropical_max_plus", "tropical_min_plus", "euclidean", "log") if s in SEMIRINGS]
TROPICAL = ("tropical_max_plus", "tropical_min_plus")
DTYPES = (np.float32, np.float64)

algebra = pytest.mark.parametrize("semiring", ALGEBRAS)
tropical = pytest.mark.parametrize("semiring", TROPICAL)
dtype = pytest.mark.parametrize("dtype", DTYPES)


def random(shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def weights(A, B, C, semiring):
    """dC[i, j] / d(term k), of shape (..., m, k, n), by the definition."""
    a, b, c = A[..., :, :, None], B[..., None, :, :], C[..., :, None, :]
    if semiring in TROPICAL:
        won = a + b == c
        first = np.cumsum(won, axis=-2) == 1
        return np.where(np.isfinite(c), (won & first).astype(C.dtype), 0)
    if semiring == "log":
        with np.errstate(invalid="ignore"):
            return np.where(np.isneginf(c), 0, np.exp(a + b - c))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(c == 0, 0, (a - b) / c)


def by_definition(A, B, C, dC, semiring):
    """dA and dB in the inputs' dtype, forming every term: for small shapes."""
    if semiring == "real":
        a, b = np.broadcast_arrays(A[..., :, :, None], B[..., None, :, :])
        dA, dB = (dC[..., :, None, :] * b).sum(-1), (dC[..., :, None, :] * a).sum(-3)
    else:
        terms = dC[..., :, None, :] * weights(A, B, C, semiring)
        dA, dB = terms.sum(-1), (-terms if semiring == "euclidean" else terms).sum(-3)
    return reduced(dA, A.shape), reduced(dB, B.shape)


def reduced(gradient, shape):
    """Summed over what was broadcast from `shape`."""
    gradient = gradient.sum(tuple(range(gradient.ndim - len(shape))))
    return gradient.sum(tuple(d for d, size in enumerate(shape) if size == 1 and gradient.shape[d] > 1), keepdims=True)


def assert_gradients(A, B, semiring, dC=None, **options):
    C = semiring_matmul(A, B, semiring=semiring)
    if dC is None:
        dC = random(C.shape, A.dtype, 9)
    got = semiring_matmul_vjp(A, B, C, dC, semiring=semiring, **options)
    wide = [x.astype(np.float64) for x in (A, B, C, dC)]
    expected = by_definition(A, B, C, dC, semiring) if semiring in TROPICAL else by_definition(*wide, semiring)
    for gradient, operand, reference in zip(got, (A, B), expected, strict=True):
        assert gradient.shape == operand.shape
        assert gradient.dtype == operand.dtype
        np.testing.assert_allclose(gradient, reference, rtol=0, atol=2e3 * np.finfo(A.dtype).eps)


SHAPES = [
    (1, 1, 1), (3, 5, 7), (1, 40, 33), (33, 40, 1), (17, 1, 19), (31, 63, 33), (9, 64, 47), (8, 65, 20), (5, 300, 3),
    (40, 31, 129), (200, 5, 3),
]  # fmt: skip


@algebra
@dtype
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sizes(shape, dtype, semiring):
    m, k, n = shape
    assert_gradients(random((m, k), dtype), random((k, n), dtype, 1), semiring)


@algebra
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("a", "b"),
    [((4, 5), (5, 3)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 2)), ((2, 1, 3, 70), (3, 70, 2)), ((6, 1), (1, 6))],
    ids=str,
)
def test_finite_differences(a, b, semiring, seed):
    """The derivative of sum(dC * C) along random directions of A and B, in float64."""
    A, B, u, v = random(a, seed=seed), random(b, seed=seed + 10), random(a, seed=seed + 20), random(b, seed=seed + 30)
    C = semiring_matmul(A, B, semiring=semiring)
    dC = random(C.shape, seed=seed + 40)
    dA, dB = semiring_matmul_vjp(A, B, C, dC, semiring=semiring)

    def loss(step):
        return np.sum(dC * semiring_matmul(A + step * u, B + step * v, semiring=semiring))

    # Fourth order; the step is far below the gaps between the terms of a tropical sum.
    h = 1e-4 if semiring not in TROPICAL else 1e-7
    slope = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)
    expected = np.sum(dA * u) + np.sum(dB * v)
    assert abs(slope - expected) <= 1e-6 * (1 + abs(expected))


@algebra
@pytest.mark.parametrize(
    ("a", "b"),
    [((4,), ()), ((), (4,)), ((4,), (4,)), ((3, 1), (1, 2)), ((3, 1, 2), (4, 1)), ((1,), (5,)), ((2, 1, 1, 2), (3, 1))],
    ids=str,
)
@dtype
def test_broadcast_operands_are_summed(a, b, dtype, semiring):
    assert_gradients(random((*a, 5, 6), dtype), random((*b, 6, 7), dtype, 1), semiring)


@algebra
@dtype
def test_strides(dtype, semiring):
    A, B = random((70, 9), dtype).T, random((20, 140), dtype, 1).T[::-2]
    C = semiring_matmul(A, B, semiring=semiring)
    dC = np.broadcast_to(random((9, 1), dtype, 2), C.shape)
    assert_gradients(A, B, semiring, dC=dC)
    expected = semiring_matmul_vjp(A.copy(), B.copy(), C, dC.copy(), semiring=semiring)
    dA, dB = np.zeros((70, 9), dtype).T, np.zeros((20, 70), dtype).T
    semiring_matmul_vjp(A, B, np.asfortranarray(C), dC, semiring=semiring, out=(dA, dB))
    for got, reference in zip((dA, dB), expected, strict=True):
        np.testing.assert_array_equal(got, reference)


@algebra
@pytest.mark.parametrize(
    ("a", "b"),
    [((0, 3), (3, 4)), ((2, 3), (3, 0)), ((2, 0), (0, 4)), ((0, 2, 3), (3, 4)), ((5, 1, 2, 3), (0, 3, 4))],
    ids=str,
)
def test_zero_sizes_give_zeros(a, b, semiring):
    A, B = np.ones(a, np.float32), np.ones(b, np.float32)
    C = semiring_matmul(A, B, semiring=semiring)
    dA, dB = semiring_matmul_vjp(A, B, C, np.ones_like(C), semiring=semiring)
    np.testing.assert_array_equal(dA, np.zeros(a, np.float32))
    np.testing.assert_array_equal(dB, np.zeros(b, np.float32))


@algebra
@pytest.mark.parametrize("batch", [(), (3,)])
def test_threads_and_targets_do_not_change_the_bits(semiring, batch):
    A, B = random((*batch, 61, 130), np.float32), random((130, 150), np.float32, 1)
    C = semiring_matmul(A, B, semiring=semiring)
    dC = random(C.shape, np.float32, 2)
    one = semiring_matmul_vjp(A, B, C, dC, semiring=semiring, threads=1)
    others = [semiring_matmul_vjp(A, B, C, dC, semiring=semiring, threads=t) for t in (2, 3)]
    if nitrix.explain(semiring_matmul, A, B)["chosen"].rsplit("/")[-1] in ("avx2", "avx512"):
        others.append(semiring_matmul_vjp(A, B, C, dC, semiring=semiring, backend="naive"))
    for other in others:
        for x, y in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("target", [t["name"] for t in nitrix.info()["targets"] if t["runs_here"]])
def test_every_target_refines_alike(target):
    """Tropical gradients are the same bits on all targets, whatever the length of their vectors."""
    code = (
        "import hashlib, numpy as np\n"
        "from nitrix.semiring import semiring_matmul_argmax, semiring_matmul_vjp\n"
        "r = np.random.RandomState(0)\n"
        "total = hashlib.sha256()\n"
        "for dtype in (np.float32, np.float64):\n"
        "    A, B = r.randint(-9, 9, (2, 37, 301)).astype(dtype), r.randint(-9, 9, (301, 45)).astype(dtype)\n"
        "    C, index = semiring_matmul_argmax(A, B, semiring='tropical_min_plus')\n"
        "    assert (index == (A[..., None] + B).argmin(-2)).all()\n"
        "    dC = r.random_sample(C.shape).astype(dtype)\n"
        "    for x in semiring_matmul_vjp(A, B, C, dC, semiring='tropical_min_plus'):\n"
        "        total.update(x.tobytes())\n"
        "print(total.hexdigest())\n"
    )
    assert output_of(code, {"NITRIX_TARGET": target}) == output_of(code, {"NITRIX_BACKEND": "naive"})


@tropical
@dtype
def test_ties_go_to_the_smallest_k(dtype, semiring):
    A, B = np.zeros((3, 300), dtype), np.zeros((300, 4), dtype)
    sign = 1 if semiring == "tropical_max_plus" else -1
    A[1, 70:] = A[2, 299] = sign
    C, index = semiring_matmul_argmax(A, B, semiring=semiring)
    np.testing.assert_array_equal(index, np.repeat([[0], [70], [299]], 4, axis=1))
    dA, dB = semiring_matmul_vjp(A, B, C, np.ones_like(C), semiring=semiring)
    expected = np.zeros_like(A)
    expected[[0, 1, 2], [0, 70, 299]] = 4
    np.testing.assert_array_equal(dA, expected)
    np.testing.assert_array_equal(dB, np.repeat(expected.sum(0)[:, None] / 4, 4, axis=1))


@tropical
@dtype
@pytest.mark.parametrize("shape", [*SHAPES, (6, 1000, 35)], ids=str)
def test_argmax(shape, dtype, semiring):
    m, k, n = shape
    for A, B in [
        (random((m, k), dtype), random((k, n), dtype, 1)),
        (np.round(random((2, m, k), dtype)), np.round(random((k, n), dtype, 1))),
    ]:
        sums = A[..., :, :, None] + B[..., None, :, :]
        expected = (np.argmax if semiring == "tropical_max_plus" else np.argmin)(sums, axis=-2)
        C, index = semiring_matmul_argmax(A, B, semiring=semiring)
        np.testing.assert_array_equal(index, expected)
        np.testing.assert_array_equal(C, semiring_matmul(A, B, semiring=semiring))
        carried, winner = semiring_matmul_carry(A, B, semiring=semiring)
        np.testing.assert_array_equal(carried, C)
        np.testing.assert_array_equal(winner, expected // 64)


@tropical
def test_a_large_product_carries_the_winners_of_its_parts(semiring):
    """Of 4 MiB and more, tiles ask memory for their part of both results."""
    A, B = random((1100, 300), np.float32), random((300, 1060), np.float32, 1)
    whole = semiring_matmul_carry(A, B, semiring=semiring)
    for first in range(0, len(A), 100):
        part = slice(first, first + 100)
        for got, expected in zip(whole, semiring_matmul_carry(A[part], B, semiring=semiring), strict=True):
            np.testing.assert_array_equal(got[part], expected)


@tropical
def test_entries_without_a_winner_pass_nothing_on(semiring):
    empty = -np.inf if semiring == "tropical_max_plus" else np.inf
    A, B = random((4, 80), np.float32), random((80, 5), np.float32, 1)
    A[0], A[1, 3], B[:, 2] = empty, np.nan, empty
    A[2, 5], B[5, 3] = empty, -empty  # the annihilator absorbs the opposite infinity
    C, index = semiring_matmul_argmax(A, B, semiring=semiring)
    assert (index[0] == -1).all() and (index[1] == -1).all() and (index[:, 2] == -1).all()
    dA, dB = semiring_matmul_vjp(A, B, C, np.ones_like(C), semiring=semiring)
    assert (dA[:2] == 0).all() and (dB[:, 2] == 0).all()
    np.testing.assert_array_equal(dA.sum(1), [0, 0, 4, 4])


@tropical
def test_the_winner_may_be_given_or_not(semiring):
    A, B = random((2, 30, 200), np.float32), random((200, 40), np.float32, 1)
    C, winner = semiring_matmul_carry(A, B, semiring=semiring)
    dC = random(C.shape, np.float32, 2)
    given = semiring_matmul_vjp(A, B, C, dC, semiring=semiring, winner=winner)
    alone = semiring_matmul_vjp(A, B, C, dC, semiring=semiring)
    for x, y in zip(given, alone, strict=True):
        np.testing.assert_array_equal(x, y)


@algebra
def test_memory_never_grows_with_all_three_sizes(semiring):
    A, B = np.empty((1, 512, 512), np.float32), np.empty((4, 512, 512), np.float32)
    C = np.empty((4, 512, 512), np.float32)
    bytes_ = nitrix.workspace_size(semiring_matmul_vjp, A, B, C, C, None, semiring=semiring)
    assert bytes_ < 6 * C.nbytes


def test_boolean_refuses():
    A = np.ones((2, 2), np.float32)
    with pytest.raises(TypeError, match=r"semiring_matmul_vjp.*'semiring'.*truth values have no gradient"):
        semiring_matmul_vjp(A, A, A, A, semiring="boolean")
    A = A.astype(bool)
    with pytest.raises(TypeError, match="truth values have no gradient"):
        semiring_matmul_vjp(A, A, A, A, semiring="boolean")


def test_wrong_shapes_are_named():
    A, B, C = (np.ones(s, np.float32) for s in ((2, 3), (3, 4), (2, 4)))
    with pytest.raises(ValueError, match="dC"):
        semiring_matmul_vjp(A, B, C, np.ones((2, 5), np.float32), semiring=REAL)
    with pytest.raises(TypeError, match="winner"):
        semiring_matmul_vjp(A, B, C, C, semiring=TROPICAL_MAX_PLUS, winner=C)
    with pytest.raises(TypeError, match="dC"):
        semiring_matmul_vjp(A, B, C, C.astype(np.float64), semiring=TROPICAL_MIN_PLUS)
    with pytest.raises(ValueError, match=r"out\[0\]"):
        semiring_matmul_vjp(A, B, C, C, out=(np.empty((1, 2, 3), np.float32), np.empty_like(B)))
