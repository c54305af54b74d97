"""float16 and bfloat16: float32's product of the widened operands, rounded once to nearest even, bit for bit."""

import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import nitrix
from nitrix.semiring import semiring_matmul, semiring_matmul_vjp

ALGEBRAS = ["real", "tropical_max_plus", "tropical_min_plus"]
KINDS = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]
TARGETS = sorted(
    v["target"]
    for v in nitrix.info()["variants"]
    if v["id"].startswith("semiring-matmul/real/f32/any") and v["runs_here"]
)


def expected(A, B, **options):
    with np.errstate(all="ignore"):
        return semiring_matmul(A.astype(np.float32), B.astype(np.float32), **options).astype(A.dtype)


def check(got, want):
    assert got.dtype == want.dtype
    nan = np.isnan(got.astype(np.float32))
    np.testing.assert_array_equal(nan, np.isnan(want.astype(np.float32)))
    np.testing.assert_array_equal(np.where(nan, 0, got.view(np.uint16)), np.where(nan, 0, want.view(np.uint16)))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("variant", [v["id"] for v in nitrix.info()["variants"]
                                     if v["op"] == "semiring_matmul" and v["dtype"] == "float32" and v["runs_here"]
                                     and v["algebra"] in ALGEBRAS])  # fmt: skip
def test_every_variant_on_widened_operands(kind, variant):
    semiring = variant.split("/")[1].replace("-", "_")
    rng = np.random.default_rng(1)
    ran = 0
    for m, k, n in ((1, 1, 1), (4, 4, 4), (7, 300, 5), (130, 33, 150), (3, 700, 300)):
        A, B = (rng.standard_normal(s).astype(kind) for s in ((m, k), (k, n)))
        try:
            got = semiring_matmul(A, B, semiring=semiring, variant=variant)
        except NotImplementedError:  # the variant's condition on shapes
            continue
        assert nitrix.last_variant() == variant
        check(got, expected(A, B, semiring=semiring, variant=variant))
        ran += 1
    assert ran


ALL = """
import sys, hashlib, ml_dtypes, numpy as np
from nitrix.semiring import semiring_matmul
for kind in (np.float16, ml_dtypes.bfloat16):
    every = np.arange(65536, dtype=np.uint16).view(kind)
    with np.errstate(all="ignore"):
        for other in np.array([1, -0.333, 6e-5, 300, 1.00390625], kind):
            got = semiring_matmul(every[:, None], other.reshape(1, 1))[:, 0]
            want = (np.float32(0) + every.astype(np.float32) * np.float32(other)).astype(kind)
            nan = np.isnan(want.astype(np.float32))
            assert (np.isnan(got.astype(np.float32)) == nan).all(), (kind, other)
            assert (got.view(np.uint16) == want.view(np.uint16))[~nan].all(), (kind, other)
"""


@pytest.mark.parametrize("target", TARGETS)
def test_every_number_on_every_target(target):
    """All 65,536 of them times some: subnormals, overflow, ties and NaN on both ways."""
    run = [sys.executable, "-c", ALL]
    environment = {**os.environ, "NITRIX_TARGET": target, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("semiring", ALGEBRAS)
def test_layouts_batches_threads_and_sizes_of_zero(kind, semiring):
    rng = np.random.default_rng(2)
    A, B = rng.standard_normal((2, 3, 20, 30)).astype(kind), rng.standard_normal((3, 30, 17)).astype(kind)
    want = expected(A, B, semiring=semiring)
    check(semiring_matmul(A, B, semiring=semiring, threads=2), want)
    flipped = np.ascontiguousarray(A.swapaxes(-1, -2)).swapaxes(-1, -2), np.asfortranarray(B)
    check(semiring_matmul(*flipped, semiring=semiring), want)
    out = np.zeros((2, 3, 20, 34), kind)[..., ::2]
    assert semiring_matmul(A, B, semiring=semiring, out=out) is out
    check(np.ascontiguousarray(out), want)
    check(semiring_matmul(A, B, semiring=semiring, mode="verify"), want)
    nothing = semiring_matmul(A[..., :0], B[:, :0], semiring=semiring)
    assert (nothing.astype(np.float32) == nitrix.semiring.SEMIRINGS[semiring].identity).all()
    assert semiring_matmul(A[..., :0, :], B, semiring=semiring).shape == (2, 3, 0, 17)


def test_accumulates_in_float32():
    A = np.full((1, 5000), 1 / 3, np.float16)
    assert semiring_matmul(A, A.T)[0, 0] == np.float16(5000 * float(A[0, 0]) ** 2)


def test_memory_is_three_float32_arrays_and_the_products():
    A = np.zeros((256, 256), np.float16)
    wide = nitrix.workspace_size(semiring_matmul, A.astype(np.float32), A.astype(np.float32), threads=1)
    size = nitrix.workspace_size(semiring_matmul, A, A, threads=1)
    assert 3 * 256 * 256 * 4 <= size <= wide + 3 * (256 * 256 * 4 + 256)
    assert nitrix.explain(semiring_matmul, A, A)["scratch_bytes"] >= 3 * 256 * 256 * 4


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_has_no_such_form_says_which_have(kind):
    A = np.zeros((2, 2), kind)
    for semiring in ("log", "euclidean", "boolean"):
        with pytest.raises(
            TypeError, match=rf"'{semiring}' has no {kind} form; with this dtype: real, tropical_max_plus, t"
        ):
            semiring_matmul(A, A, semiring=semiring)
    with pytest.raises(TypeError, match=rf"has no {kind} form; with this dtype: none"):
        semiring_matmul_vjp(A, A, A, A)
    with pytest.raises(TypeError, match=r"does not promote"):
        semiring_matmul(A, A.astype(np.float32))
