"""Aggregation over edges: by definition, by finite differences, and what is refused."""

import numpy as np
import pytest

from nitrix.semiring import (
    SEMIRINGS,
    semiring_ell_edge_mlp,
    semiring_ell_edge_mlp_vjp,
    semiring_ell_edge_reduce,
    semiring_ell_edge_reduce_vjp,
    semiring_matmul,
)
from nitrix.sparse import (
    ELL,
    Concatenation,
    Difference,
    Dot,
    EdgeAttribute,
    EdgeMLP,
    edge_mlp_vjp,
    ell_row_softmax,
    ell_row_softmax_vjp,
    semiring_ell_edge_aggregate,
)

FLOATS = [s for s in SEMIRINGS if s != "boolean"]
TROPICAL = ("tropical_max_plus", "tropical_min_plus")
algebra = pytest.mark.parametrize("semiring", FLOATS)
slope = pytest.mark.parametrize("slope", [0.0, 1.0, 0.25])


def random(shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def indices(shape, n, seed=0, padding=0.2):
    rng = np.random.default_rng([seed, *shape])
    return np.where(rng.random(shape) < padding, -1, rng.integers(0, n, shape)).astype(np.int32)


def reduced(edges, present, semiring):
    """(m, k, d) over k in float64."""
    e, live = edges.astype(np.float64), present[..., None]
    if semiring == "real":
        return np.where(live, e, 0).sum(1)
    if semiring == "euclidean":
        return np.sqrt(np.where(live, e**2, 0).sum(1))
    if semiring == "tropical_min_plus":
        return np.where(live, e, np.inf).min(1)
    top = np.where(live, e, -np.inf).max(1)
    if semiring == "tropical_max_plus":
        return top
    shift = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return np.log(np.where(live, np.exp(e - shift[:, None]), 0).sum(1)) + shift


def activated(x, slope):
    return np.where(x > 0, x, slope * x)


@algebra
@slope
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (9, 4, 6, 17), (40, 7, 30, 70), (3, 300, 5, 130)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reduce(shape, dtype, slope, semiring):
    m, k, n, d = shape
    own, source, at = random((m, d), dtype), random((n, d), dtype, 1), indices((m, k), n)
    got = semiring_ell_edge_reduce(own, source, at, np.asarray(slope, dtype), semiring=semiring)
    edges = activated(own[:, None] + source[np.maximum(at, 0)], dtype(slope))
    expected = reduced(edges, at >= 0, semiring)
    assert got.dtype == dtype
    tolerance = 0 if semiring in TROPICAL else 40 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * (k if semiring == "real" else 1))


@pytest.mark.parametrize("backend", ["auto", "naive"])
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0, -1.0])
@algebra
def test_nan_passes_every_activation(semiring, slope, backend):
    for dtype, d in ((np.float32, 70), (np.float64, 1)):
        own, source = np.ones((2, d), dtype), np.full((3, d), 2, dtype)
        at, flat = np.array([[0, 1], [1, -1]]), np.asarray(slope, dtype)
        for spoilt in (own, source):
            spoilt[0, -1] = np.nan
            y = semiring_ell_edge_reduce(own, source, at, flat, semiring=semiring, backend=backend)
            assert np.isnan(y[0, -1]) and np.isfinite(y[1]).all() and np.isfinite(y[0, :-1]).all()
            spoilt[0, -1] = 1
        source[2] = np.nan  # which no edge names
        assert np.isfinite(semiring_ell_edge_reduce(own, source, at, flat, semiring=semiring, backend=backend)).all()


@algebra
def test_one_answer(semiring):
    """Threads, backends, structures and strides: the same bits, forward and backward."""
    rng = np.random.default_rng(5)
    n = 6000
    number = rng.permutation(n)
    at = np.empty((n, 5), np.int32)
    at[number] = number[(np.arange(n)[:, None] + np.arange(5)) % n]
    at[::50, 1] = -1
    ell = ELL(np.empty(at.shape), at, n)
    own, source, flat = random((n, 40), np.float32), random((n, 40), np.float32, 1), np.zeros((), np.float32)
    dy = random((n, 40), np.float32, 2)
    y = semiring_ell_edge_reduce(own, source, at, flat, semiring=semiring, threads=1)
    one = semiring_ell_edge_reduce_vjp(own, source, at, flat, y, dy, semiring=semiring, threads=1)
    out = np.zeros((40, n), np.float32).T
    for i, options in [
        (at, {"threads": 2}),
        (ell.indices, {}),
        (ell.indices, {"backend": "naive"}),
        (at, {"out": out}),
    ]:
        np.testing.assert_array_equal(semiring_ell_edge_reduce(own, source, i, flat, semiring=semiring, **options), y)
        if "out" in options:
            options = {"out": (np.zeros((40, n), np.float32).T, np.zeros((40, n), np.float32).T)}
        gradients = semiring_ell_edge_reduce_vjp(own, source, i, flat, y, dy, semiring=semiring, **options)
        for a, b in zip(one, gradients, strict=True):
            np.testing.assert_array_equal(a, b)


@algebra
@slope
@pytest.mark.parametrize(
    ("a", "b"), [((6, 3), (5, 3)), ((30, 20), (25, 20)), ((2, 6, 3), (5, 3)), ((6, 3), (3, 5, 3))], ids=str
)
def test_finite_differences(a, b, slope, semiring):
    own, source, u, w = random(a), random(b, seed=1), random(a, seed=2), random(b, seed=3)
    at = indices((a[-2], 4), b[-2])
    flat = np.asarray(slope)
    y = semiring_ell_edge_reduce(own, source, at, flat, semiring=semiring)
    dy = np.where(np.isfinite(y), random(y.shape, seed=4), 0)
    down, dsource = semiring_ell_edge_reduce_vjp(own, source, at, flat, y, dy, semiring=semiring)
    assert down.shape == a and dsource.shape == b

    def loss(step):
        z = semiring_ell_edge_reduce(own + step * u, source + step * w, at, flat, semiring=semiring)
        return np.sum(dy * np.where(np.isfinite(z), z, 0))

    h = 1e-6  # below the distance of any edge from a kink
    slope_of_loss = (loss(h) - loss(-h)) / (2 * h)
    expected = np.sum(down * u) + np.sum(dsource * w)
    assert abs(slope_of_loss - expected) <= 1e-5 * (1 + abs(expected))


def graph(m=30, k=4, n=40, seed=0):
    at = indices((m, k), n, seed)
    at[3] = -1
    return ELL(np.ones((m, k)), at, n), at


@algebra
def test_edge_functions(semiring):
    ell, at = graph()
    x = random((40, 6))
    i, j = np.broadcast_to(x[:30, None], (30, 4, 6)), x[np.maximum(at, 0)]
    attributes = random((30, 4, 5), seed=7)
    W, bias, W2, bias2 = random((12, 8), seed=1), random((8,), seed=2), random((8, 3), seed=3), random((3,), seed=4)
    hidden = activated(np.concatenate([i, j - i], -1) @ W + bias, 0.1)
    cases = [
        (Difference(), j - i, None),
        (Concatenation(), np.concatenate([i, j], -1), None),
        (Dot(), (i * j).sum(-1, keepdims=True), None),
        (EdgeAttribute(), attributes, attributes),
        (EdgeMLP(W, bias, slope=0.1), hidden, None),
        (EdgeMLP(W, bias, 0.1, W2, bias2), hidden @ W2 + bias2, None),
    ]
    for function, edges, attr in cases:
        got = semiring_ell_edge_aggregate(function, ell, x, semiring=semiring, edge_attr=attr)
        expected = reduced(edges, at >= 0, semiring)
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10, err_msg=repr(function))
        assert (got[3] == SEMIRINGS[semiring].identity).all()


def mlp_by_parts(at, x, weight, bias, slope, semiring):
    """The layer from products of nodes, a sum in NumPy and the aggregation of edges."""
    d = x.shape[-1]
    own = semiring_matmul(x, weight[:d] - weight[d:])
    if bias is not None:
        own = own + bias
    return semiring_ell_edge_reduce(own[..., : at.shape[-2], :], semiring_matmul(x, weight[d:]), at, slope,
                                    semiring=semiring)  # fmt: skip


@algebra
@slope
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(
    "shape",
    # The last four: products of rows in tiles of 4, 3 and 2 vectors, and with weights too large for these.
    [
        (1, 1, 1, 1, 1),
        (9, 4, 12, 17, 5),
        (1300, 3, 1300, 8, 33),
        (600, 2, 1100, 300, 8),
        (5, 3, 7, 0, 4),
        (19, 4, 30, 260, 64),
        (19, 3, 21, 20, 96),
        (50, 2, 50, 20, 30),
        (13, 3, 13, 300, 500),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mlp_is_its_parts(dtype, shape, biased, slope, semiring):
    """The same bits, for fewer rows than nodes, rows without neighbours, several blocks of rows, any threads."""
    m, k, n, d, h = shape
    at = indices((m, k), n)
    at[m // 2] = -1
    x, weight, bias = random((n, d), dtype), random((2 * d, h), dtype, 1), random((h,), dtype) if biased else None
    arguments = x, weight, bias, np.asarray(slope, dtype)
    expected = mlp_by_parts(at, *arguments, semiring)
    out = np.full((h, m), np.nan, dtype).T
    for i, options in (
        (at, {"threads": 1}),
        (at.astype(np.int64), {"threads": 2}),
        (np.asfortranarray(at), {"backend": "naive"} if m < 20 else {}),
        (ELL(np.empty(at.shape), at, n).indices, {"out": out}),
        (at, {"mode": "verify"} if m < 20 else {"threads": 3}),
    ):
        got = semiring_ell_edge_mlp(i, *arguments, semiring=semiring, **options)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, expected, err_msg=str(options))
    strided = np.asfortranarray(x), np.asfortranarray(weight), None if bias is None else np.repeat(bias, 2)[::2]
    np.testing.assert_array_equal(semiring_ell_edge_mlp(at, *strided, arguments[3], semiring=semiring), expected)


@algebra
@slope
@pytest.mark.parametrize(
    "shape",
    [(9, 4, 12, 17, 5), (1100, 3, 1300, 8, 33), (700, 3, 700, 20, 33), (5, 3, 7, 0, 4), (6, 3, 6, 0, 4)],
    ids=str,
)
def test_mlp_gradients_are_those_of_its_parts(shape, slope, semiring):
    """The same bits: gradients of both ends of edges, products of these, for any threads."""
    m, k, n, d, h = shape
    at = indices((m, k), n)
    at[m // 2] = -1
    dtype = np.float32
    x, weight, bias, flat = random((n, d), dtype), random((2 * d, h), dtype, 1), random((h,), dtype), dtype(slope)[...]
    y = semiring_ell_edge_mlp(at, x, weight, bias, flat, semiring=semiring)
    dy = np.where(np.isfinite(y), random(y.shape, dtype, 2), 0).astype(dtype)
    upper, lower = weight[:d] - weight[d:], weight[d:]
    own, source = (semiring_matmul(x, upper) + bias)[:m], semiring_matmul(x, lower)
    down, dsource = semiring_ell_edge_reduce_vjp(own, source, at, flat, y, dy, semiring=semiring)
    dx = semiring_matmul(dsource, lower.T)
    dx[:m] += semiring_matmul(down, upper.T)
    first = semiring_matmul(x[:m].T, down)
    expected = (
        dx,
        np.concatenate([first, semiring_matmul(x.T, dsource) - first]),
        semiring_matmul(np.ones((1, m), dtype), down)[0],
    )
    arguments = x, weight, bias, flat, y, dy
    out = tuple(np.full(a.shape[::-1], np.nan, dtype).T for a in expected)
    for i, options in (
        (at, {"threads": 1}),
        (at.astype(np.int64), {"threads": 2}),
        (np.asfortranarray(at), {"backend": "naive"} if m < 20 else {"threads": 3}),
        (ELL(np.empty(at.shape), at, n).indices, {"out": out}),
    ):
        got = semiring_ell_edge_mlp_vjp(i, *arguments, semiring=semiring, **options)
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=str(options))


@algebra
def test_mlp_gradients_broadcast(semiring):
    """The gradient of an operand without a leading dimension is the sum over it."""
    at, x, weight = indices((3, 1, 6, 2), 7), random((2, 7, 5)), random((3, 1, 10, 4))
    bias, flat = random((4,)), np.asarray(0.5)
    y = semiring_ell_edge_mlp(at, x, weight, bias, flat, semiring=semiring)
    dy = np.where(np.isfinite(y), random(y.shape, seed=2), 0)
    got = semiring_ell_edge_mlp_vjp(at, x, weight, bias, flat, y, dy, semiring=semiring)
    expected = tuple(np.zeros(a.shape) for a in (x, weight, bias))
    for i, j in np.ndindex(3, 2):
        one = semiring_ell_edge_mlp_vjp(at[i, 0], x[j], weight[i, 0], bias, flat, y[i, j], dy[i, j], semiring=semiring)
        for to, part in zip((expected[0][j], expected[1][i, 0], expected[2]), one, strict=True):
            to += part
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    none = semiring_ell_edge_mlp_vjp(at[0, 0, :, :0], x[0], weight[0, 0], bias, flat, y[0, 0], dy[0, 0])
    assert not any(a.any() for a in none)


@algebra
def test_mlp_of_numbers_that_are_not_finite(semiring):
    at = np.array([[0, 1], [1, 2], [2, -5], [-1, -1]])
    x, weight, bias, flat = np.ones((5, 3)), random((6, 4)), random((4,)), np.zeros(())
    identity = SEMIRINGS[semiring].identity
    for odd in (np.nan, np.inf, -np.inf):
        x[0] = 1
        x[4] = odd  # which no edge names
        whole = semiring_ell_edge_mlp(at, x, weight, bias, flat, semiring=semiring)
        assert np.isfinite(whole[:3]).all() and (whole[3] == identity).all()
        x[0, 1] = odd
        got = semiring_ell_edge_mlp(at, x, weight, bias, flat, semiring=semiring)
        np.testing.assert_array_equal(got, mlp_by_parts(at, x, weight, bias, flat, semiring))
        np.testing.assert_array_equal(got[1:], whole[1:])
        assert not np.isnan(odd) or np.isnan(got[0]).all()


@algebra
def test_mlp_broadcasts(semiring):
    """Leading dimensions of each argument: the same as one item after the other."""
    at, x, weight = indices((3, 1, 6, 2), 7), random((2, 7, 5)), random((3, 1, 10, 4))
    bias, flat = random((2, 4)), np.array([[0.0], [0.5], [1.0]])
    got = semiring_ell_edge_mlp(at, x, weight, bias, flat, semiring=semiring)
    assert got.shape == (3, 2, 6, 4)
    for i, j in np.ndindex(3, 2):
        one = semiring_ell_edge_mlp(at[i, 0], x[j], weight[i, 0], bias[j], flat[i, 0, ...], semiring=semiring)
        np.testing.assert_array_equal(got[i, j], one)
    # One product for all graphs, whose slopes decide how a tropical algebra chooses.
    slopes = np.array([[0.5], [-0.5], [0.0]])
    for b in (None, bias[0]):
        shared = semiring_ell_edge_mlp(at, x[0], weight[0, 0], b, slopes, semiring=semiring)
        for i in range(3):
            one = semiring_ell_edge_mlp(at[i, 0], x[0], weight[0, 0], b, slopes[i, 0, ...], semiring=semiring)
            np.testing.assert_array_equal(shared[i, 0], one)
    empty = semiring_ell_edge_mlp(at[0, 0, :, :0], x[0], weight[0, 0], bias[0], flat[0, 0, ...], semiring=semiring)
    assert (empty == SEMIRINGS[semiring].identity).all()
    assert semiring_ell_edge_mlp(at[0, 0, :0], x[0], weight[0, 0], None, flat[0, 0, ...]).shape == (0, 4)


def test_mlp_refuses_before_it_writes():
    at, x, weight, bias, flat = indices((4, 2), 6), random((6, 3)), random((6, 5)), random((5,)), np.zeros(())
    for arguments, message in (
        ((at, x, weight[:5], bias, flat), r"'weight': has 5 rows, must have 6: two for each of the 3 features of x"),
        ((at, x[:3], weight, bias, flat), r"must be below 3|has 4 rows, x has 3: each row must be a node"),
        ((np.where(at < 0, 9, at), x, weight, bias, flat), r"must be below 6"),
        ((at, x, weight, bias[:4], flat), r"bias has shape \(4,\), so h = 4, but weight has h = 5"),
    ):
        out = np.full((4, 5), 7.0)
        with pytest.raises(ValueError, match=message):
            semiring_ell_edge_mlp(*arguments, out=out)
        assert (out == 7).all()
    y, gradients = np.zeros((4, 5)), tuple(np.full(a.shape, 7.0) for a in (x, weight[:5], bias))
    with pytest.raises(ValueError, match=r"'weight': has 5 rows, must have 6"):
        semiring_ell_edge_mlp_vjp(at, x, weight[:5], bias, flat, y, y, out=gradients)
    assert all((a == 7).all() for a in gradients)
    with pytest.raises(TypeError, match="'boolean': an edge's value is a number"):
        semiring_ell_edge_mlp(at, x, weight, bias, flat, semiring="boolean")
    with pytest.raises(TypeError, match="float32"):
        semiring_ell_edge_mlp(at, x, weight.astype(np.float32), bias, flat)


@algebra
def test_results_go_where_out_says(semiring):
    ell, _ = graph()
    x, attributes = random((40, 6)), random((30, 4, 5), seed=7)
    W, bias, W2 = random((12, 8), seed=1), random((8,), seed=2), random((8, 3), seed=3)
    functions = (Difference(), Concatenation(), Dot(), EdgeAttribute(), EdgeMLP(W, bias), EdgeMLP(W, bias, 0.1, W2),
                 EdgeMLP(W, activation="gelu"))  # fmt: skip
    for function in functions:
        options = {"semiring": semiring, "edge_attr": attributes}
        expected = semiring_ell_edge_aggregate(function, ell, x, **options)
        out = np.full((*expected.shape[:-1], 2 * expected.shape[-1]), np.nan)[..., ::2]
        assert semiring_ell_edge_aggregate(function, ell, x, out=out, **options) is out
        np.testing.assert_array_equal(out, expected, err_msg=repr(function))
        with pytest.raises((ValueError, TypeError), match="out "):
            semiring_ell_edge_aggregate(function, ell, x, out=out[1:], **options)
        with pytest.raises((ValueError, TypeError), match="out "):
            semiring_ell_edge_aggregate(function, ell, x, out=out.astype(np.float32), **options)


def gelu(x):
    return 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))


@algebra
def test_gelu(semiring):
    ell, at = graph(m=40)
    x, W, bias, W2 = random((40, 6)), random((12, 8), seed=1), random((8,), seed=2), random((8, 3), seed=3)
    i, j = np.broadcast_to(x[:, None], (40, 4, 6)), x[np.maximum(at, 0)]
    hidden = gelu(np.concatenate([i, j - i], -1) @ W + bias)
    for mlp, edges in (
        (EdgeMLP(W, bias, activation="gelu"), hidden),
        (EdgeMLP(W, bias, weight2=W2, activation="gelu"), hidden @ W2),
    ):
        got = semiring_ell_edge_aggregate(mlp, ell, x, semiring=semiring)
        np.testing.assert_allclose(got, reduced(edges, at >= 0, semiring), rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match="activation is 'selu', must be 'relu' or 'gelu'"):
        semiring_ell_edge_aggregate(EdgeMLP(W, activation="selu"), ell, x, semiring=semiring)


@algebra
@pytest.mark.parametrize("rows", [40, 30])
@pytest.mark.parametrize(
    "options",
    [{}, {"slope": 0.1}, {"slope": -0.5}, {"activation": "gelu"}, {"layers": 2}, {"layers": 2, "activation": "gelu"}],
    ids=str,
)
def test_gradient_of_the_edge_mlp(options, rows, semiring):
    ell, _ = graph(m=rows)
    options = dict(options)
    parameters = {"x": random((40, 6)), "weight": random((12, 8), seed=1), "bias": random((8,), seed=2)}
    if options.pop("layers", 1) == 2:
        parameters |= {"weight2": random((8, 3), seed=7), "bias2": random((3,), seed=8)}

    def mlp(x, **weights):
        return EdgeMLP(**weights, **options)

    def forward(parameters):
        return semiring_ell_edge_aggregate(mlp(**parameters), ell, parameters["x"], semiring=semiring)

    y = forward(parameters)
    dy = np.where(np.isfinite(y), random(y.shape, seed=3), 0)
    gradients = edge_mlp_vjp(mlp(**parameters), ell, parameters["x"], y, dy, semiring=semiring)
    assert gradients.keys() == parameters.keys()
    h = 1e-6
    for seed, name in enumerate(parameters, 10):
        direction = random(parameters[name].shape, seed=seed)

        def loss(step, name=name, direction=direction):
            z = forward({**parameters, name: parameters[name] + step * direction})
            return np.sum(dy * np.where(np.isfinite(z), z, 0))

        expected, slope_of_loss = np.sum(gradients[name] * direction), (loss(h) - loss(-h)) / (2 * h)
        assert abs(slope_of_loss - expected) <= 1e-5 * (1 + abs(expected)), name


@algebra
@pytest.mark.parametrize("graphs", [(), (2,), (3, 1)], ids=str)
def test_edge_functions_broadcast(graphs, semiring):
    """Leading dimensions of the features and of the graph: the same as one item after the other."""
    n, k, d = 20, 4, 6
    at = indices((*graphs, n, k), n)
    ell = ELL(np.ones(at.shape), at, n)
    x, lead = random((3, 2, n, d)), (3, 2)
    W, bias, W2, bias2 = random((12, 8), seed=1), random((8,), seed=2), random((8, 3), seed=3), random((3,), seed=4)
    each = np.broadcast_to(at, (*lead, n, k))
    functions = [Difference(), Concatenation(), Dot(), EdgeMLP(W, bias), EdgeMLP(W, None, 0.1, W2, bias2)]
    for function in functions:
        got = semiring_ell_edge_aggregate(function, ell, x, semiring=semiring)
        assert got.shape[:-1] == (*lead, n)
        total = {}
        dy = np.where(np.isfinite(got), random(got.shape, seed=5), 0)
        for item in np.ndindex(lead):
            one = ELL(np.ones((n, k)), each[item], n)
            expected = semiring_ell_edge_aggregate(function, one, x[item], semiring=semiring)
            np.testing.assert_array_equal(got[item], expected, err_msg=repr(function))
            if isinstance(function, EdgeMLP):
                for name, g in edge_mlp_vjp(function, one, x[item], expected, dy[item], semiring=semiring).items():
                    total[name] = total[name] + [g] if name in total else [g]
        if isinstance(function, EdgeMLP):
            gradients = edge_mlp_vjp(function, ell, x, got, dy, semiring=semiring)
            for name, g in gradients.items():
                expected = np.reshape(total[name], x.shape) if name == "x" else np.sum(total[name], axis=0)
                np.testing.assert_allclose(g, expected, rtol=1e-10, atol=1e-10, err_msg=name)
    shared = semiring_ell_edge_aggregate(functions[3], ell, x[0, 0], semiring=semiring)
    assert shared.shape == (*graphs, n, 8)


def test_what_has_no_compiled_form_is_refused():
    ell, _ = graph()
    x = random((40, 3))
    with pytest.raises(TypeError, match="an edge function yields numbers, which are no truth values"):
        semiring_ell_edge_aggregate(Difference(), ell, x, semiring="boolean")
    with pytest.raises(TypeError, match="'boolean': an edge's value is a number"):
        semiring_ell_edge_reduce(x, x, np.zeros((40, 1), int), np.zeros(()), semiring="boolean")
    with pytest.raises(NotImplementedError, match=r"no compiled form of .*there are Difference\(\)"):
        semiring_ell_edge_aggregate(lambda i, j: i * j, ell, x)
    with pytest.raises(ValueError, match=r"x has shape \(39, 3\), must be \(40, d\)"):
        semiring_ell_edge_aggregate(Difference(), ell, x[:39])
    with pytest.raises(ValueError, match="needs edge_attr"):
        semiring_ell_edge_aggregate(EdgeAttribute(), ell, x)
    with pytest.raises(ValueError, match=r"weight has shape \(5, 2\)"):
        semiring_ell_edge_aggregate(EdgeMLP(np.ones((5, 2))), ell, x)


def test_row_softmax_and_its_gradient():
    at = np.array([[0, 2, -1], [-1, -1, -1], [1, 1, 0]])
    ell = ELL(np.array([[1.0, 5, 1], [1, 1, 1], [1, 0, 2]]), at, 3, identity=0.0)
    scores = random((2, 3, 3))
    scores[0, 0, 2] = np.nan  # beside padding
    got = ell_row_softmax(scores, ell)
    assert (got[:, 1] == 0).all() and (got[:, 0, 2] == 0).all() and (got[:, 2, 1] == 0).all()
    np.testing.assert_allclose(got.sum(-1), [[1, 0, 1]] * 2)
    np.testing.assert_allclose(got[:, 0, 0], 1 / (1 + np.exp(scores[:, 0, 1] - scores[:, 0, 0])))
    scores[0, 0, 2] = 0
    g, u, h = random(scores.shape, seed=1), random(scores.shape, seed=2), 1e-5
    slope_of_loss = np.sum(g * (ell_row_softmax(scores + h * u, ell) - ell_row_softmax(scores - h * u, ell))) / (2 * h)
    gradient = ell_row_softmax_vjp(ell_row_softmax(scores, ell), g)
    np.testing.assert_allclose(np.sum(gradient * u), slope_of_loss, rtol=1e-8)


def test_graph_attention_from_these_parts():
    """GAT: scores of the two ends, a softmax over each row, a product with the softmax as values."""
    from nitrix.semiring import semiring_ell_matmul

    ell, at = graph(m=40)
    x, left, right = random((40, 6)), random((6,), seed=1), random((6,), seed=2)
    scores = activated((x @ left)[:, None] + (x @ right)[np.maximum(at, 0)], 0.2)
    attention = ell_row_softmax(scores, ell)
    got = semiring_ell_matmul(attention, ell.indices, x)
    weights = np.where(at >= 0, np.exp(scores), 0)
    total = weights.sum(1, keepdims=True)
    expected = np.einsum("ik,ikd->id", np.divide(weights, total, out=np.zeros_like(weights), where=total > 0),
                         x[np.maximum(at, 0)])  # fmt: skip
    np.testing.assert_allclose(got, expected, atol=1e-12)
