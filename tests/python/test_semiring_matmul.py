"""nitrix.semiring.semiring_matmul against NumPy: shapes, strides, broadcasting, special sizes."""

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nitrix
from nitrix.semiring import REAL, SEMIRINGS, reference_semiring_matmul, semiring_matmul

DTYPES = (np.float32, np.float64)
IDENTITY = {"real": 0.0, "tropical_max_plus": -np.inf, "tropical_min_plus": np.inf}

algebra = pytest.mark.parametrize("semiring", oracle.STRICT)
dtype = pytest.mark.parametrize("dtype", DTYPES)


def random(shape, dtype=np.float32, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


@algebra
@dtype
@pytest.mark.parametrize(
    "shape",
    # Odd sizes around register tiles, one row, one column, and k on both sides of the 256-long blocks.
    [
        (1, 1, 1), (3, 5, 7), (1, 40, 33), (33, 40, 1), (17, 1, 19), (16, 64, 32), (31, 255, 33),
        (13, 256, 47), (8, 257, 65), (5, 600, 3), (130, 31, 70),
    ],
)  # fmt: skip
def test_sizes(shape, dtype, semiring):
    m, k, n = shape
    A, B = random((m, k), dtype), random((k, n), dtype, 1)
    oracle.assert_product(semiring_matmul(A, B, semiring=semiring), A, B, semiring)


@algebra
@dtype
def test_reference_has_the_same_bits(dtype, semiring):
    A, B = random((37, 300), dtype), random((300, 29), dtype, 1)
    # "reproducible" classes may differ on machines without FMA, for REAL alone.
    reference = reference_semiring_matmul(A, B, semiring=semiring)
    if semiring == "real":
        oracle.assert_product(reference, A, B, semiring)
    else:
        np.testing.assert_array_equal(semiring_matmul(A, B, semiring=semiring), reference)


@algebra
@dtype
def test_empty_k_gives_the_identity(dtype, semiring):
    C = semiring_matmul(np.empty((3, 0), dtype), np.empty((0, 4), dtype), semiring=semiring)
    np.testing.assert_array_equal(C, np.full((3, 4), IDENTITY[semiring], dtype))
    assert C.dtype == dtype


@pytest.mark.parametrize(
    ("a", "b", "c"),
    [
        ((0, 3), (3, 4), (0, 4)), ((2, 3), (3, 0), (2, 0)), ((0, 0), (0, 0), (0, 0)),
        ((0, 2, 3), (3, 4), (0, 2, 4)), ((5, 1, 2, 3), (0, 3, 4), (5, 0, 2, 4)),
    ],
)  # fmt: skip
def test_zero_sizes(a, b, c):
    assert semiring_matmul(np.ones(a, np.float32), np.ones(b, np.float32)).shape == c


@algebra
@pytest.mark.parametrize(
    ("a", "b"),
    [((4,), ()), ((), (4,)), ((4,), (4,)), ((3, 1), (1, 2)), ((3, 1, 2), (4, 1)), ((1,), (5,)), ((2, 1, 1, 2), (3, 1))],
)
def test_leading_dimensions_broadcast(a, b, semiring):
    A, B = random((*a, 5, 6)), random((*b, 6, 7), seed=1)
    oracle.assert_product(semiring_matmul(A, B, semiring=semiring), A, B, semiring)


def layouts(shape, dtype=np.float32):
    """The same values in memory in every way that strides can say."""
    x = random(shape, dtype)
    padded = np.full((*shape[:-2], 2 * shape[-2] + 3, 3 * shape[-1] + 1), np.nan, dtype)
    padded[..., 1 : 2 * shape[-2] + 1 : 2, : 3 * shape[-1] : 3] = x
    yield "compact", x
    yield "transposed", np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)
    yield "Fortran", np.asfortranarray(x)
    yield "strided", padded[..., 1 : 2 * shape[-2] + 1 : 2, : 3 * shape[-1] : 3]
    yield "flipped rows", np.ascontiguousarray(x[..., ::-1, :])[..., ::-1, :]
    yield "flipped columns", np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    yield "flipped both", np.ascontiguousarray(x[..., ::-1, ::-1])[..., ::-1, ::-1]
    rows = np.empty((*shape[:-1], shape[-1] + 5), dtype)
    rows[..., : shape[-1]] = x
    yield "padded rows", rows[..., : shape[-1]]


@algebra
@dtype
@pytest.mark.filterwarnings("ignore::nitrix.NitrixBackendFallback")  # an operand may have to be packed, and say so
def test_strides_do_not_matter(dtype, semiring):
    expected = semiring_matmul(random((2, 19, 37), dtype), random((2, 37, 21), dtype), semiring=semiring)
    for a, A in layouts((2, 19, 37), dtype):
        for b, B in layouts((2, 37, 21), dtype):
            C = semiring_matmul(A, B, semiring=semiring)
            np.testing.assert_array_equal(C, expected, err_msg=f"A {a}, B {b}")


@algebra
@dtype
@pytest.mark.parametrize("transposed", [False, True])
def test_a_large_product_has_the_bits_of_its_parts(transposed, dtype, semiring):
    """Of arrays of 4 MiB and more, tiles ask memory for what they meet next, here up to the end of an array."""
    A, B = random((1100, 1030), dtype), random((1030, 1060), dtype, 1)
    A = np.asfortranarray(A) if transposed else A
    whole = semiring_matmul(A, B, semiring=semiring)
    for first in range(0, len(A), 100):
        part = slice(first, first + 100)
        np.testing.assert_array_equal(whole[part], semiring_matmul(A[part], B, semiring=semiring))


@pytest.mark.parametrize("semiring", ["real", "tropical_max_plus"])
@dtype
@pytest.mark.parametrize("shape", [(24, 24, 24), (33, 20, 17), (100, 40, 64)], ids=str)
def test_a_large_batch_of_small_products_has_the_bits_of_each(shape, dtype, semiring):
    """Of 4 MiB and more: tiles ask memory for items that come later, or do not, beyond the end."""
    m, k, n = shape
    items = 5_000_000 // (min(m * k, k * n, m * n) * np.dtype(dtype).itemsize)
    A, B = random((items, m, k), dtype), random((items, k, n), dtype, 1)
    some = [0, 1, items // 2, items - 2, items - 1]
    apart = np.zeros((items, m, k + 1), dtype)[..., :k]
    apart[:] = A
    for a, b in ((A, B), (A, B[:1]), (A[:1], B), (apart, B), (A, np.broadcast_to(B[0], B.shape))):
        whole = semiring_matmul(a, b, semiring=semiring)
        for i in some:
            one = semiring_matmul(a[min(i, len(a) - 1)], b[min(i, len(b) - 1)], semiring=semiring)
            np.testing.assert_array_equal(whole[i], one)
        np.testing.assert_array_equal(semiring_matmul(a, b, semiring=semiring, threads=2), whole)


@algebra
@dtype
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 7])
@pytest.mark.filterwarnings("ignore::nitrix.NitrixBackendFallback")
def test_few_columns(columns, dtype, semiring):
    # Vectors hold rows there: more and fewer of them than a tile, blocks of k and what is left of one. On every target.
    variants = [v["id"] for v in nitrix.info()["variants"]
                if v["op"] == "semiring_matmul" and v["runs_here"] and v["algebra"] == semiring
                and v["dtype"] == np.dtype(dtype).name and "/unpacked/" in v["id"]]  # fmt: skip
    assert variants
    for m, k in ((15, 40), (16, 31), (33, 257), (150, 273), (517, 15)):
        A, B = random((2, m, k), dtype), random((2, k, columns), dtype, 1)
        for variant in (None, *variants):
            expected = semiring_matmul(A, B, semiring=semiring, variant=variant)
            oracle.assert_product(expected, A, B, semiring)
            for name, a in layouts((2, m, k), dtype):
                for threads in (1, 2):
                    C = semiring_matmul(a, B, semiring=semiring, threads=threads, variant=variant)
                    np.testing.assert_array_equal(C, expected, err_msg=f"{variant} {name} {m} x {k}")


@dtype
@pytest.mark.parametrize("semiring", ["real", "tropical_max_plus", "euclidean"])
@pytest.mark.parametrize("k", [70, 1030])
def test_a_large_matrix_by_few_columns_has_the_bits_of_its_parts(k, semiring, dtype):
    """Of 16 MiB and more: memory is asked for how rows go on, and for those below, here up to the end of the matrix."""
    m = 17 * 2**20 // (k * np.dtype(dtype).itemsize)
    A = random((m, k), dtype)
    for columns in (1, 3):
        B = random((k, columns), dtype, 1)
        whole = semiring_matmul(A, B, semiring=semiring)
        for first in range(0, m, m // 5):
            part = slice(first, first + m // 5)
            np.testing.assert_array_equal(whole[part], semiring_matmul(A[part], B, semiring=semiring))


@dtype
@pytest.mark.parametrize("shape", [(300, 300, 1), (40, 300, 70), (33, 270, 128)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore::nitrix.NitrixBackendFallback")
def test_non_finite_values_wherever_operands_are_contiguous(dtype, shape, bad):
    m, k, n = shape
    A, B = random((m, k), dtype), random((k, n), dtype, 1)
    A[m // 2, k - 1] = bad
    B[k // 3, n - 1] = bad
    for semiring in ("tropical_max_plus", "tropical_min_plus", "log", "euclidean"):
        expected = reference_semiring_matmul(A, B, semiring=semiring)
        for a in (A, np.asfortranarray(A), A[:, ::-1].copy()[:, ::-1]):
            for b in (B, np.asfortranarray(B), B[:, ::-1].copy()[:, ::-1]):
                np.testing.assert_array_equal(semiring_matmul(a, b, semiring=semiring), expected)


@pytest.mark.filterwarnings("ignore::nitrix.NitrixBackendFallback")
def test_operands_of_stride_zero():
    A = np.broadcast_to(np.float32(3), (9, 8))
    B = np.broadcast_to(random((8, 1)), (8, 11))
    oracle.assert_product(semiring_matmul(A, B), A, B, "real")


@algebra
@pytest.mark.filterwarnings("ignore::nitrix.NitrixBackendFallback")
def test_out_may_have_any_strides(semiring):
    A, B = random((2, 19, 37)), random((2, 37, 21), seed=1)
    expected = semiring_matmul(A, B, semiring=semiring)
    for name, out in layouts((2, 19, 21)):
        assert semiring_matmul(A, B, semiring=semiring, out=out) is out
        np.testing.assert_array_equal(out, expected, err_msg=name)


def test_out_leaves_its_neighbours_alone():
    frame = np.full((8, 9), 7, np.float32)
    semiring_matmul(random((4, 3)), random((3, 5)), out=frame[2:6, 2:7])
    outside = np.ones((8, 9), bool)
    outside[2:6, 2:7] = False
    assert np.all(frame[outside] == 7)


def test_one_array_as_both_operands():
    A = random((23, 23))
    oracle.assert_product(semiring_matmul(A, A), A, A, "real")
    oracle.assert_product(semiring_matmul(A, A.T), A, A.T, "real")


@algebra
@dtype
def test_threads_do_not_change_a_bit(dtype, semiring):
    A, B = random((3, 150, 520), dtype), random((520, 140), dtype, 1)
    one = semiring_matmul(A, B, semiring=semiring, threads=1)
    for threads in (0, 2, 3, 8):
        np.testing.assert_array_equal(semiring_matmul(A, B, semiring=semiring, threads=threads), one)


@algebra
def test_every_way_to_name_a_semiring(semiring):
    A, B = random((3, 4)), random((4, 5), seed=1)
    by_name = semiring_matmul(A, B, semiring=semiring)
    np.testing.assert_array_equal(semiring_matmul(A, B, semiring=SEMIRINGS[semiring]), by_name)
    assert SEMIRINGS[semiring].identity == IDENTITY[semiring]
    assert SEMIRINGS[semiring].strict


def test_real_is_the_default():
    A, B = random((3, 4)), random((4, 5), seed=1)
    np.testing.assert_array_equal(semiring_matmul(A, B), semiring_matmul(A, B, semiring=REAL))


def test_boolean():
    if "boolean" not in SEMIRINGS:
        pytest.skip("this build has no BOOLEAN")
    A, B = random((21, 70)) > 1.5, random((70, 33), seed=1) > 1.5
    C = semiring_matmul(A, B, semiring="boolean")
    assert C.dtype == bool
    np.testing.assert_array_equal(C, np.matmul(A, B))
    C = semiring_matmul(A.view(np.uint8), B.view(np.uint8), semiring="boolean")
    assert C.dtype == np.uint8
    np.testing.assert_array_equal(C.astype(bool), np.matmul(A, B))


@st.composite
def operands(draw):
    dtype = draw(st.sampled_from(DTYPES))
    shapes = draw(hnp.mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", max_dims=3, min_side=0, max_side=5))
    # Products of these neither overflow nor underflow to zero, so one bound holds for every order of the sum.
    values = st.floats(-1e6, 1e6, width=32, allow_subnormal=False).map(lambda v: 0.0 if abs(v) < 1e-6 else v)
    arrays = []
    for shape in shapes.input_shapes:
        x = draw(hnp.arrays(dtype, shape, elements=values))
        index = tuple(draw(st.sampled_from([slice(None), slice(None, None, -1)])) for _ in shape)
        arrays.append(np.ascontiguousarray(x[index])[index])
        if draw(st.booleans()):
            arrays[-1] = np.asfortranarray(arrays[-1])
    return arrays, shapes.result_shape


@given(operands(), st.sampled_from(oracle.STRICT))
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore::nitrix.NitrixBackendFallback")
def test_agrees_with_numpy(drawn, semiring):
    (A, B), result_shape = drawn
    C = semiring_matmul(A, B, semiring=semiring)
    assert C.shape == result_shape
    oracle.assert_product(C, A, B, semiring)
