"""semiring_conv against brute force, SciPy and itself: options, ranks, degenerate shapes, errors, special values."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

import nitrix
from nitrix.semiring import SEMIRINGS, reference_semiring_conv, semiring_conv

ROUNDED = ["real", "euclidean", "log"]
TROPICAL = ["tropical_max_plus", "tropical_min_plus"]
SERVED = [n for n in ("real", *TROPICAL, "euclidean", "boolean", "log") if n in {
    v["algebra"] for v in nitrix.info()["variants"] if v["op"] == "semiring_conv"
}]  # fmt: skip


def same_padding(size, reach, stride):
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def brute_force(x, k, semiring, stride, padding, dilation):
    """By definition, for arrays without leading dimensions: float64 for REAL and EUCLIDEAN, else the dtype of x."""
    rank = k.ndim - 2
    if padding in ("SAME", "VALID"):
        reaches = [(k.shape[a] - 1) * dilation[a] + 1 for a in range(rank)]
        padding = [
            same_padding(x.shape[a], reaches[a], stride[a]) if padding == "SAME" else (0, 0) for a in range(rank)
        ]
    size = [
        max((x.shape[a] + sum(padding[a]) - (k.shape[a] - 1) * dilation[a] - 1) // stride[a] + 1, 0)
        if x.shape[a] + sum(padding[a]) >= (k.shape[a] - 1) * dilation[a] + 1 else 0
        for a in range(rank)
    ]  # fmt: skip
    wide = semiring in ROUNDED
    start = 0.0 if semiring in ("real", "euclidean") else SEMIRINGS[semiring].identity
    y = np.full((*size, k.shape[-1]), start, np.float64 if wide else x.dtype)
    for p in np.ndindex(*size):
        for q in np.ndindex(*k.shape[:rank]):
            at = tuple(p[a] * stride[a] + q[a] * dilation[a] - padding[a][0] for a in range(rank))
            if any(i < 0 or i >= x.shape[a] for a, i in enumerate(at)):
                continue
            left, right = x[at][:, None].astype(y.dtype), k[q].astype(y.dtype)
            if semiring == "real":
                y[p] += (left * right).sum(axis=0)
            elif semiring == "euclidean":
                y[p] += ((left - right) ** 2).sum(axis=0)
            elif semiring == "log":
                y[p] = np.logaddexp(y[p], np.logaddexp.reduce(left + right, axis=0, initial=-np.inf))
            elif semiring == "boolean":
                y[p] |= (left & right).any(axis=0)
            else:
                y[p] = (np.maximum if semiring == "tropical_max_plus" else np.minimum)(
                    y[p], (np.max if semiring == "tropical_max_plus" else np.min)(
                        left + right, axis=0, initial=SEMIRINGS[semiring].identity))  # fmt: skip
    return np.sqrt(y) if semiring == "euclidean" else y


def check(x, k, semiring, stride, padding, dilation):
    got = semiring_conv(x, k, semiring=semiring, stride=stride, padding=padding, dilation=dilation)
    rank = k.ndim - 2
    one = lambda v: (v,) * rank if isinstance(v, int) else v  # noqa: E731
    expected = brute_force(x, k, semiring, one(stride), padding, one(dilation))
    assert got.shape == expected.shape and got.dtype == x.dtype
    if semiring in ROUNDED:
        np.testing.assert_allclose(
            got,
            expected,
            rtol=0,
            atol=64
            * np.finfo(x.dtype).eps
            * (1 + np.abs(expected, where=np.isfinite(expected), out=np.zeros(expected.shape)).max(initial=0)),
        )
    else:
        np.testing.assert_array_equal(got, expected)
    reference = reference_semiring_conv(x, k, semiring=semiring, stride=stride, padding=padding, dilation=dilation)
    if nitrix.last_variant() != "none" and not (semiring in ROUNDED and _served_unfused()):
        assert got.tobytes() == reference.tobytes()


def _served_unfused():
    targets = {t["name"]: t["rounding"] for t in nitrix.info()["targets"] if t["runs_here"]}
    return "avx2" not in targets and "avx512" not in targets


def draw(shape, dtype, seed):
    values = np.random.default_rng(seed).uniform(-1, 1, shape)
    return values > 0.5 if dtype == "bool" else values.astype(dtype)


CASES = [
    # x without channels, window, c_in, c_out, stride, padding, dilation
    ((17,), (3,), 1, 1, 1, "SAME", 1),
    ((40,), (5,), 3, 20, 2, "SAME", 3),
    ((33,), (4,), 2, 5, (3,), "VALID", 2),
    ((12, 37), (3, 3), 1, 1, 1, "SAME", 1),
    ((9, 70), (5, 7), 1, 1, (2, 1), [(0, 3), (4, 1)], (1, 2)),
    ((11, 23), (3, 2), 5, 33, (2, 3), "SAME", (1, 2)),
    ((6, 30), (3, 3), 300, 3, 1, "SAME", 1),
    ((14, 14), (1, 1), 7, 40, 1, "SAME", 1),
    ((5, 9, 21), (3, 3, 3), 1, 1, 1, "SAME", 1),
    ((4, 6, 13), (2, 3, 4), 3, 4, (1, 2, 1), "VALID", (2, 1, 1)),
    ((8, 9, 20), (7, 7, 7), 1, 1, 1, "SAME", 1),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("semiring", SERVED)
def test_is_the_definition(semiring, dtype, case):
    size, window, c_in, c_out, stride, padding, dilation = case
    if semiring == "boolean":
        dtype = "bool"
    check(draw((*size, c_in), dtype, 1), draw((*window, c_in, c_out), dtype, 2), semiring, stride, padding, dilation)


@pytest.mark.parametrize("semiring", SERVED)
@pytest.mark.parametrize("channels", [(1, 1), (2, 3)])
@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "dilation"),
    [
        ((1, 1), (1, 1), 1, "SAME", 1),
        ((1, 1), (3, 3), 1, "SAME", 1),
        ((1, 1), (4, 4), 1, "SAME", 1),
        ((2, 3), (5, 7), 1, "SAME", 1),
        ((2, 3), (5, 7), 1, "VALID", 1),
        ((2, 3), (5, 7), 1, [(4, 4), (4, 4)], 1),
        ((4, 5), (2, 2), 9, "SAME", 1),
        ((4, 5), (2, 2), 9, "VALID", 1),
        ((4, 5), (2, 2), (1, 2**31 - 1), "VALID", 1),
        ((3, 3), (2, 2), 1, "SAME", 50),
        ((3, 3), (1, 1), 1, [(5, 5), (40, 40)], 1),
        ((0, 4), (2, 2), 1, "SAME", 1),
        ((0, 4), (2, 2), 1, [(2, 2), (2, 2)], 1),
    ],
)
def test_degenerate_shapes_have_an_answer(semiring, channels, size, window, stride, padding, dilation):
    dtype = "bool" if semiring == "boolean" else "float32"
    c_in, c_out = channels
    check(draw((*size, c_in), dtype, 3), draw((*window, c_in, c_out), dtype, 4), semiring, stride, padding, dilation)


@pytest.mark.parametrize("semiring", SERVED)
def test_no_channels_give_the_identity(semiring):
    dtype = "bool" if semiring == "boolean" else "float64"
    y = semiring_conv(np.zeros((4, 5, 0), dtype), np.zeros((3, 3, 0, 2), dtype), semiring=semiring)
    np.testing.assert_array_equal(y, np.full((4, 5, 2), SEMIRINGS[semiring].identity).astype(dtype))
    y = semiring_conv(np.zeros((4, 5, 2), dtype), np.zeros((3, 3, 2, 0), dtype), semiring=semiring)
    assert y.shape == (4, 5, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [(9, 70), (6, 11, 40), (31,)])
def test_grey_dilation_and_erosion_are_scipys(dtype, size):
    image = draw(size, dtype, 5)
    structure = draw((3,) * len(size), dtype, 6)
    flat = np.zeros_like(structure)
    full = (slice(None, None, -1),) * len(size)
    for k in (structure, flat):
        # SciPy's dilation reflects the structure; its constant mode with the identity is nothing at all.
        y = semiring_conv(image[..., None], k[full][..., None, None], semiring="tropical_max_plus")[..., 0]
        expected = ndimage.grey_dilation(image, structure=k, mode="constant", cval=-np.inf)
        np.testing.assert_array_equal(y, expected)
        y = semiring_conv(image[..., None], -k[..., None, None], semiring="tropical_min_plus")[..., 0]
        expected = ndimage.grey_erosion(image, structure=k, mode="constant", cval=np.inf)
        np.testing.assert_array_equal(y, expected)


def test_real_is_scipys_correlation():
    image, k = draw((20, 30), "float64", 7), draw((5, 3), "float64", 8)
    y = semiring_conv(image[..., None], k[..., None, None])[..., 0]
    np.testing.assert_allclose(y, ndimage.correlate(image, k, mode="constant"), rtol=0, atol=1e-13)


@pytest.mark.parametrize("semiring", SERVED)
def test_leading_dimensions_broadcast_and_depthwise_is_one_of_them(semiring):
    dtype = "bool" if semiring == "boolean" else "float32"
    image, k = draw((2, 10, 12, 5), dtype, 9), draw((3, 3, 5), dtype, 10)
    x = np.moveaxis(image, -1, 1)[..., None]  # (2, channel, h, w, 1), a view
    y = semiring_conv(x, np.moveaxis(k, -1, 0)[..., None, None], semiring=semiring, spatial_rank=2)
    assert y.shape == (2, 5, 10, 12, 1)
    for n, c in itertools.product(range(2), range(5)):
        one = semiring_conv(np.ascontiguousarray(image[n, ..., c, None]), k[..., c, None, None], semiring=semiring)
        assert y[n, c].tobytes() == one.tobytes()


@pytest.mark.parametrize("c_out", [1, 3])
def test_strided_input_and_output(c_out):
    x, k = draw((2, 9, 40, c_out), "float32", 11), draw((3, 3, c_out, c_out), "float32", 12)
    expected = semiring_conv(x, k, spatial_rank=2)
    views = [np.asfortranarray(x), x[:, ::-1].copy()[:, ::-1], np.repeat(x, 2, axis=2)[:, :, ::2]]
    for view in views:
        assert semiring_conv(view, k, spatial_rank=2).tobytes() == expected.tobytes()
    out = np.zeros((2, 9, 80, c_out), "float32")[:, :, ::2]
    assert semiring_conv(x, k, spatial_rank=2, out=out) is out
    np.testing.assert_array_equal(out, expected)
    out = np.zeros(expected.shape, "float32", order="F")
    np.testing.assert_array_equal(semiring_conv(x, k, spatial_rank=2, out=out), expected)


@pytest.mark.parametrize("semiring", TROPICAL)
@pytest.mark.parametrize("channels", [(1, 1), (3, 4)])
def test_nan_reaches_exactly_what_reads_it(semiring, channels):
    c_in, c_out = channels
    x, k = draw((9, 40, c_in), "float32", 13), draw((3, 5, c_in, c_out), "float32", 14)
    x[2, 7, 0] = x[8, 39, c_in - 1] = np.nan
    x[4, 4, 0] = -np.inf if semiring == "tropical_max_plus" else np.inf
    k_inf = k.copy()
    k_inf[1, 2, 0, 0] = -x[4, 4, 0]
    y = semiring_conv(x, k_inf, semiring=semiring)
    reads = ndimage.maximum_filter(np.isnan(x).any(axis=-1), size=(3, 5), mode="constant", cval=False)
    np.testing.assert_array_equal(np.isnan(y), np.repeat(reads[..., None], c_out, axis=-1))
    # A NaN in the first tap touches the outputs whose first tap is inside, and no others.
    k[0, 0, 0, 0] = np.nan
    y = semiring_conv(draw((9, 40, c_in), "float32", 15), k, semiring=semiring)
    assert np.isnan(y[1:, 2:, 0]).all() and not np.isnan(y[0]).any() and not np.isnan(y[:, :2]).any()
    assert not np.isnan(y[..., 1:]).any()


@pytest.mark.parametrize("channels", [(1, 1), (3, 4)])
def test_padding_is_skipped_and_no_zero(channels):
    c_in, c_out = channels
    x, k = np.ones((6, 20, c_in), "float32"), np.ones((3, 3, c_in, c_out), "float32")
    k[0] = np.inf  # 0 * inf would be NaN
    y = semiring_conv(x, k)
    assert (y[1:] == np.inf).all() and np.isfinite(y[0]).all()


@pytest.mark.parametrize("semiring", SERVED)
@pytest.mark.parametrize(
    "shapes", [((5, 33, 50, 1), (3, 5, 5, 1, 1)), ((40, 60, 7), (3, 3, 7, 20)), ((3000, 4), (9, 4, 8))]
)
def test_threads_do_not_change_bits(semiring, shapes):
    dtype = "bool" if semiring == "boolean" else "float32"
    x, k = draw(shapes[0], dtype, 16), draw(shapes[1], dtype, 17)
    one = semiring_conv(x, k, semiring=semiring, threads=1)
    assert one.tobytes() == semiring_conv(x, k, semiring=semiring, threads=4).tobytes()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"stride": 0}, "argument 'stride': is 0, must be at least 1"),
        ({"stride": (1, 2, 3)}, "argument 'stride': has 3 entries, must have 1 or 2"),
        ({"dilation": -1}, "argument 'dilation': is -1, must be at least 1"),
        ({"dilation": 2**31}, "argument 'dilation'"),
        ({"padding": "FULL"}, "argument 'padding': got 'FULL', must be one of SAME, VALID"),
        ({"padding": [(1, 1)]}, "argument 'pads': has 2 entries, must have 4"),
        ({"padding": [(1, 1, 1), (1, 1)]}, "must be a pair"),
        ({"padding": [(-1, 1), (1, 1)]}, "argument 'pads': is -1, must be at least 0"),
        ({"spatial_rank": 4}, "argument 'spatial_rank': is 4, must be from 0 to 3"),
        ({"spatial_rank": 3}, r"argument .x.: has shape .*must have at least 4 dimensions"),
    ],
)
def test_wrong_options_say_what_to_write(keywords, message):
    x, k = np.zeros((5, 6, 2), "float32"), np.zeros((3, 3, 2, 4), "float32")
    with pytest.raises(ValueError, match=message):
        semiring_conv(x, k, **keywords)


def test_wrong_shapes_say_what_is_wrong():
    x = np.zeros((5, 6, 2), "float32")
    with pytest.raises(ValueError, match=r"argument 'k': has shape .*its dimension 'c_in' must be 2 as in arg"):
        semiring_conv(x, np.zeros((3, 3, 3, 4), "float32"))
    with pytest.raises(ValueError, match="must have 1 to 3 spatial dimensions"):
        semiring_conv(x, np.zeros((3, 3), "float32"))
    with pytest.raises(ValueError, match="its spatial dimensions must be at least 1"):
        semiring_conv(x, np.zeros((0, 3, 2, 4), "float32"))
    with pytest.raises(TypeError, match="float64"):
        semiring_conv(x, np.zeros((3, 3, 2, 4)))
    with pytest.raises(ValueError, match="result has shape"):
        semiring_conv(x, np.zeros((3, 3, 2, 4), "float32"), out=np.zeros((5, 6, 3), "float32"))


def test_explain_and_workspace_size_take_the_same_options():
    x, k = np.zeros((5, 6, 2), "float32"), np.zeros((3, 3, 2, 4), "float32")
    answer = nitrix.explain(semiring_conv, x, k, padding=[(1, 1), (0, 0)], stride=2)
    assert answer["chosen"].startswith("semiring-conv/real/f32/narrow/")
    assert nitrix.workspace_size(semiring_conv, x, k, padding="VALID") >= 0


def served(op):
    """How many calls each variant of an op has served."""
    return sum(n for name, n in nitrix.counters().items() if name.startswith(f"{op}/"))


POINTWISE = [
    # x, leading dimensions of k, c_in, c_out, stride, padding
    ((14, 14, 7), (), 7, 40, 1, "SAME"),
    ((2, 3, 9, 21, 300), (), 300, 20, (2, 3), "VALID"),
    ((3, 9, 21, 5), (3,), 5, 6, 2, "SAME"),
    ((2, 3, 9, 21, 5), (3,), 5, 17, (1, 2), "SAME"),
    ((2, 1, 9, 21, 5), (3,), 5, 1, 1, "VALID"),
    ((40, 3), (), 3, 4, 3, "SAME"),
]


@pytest.mark.parametrize("case", POINTWISE, ids=str)
@pytest.mark.parametrize("semiring", SERVED)
def test_a_window_of_one_tap_is_a_product_with_the_same_bits(semiring, case):
    shape, lead, c_in, c_out, stride, padding = case
    dtype, rank = "bool" if semiring == "boolean" else "float32", 2 if len(shape) > 2 else 1
    x, k = draw(shape, dtype, 20), draw((*lead, *(1,) * rank, c_in, c_out), dtype, 21)
    options = {"semiring": semiring, "stride": stride, "padding": padding, "spatial_rank": rank}
    products = ("semiring-matmul", "semiring-matmul-bits")  # of bytes, of words of truth values
    before = sum(map(served, products))
    y = semiring_conv(x, k, **options)
    assert (sum(map(served, products)) > before) == (semiring != "log")
    assert y.tobytes() == reference_semiring_conv(x, k, **options).tobytes() or _served_unfused()
    # An output whose channels are not next to each other is made in compact memory.
    out = np.empty(y.shape, dtype, order="F")
    assert semiring_conv(x, k, **options, out=out).tobytes() == y.tobytes()
    assert semiring_conv(np.asfortranarray(x), k, **options).tobytes() == y.tobytes()


def test_a_window_of_one_tap_with_padding_is_none():
    x, k = draw((5, 6, 3), "float32", 22), draw((1, 1, 3, 4), "float32", 23)
    before = served("semiring-matmul")
    y = semiring_conv(x, k, padding=[(1, 0), (0, 2)])
    assert served("semiring-matmul") == before and y.shape == (6, 8, 4) and not y[0].any()


DEPTHWISE = [
    # spatial, window, channels, stride, padding, dilation
    ((30,), (5,), 16, 2, "SAME", 3),
    ((9, 40), (3, 3), 33, 1, "SAME", 1),
    ((11, 23), (3, 2), 70, (2, 3), [(0, 3), (4, 1)], (1, 2)),
    ((5, 6), (20, 20), 20, 1, "SAME", 1),
    ((4, 6, 13), (3, 3, 3), 17, (1, 2, 1), "VALID", 1),
]


@pytest.mark.parametrize("case", DEPTHWISE, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("semiring", SERVED)
def test_channels_with_a_kernel_each_have_the_same_bits_as_one_by_one(semiring, dtype, case):
    size, window, n, stride, padding, dilation = case
    dtype = "bool" if semiring == "boolean" else dtype
    image, kernel = draw((2, *size, n), dtype, 24), draw((*window, n), dtype, 25)
    if semiring in TROPICAL:
        image[0, 0, ..., 3], kernel[..., 5].flat[0] = np.nan, np.nan
    x, k = np.moveaxis(image, -1, 1)[..., None], np.moveaxis(kernel, -1, 0)[..., None, None]
    options = {"semiring": semiring, "stride": stride, "padding": padding, "dilation": dilation}
    options["spatial_rank"] = len(size)
    expected = reference_semiring_conv(x, k, **options)
    before = served("semiring-conv-depthwise")
    y = semiring_conv(x, k, **options)
    assert served("semiring-conv-depthwise") == before + 1
    assert y.shape == expected.shape and np.moveaxis(y[..., 0], 1, -1).flags.c_contiguous  # as x lies
    assert y.tobytes() == expected.tobytes() or (semiring in ROUNDED and _served_unfused())
    for k_of_all in (k[:1], k[0]):  # one kernel for all channels
        y, one = (f(x, k_of_all, **options) for f in (semiring_conv, reference_semiring_conv))
        assert y.tobytes() == one.tobytes() or (semiring in ROUNDED and _served_unfused())
    out = np.empty(expected.shape, dtype)  # channel by channel: another form
    assert semiring_conv(x, k, **options, out=out).tobytes() == expected.tobytes() or _served_unfused()
    one, four = (semiring_conv(x, k, **options, threads=t) for t in (1, 4))
    assert one.tobytes() == four.tobytes()
