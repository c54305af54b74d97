"""semiring_conv_vjp against finite differences and by definition: options, ranks, broadcast, ties, special values."""

import numpy as np
import pytest
from processes import output_of

import nitrix
from golden.references import conv_gradient
from nitrix.semiring import SEMIRINGS, semiring_conv, semiring_conv_vjp

SMOOTH = ["real", "log", "euclidean"]
TROPICAL = ["tropical_max_plus", "tropical_min_plus"]

CASES = [
    # x without channels, window, c_in, c_out, stride, padding, dilation
    ((17,), (3,), 1, 1, 1, "SAME", 1),
    ((40,), (5,), 3, 20, 2, "SAME", 3),
    ((33,), (4,), 2, 5, 3, "VALID", 2),
    ((29,), (4,), 2, 3, 4, "SAME", 6),
    ((12, 37), (3, 3), 1, 1, 1, "SAME", 1),
    ((9, 25), (5, 7), 1, 1, (2, 1), [(0, 3), (4, 1)], (1, 2)),
    ((11, 13), (3, 2), 5, 18, (2, 3), "SAME", (1, 2)),
    ((8, 9), (3, 3), 2, 3, 1, [(3, 0), (0, 5)], 1),
    ((8, 9), (2, 2), 2, 3, 5, [(1, 9), (0, 12)], 1),
    ((6, 6), (1, 1), 7, 20, 1, "SAME", 1),
    ((6, 7), (1, 1), 3, 2, 2, "VALID", 1),
    ((4, 5, 21), (3, 3, 3), 1, 1, 1, "SAME", 1),
    ((4, 6, 7), (2, 3, 4), 3, 4, (1, 2, 1), "VALID", (2, 1, 1)),
    ((3, 4), (5, 6), 1, 1, 1, "VALID", 1),
    ((1, 1), (3, 3), 2, 2, 1, "SAME", 1),
    ((270,), (3,), 1, 1, 1, "SAME", 1),
    ((1, 1), (2, 3), 1, 3, (1, 2), [(2, 5), (5, 0)], (1, 2)),  # no tap reaches the only position
    ((1, 13), (1, 1), 1, 1, (3, 1), [(1, 0), (4, 1)], 2),
]


def by_definition(x, k, y, dy, semiring, stride, padding, dilation):
    """Term by term in long double, for arrays without leading dimensions."""
    inputs = {"x": x, "k": k, "y": y, "dy": dy, "padding": np.array(padding)}
    for name, value in (("stride", stride), ("dilation", dilation)):
        inputs[name] = np.broadcast_to(value, k.ndim - 2)
    with np.errstate(invalid="ignore"):
        gradients, _ = conv_gradient.compute(semiring, inputs)
    return gradients["dx"], gradients["dk"]


def draw(shape, dtype, seed):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("semiring", SMOOTH + TROPICAL)
def test_is_the_definition(semiring, dtype, case):
    size, window, c_in, c_out, stride, padding, dilation = case
    x, k = draw((*size, c_in), dtype, 1), draw((*window, c_in, c_out), dtype, 2)
    options = {"semiring": semiring, "stride": stride, "padding": padding, "dilation": dilation}
    y = semiring_conv(x, k, **options)
    dy = draw(y.shape, dtype, 3)
    out = (np.full_like(x, np.nan), np.full_like(k, np.nan))
    got = semiring_conv_vjp(x, k, y, dy, **options, out=out)
    expected = by_definition(x, k, y, dy, semiring, stride, padding, dilation)
    for mine, theirs, like in zip(got, expected, (x, k), strict=True):
        assert mine.shape == like.shape and mine.dtype == like.dtype
        scale = 1 + np.abs(theirs).max(initial=0)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=300 * np.finfo(dtype).eps * scale)


@pytest.mark.parametrize("semiring", SMOOTH + TROPICAL)
@pytest.mark.parametrize("case", [c for c in CASES if np.prod(c[0]) < 60], ids=str)
def test_finite_differences(semiring, case):
    size, window, c_in, c_out, stride, padding, dilation = case
    x, k = draw((*size, c_in), "float64", 4), draw((*window, c_in, c_out), "float64", 5)
    options = {"semiring": semiring, "stride": stride, "padding": padding, "dilation": dilation}
    y = semiring_conv(x, k, **options)
    dy = draw(y.shape, "float64", 6)
    dx, dk = semiring_conv_vjp(x, k, y, dy, **options)
    rng, step = np.random.default_rng(7), 1e-6
    for _ in range(3):
        along_x, along_k = rng.standard_normal(x.shape), rng.standard_normal(k.shape)
        ahead = semiring_conv(x + step * along_x, k + step * along_k, **options)
        behind = semiring_conv(x - step * along_x, k - step * along_k, **options)
        with np.errstate(invalid="ignore"):
            slope = np.where(np.isfinite(y), (ahead - behind) / (2 * step), 0)  # -inf: an output that reads nothing
        expected = (slope * dy).sum()
        np.testing.assert_allclose((dx * along_x).sum() + (dk * along_k).sum(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("semiring", SMOOTH + TROPICAL)
def test_broadcast_operands_sum_over_the_broadcast(semiring):
    x, k = draw((2, 1, 7, 9, 2), "float64", 8), draw((3, 3, 3, 2, 4), "float64", 9)
    options = {"semiring": semiring, "spatial_rank": 2}
    y = semiring_conv(x, k, **options)
    assert y.shape == (2, 3, 7, 9, 4)
    dy = draw(y.shape, "float64", 10)
    dx, dk = semiring_conv_vjp(x, k, y, dy, **options)
    sum_x, sum_k = np.zeros_like(x), np.zeros_like(k)
    for i, j in np.ndindex(2, 3):
        one = semiring_conv_vjp(x[i, 0], k[j], y[i, j], dy[i, j], semiring=semiring)
        sum_x[i, 0] += one[0]
        sum_k[j] += one[1]
    np.testing.assert_allclose(dx, sum_x, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dk, sum_k, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("target", "rounding"), [
    (t["name"], t["rounding"]) for t in nitrix.info()["targets"] if t["runs_here"] and t["name"] != "naive_unfused"
])  # fmt: skip
def test_every_target_has_the_bits_of_its_rounding_class(target, rounding):
    code = (
        "import hashlib, numpy as np\n"
        "from nitrix.semiring import semiring_conv, semiring_conv_vjp\n"
        "r = np.random.RandomState(0)\n"
        "total = hashlib.sha256()\n"
        f"smooth = {SMOOTH if rounding == 'fused' else []}\n"
        f"for semiring in [*smooth, *{TROPICAL}]:\n"
        "    for dtype in (np.float32, np.float64):\n"
        "        for c, o in ((1, 1), (3, 21)):\n"
        "            x, k = (r.uniform(-1, 1, s).astype(dtype) for s in ((9, 37, c), (3, 5, c, o)))\n"
        "            y = semiring_conv(x, k, semiring=semiring, backend='naive')\n"
        "            dy = r.random_sample(y.shape).astype(dtype)\n"
        "            for g in semiring_conv_vjp(x, k, y, dy, semiring=semiring):\n"
        "                total.update(g.tobytes())\n"
        "print(total.hexdigest())\n"
    )
    assert output_of(code, {"NITRIX_TARGET": target}) == output_of(
        code, {"NITRIX_BACKEND": "naive", "NITRIX_SILENCE_FALLBACK": "1"}
    )


@pytest.mark.parametrize("semiring", SMOOTH + TROPICAL)
@pytest.mark.parametrize("c", [1, 3])
def test_any_strides_and_threads_give_the_same_bits(semiring, c):
    options = {"semiring": semiring, "stride": (1, 2) if c > 1 else 1}
    x, k = draw((12, 40, c), "float32", 11), draw((3, 5, c, c), "float32", 12)
    y = semiring_conv(x, k, **options)
    dy = draw(y.shape, "float32", 13)
    expected = semiring_conv_vjp(x, k, y, dy, **options, threads=1)
    spread = [np.asfortranarray(a) for a in (x, k, y, dy)]
    out = (np.empty((40, 12, c), "float32").swapaxes(0, 1), np.empty((*k.shape[:2], c, 2 * c), "float32")[..., ::2])
    for arrays, more in (((x, k, y, dy), {"threads": 2}), (spread, {}), (spread, {"out": out})):
        for mine, theirs in zip(semiring_conv_vjp(*arrays, **options, **more), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("semiring", SMOOTH + TROPICAL)
@pytest.mark.parametrize("shape", [(3, 70, 5), (17, 2, 130), (33, 65, 16)])
def test_channels_with_a_kernel_each_may_lie_side_by_side(semiring, shape):
    rng = np.random.default_rng(11)
    x, k = rng.normal(size=shape).astype("f"), rng.normal(size=(3, 3, shape[-1])).astype("f")

    def planes(a):  # the channels first, without a copy
        return np.moveaxis(a, -1, 0)[..., None]

    options = {"semiring": semiring, "spatial_rank": 2}
    apart = [np.ascontiguousarray(planes(x)), np.ascontiguousarray(planes(k)[..., None])]
    y = semiring_conv(*apart, **options)
    dy = rng.normal(size=y.shape).astype("f")
    expected = semiring_conv_vjp(*apart, y, dy, **options)
    beside = [np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0) for a in (y, dy)]
    out = planes(np.empty_like(x)), planes(np.empty_like(k))[..., None]
    got = semiring_conv_vjp(planes(x), planes(k)[..., None], *beside, **options, out=out)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("semiring", TROPICAL)
@pytest.mark.parametrize("c", [1, 2])
def test_ties_go_to_the_first_term_and_dead_outputs_pass_nothing(semiring, c):
    dead = SEMIRINGS[semiring].identity
    x, k = np.zeros((5, 6, c), "float32"), np.zeros((3, 3, c, c), "float32")
    x[3:] = dead
    y = semiring_conv(x, k, semiring=semiring, padding="VALID")
    dy = np.ones_like(y)
    dx, dk = semiring_conv_vjp(x, k, y, dy, semiring=semiring, padding="VALID")
    expected = by_definition(x, k, y, dy, semiring, 1, "VALID", 1)
    np.testing.assert_array_equal(dx, expected[0])
    np.testing.assert_array_equal(dk, expected[1])
    assert dk[0, 0, 0].sum() == dy.size  # the first tap and channel wins everywhere
    x[:] = dead
    y = semiring_conv(x, k, semiring=semiring)
    assert not any(g.any() for g in semiring_conv_vjp(x, k, y, np.ones_like(y), semiring=semiring))


def test_log_with_dead_inputs_and_large_magnitudes():
    x, k = draw((6, 8, 2), "float64", 14) * 1e4, draw((3, 3, 2, 3), "float64", 15) * 1e4
    x[2:5, 1:6] = -np.inf
    y = semiring_conv(x, k, semiring="log")
    dy = draw(y.shape, "float64", 16)
    got = semiring_conv_vjp(x, k, y, dy, semiring="log")
    for mine, theirs in zip(got, by_definition(x, k, y, dy, "log", 1, "SAME", 1), strict=True):
        assert np.isfinite(mine).all()
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("c", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spread", [20, 70, 1000])  # exponentials of the whole image, of none
def test_log_is_the_definition_whether_exponentials_underflow_or_not(spread, dtype, c):
    x, k = draw((9, 11, c), dtype, 21) * spread / 2, draw((3, 3, c, 2 * c), dtype, 22)
    x[3:5, 2:9] = -np.inf
    y = semiring_conv(x, k, semiring="log")
    dy = draw(y.shape, dtype, 23)
    got = semiring_conv_vjp(x, k, y, dy, semiring="log")
    for mine, theirs in zip(got, by_definition(x, k, y, dy, "log", 1, "SAME", 1), strict=True):
        # The rounding of y, and of what it is subtracted from, is part of the exponent.
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=20 * spread * np.finfo(dtype).eps)


@pytest.mark.parametrize("leading", [((2, 1), (3,)), ((3,), (2, 1)), ((), (2,))])
def test_log_shifts_every_item_by_its_own_largest_value(leading):
    x, k = draw((*leading[0], 6, 7, 2), "float64", 24), draw((*leading[1], 3, 3, 2, 3), "float64", 25)
    x += 300 * np.arange(x.size // 84).reshape(*leading[0], 1, 1, 1)  # so that one shift for all would not do
    options = {"semiring": "log", "spatial_rank": 2}
    y = semiring_conv(x, k, **options)
    dy = draw(y.shape, "float64", 26)
    dx, dk = semiring_conv_vjp(x, k, y, dy, **options)
    all_x, all_k = (np.broadcast_to(a, (*y.shape[:-3], *a.shape[-n:])) for a, n in ((x, 3), (k, 4)))
    sum_x, sum_k = np.zeros(all_x.shape), np.zeros(all_k.shape)
    for at in np.ndindex(*y.shape[:-3]):
        sum_x[at], sum_k[at] = by_definition(all_x[at], all_k[at], y[at], dy[at], "log", 1, "SAME", 1)
    for mine, theirs in ((dx, sum_x), (dk, sum_k)):
        summed = tuple(
            d for d in range(y.ndim - 3)
            if d < theirs.ndim - mine.ndim or mine.shape[d - theirs.ndim + mine.ndim] == 1
        )  # fmt: skip
        np.testing.assert_allclose(mine, theirs.sum(axis=summed).reshape(mine.shape), rtol=0, atol=1e-10)


@pytest.mark.parametrize("spread", [1, 1000])
def test_log_lets_nan_and_infinities_reach_what_reads_them(spread):
    x, k = draw((7, 30, 2), "float32", 27) * spread, draw((3, 3, 2, 2), "float32", 28)
    x[2, 5, 1] = np.nan
    y = semiring_conv(x, k, semiring="log")
    dx, dk = semiring_conv_vjp(x, k, y, np.ones_like(y), semiring="log")
    assert np.isnan(dk).all() and np.isnan(dx[0:5, 3:8]).all()
    assert np.isfinite(dx[5:]).all() and np.isfinite(dx[:, :3]).all() and np.isfinite(dx[:, 8:]).all()


def test_euclidean_passes_nothing_at_distance_zero():
    x, k = np.ones((4, 5, 1), "float32"), np.ones((2, 2, 1, 1), "float32")
    y = semiring_conv(x, k, semiring="euclidean", padding="VALID")
    assert not y.any()
    assert not any(g.any() for g in semiring_conv_vjp(x, k, y, np.ones_like(y), semiring="euclidean", padding="VALID"))


def test_empty_arrays():
    for shape, window in (((0, 4, 2), (2, 2, 2, 3)), ((4, 4, 0), (2, 2, 0, 3)), ((4, 4, 2), (2, 2, 2, 0))):
        x, k = np.zeros(shape), np.ones(window)
        y = semiring_conv(x, k, padding=[(1, 1), (1, 1)])
        dx, dk = semiring_conv_vjp(x, k, y, np.ones_like(y), padding=[(1, 1), (1, 1)])
        assert dx.shape == x.shape and dk.shape == k.shape and not dk.any()


def test_errors_name_the_argument():
    x, k = np.zeros((5, 6, 2), "float32"), np.zeros((3, 3, 2, 4), "float32")
    y = semiring_conv(x, k)
    with pytest.raises(ValueError, match=r"argument 'dy'.*'out2' must be 6"):
        semiring_conv_vjp(x, k, y, y[:, :5])
    with pytest.raises(ValueError, match="must be"):
        semiring_conv_vjp(x, k, y, y, stride=2)
    with pytest.raises(TypeError, match="no gradient"):
        semiring_conv_vjp(x > 0, k > 0, y > 0, y > 0, semiring="boolean")
