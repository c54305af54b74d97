"""What Python adds: errors that name the argument, DLPack, warnings, the GIL, and the questions one can ask."""

import ast
import copy
import ctypes
import gc
import inspect
import json
import os
import pickle
import pydoc
import subprocess
import sys
import threading
import time
import types
import warnings
from pathlib import Path

import numpy as np
import oracle
import pytest

import nitrix
from nitrix import _nitrix
from nitrix._ops import OPS
from nitrix.semiring import REAL, SEMIRINGS, Semiring, reference_semiring_matmul, semiring_matmul

A = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.arange(12, dtype=np.float32).reshape(3, 4) - 5
C = A @ B

# ---- Errors ---------------------------------------------------------------------------------------------------------


def readonly(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def unaligned_stride(x):
    record = np.zeros(x.shape, np.dtype([("value", x.dtype), ("tag", np.uint8)]))
    record["value"] = x
    return record["value"]


@pytest.mark.parametrize(
    ("a", "b", "keywords", "error", "words"),
    [
        ([[1.0]], B, {}, TypeError, ["A is of type list", "numpy.asarray"]),
        (A, 3, {}, TypeError, ["B is of type int", "numpy.asarray"]),
        (A, None, {}, TypeError, ["B is of type NoneType"]),
        (A, "abc", {}, TypeError, ["B is of type str"]),
        (A.astype(int), B.astype(int), {}, TypeError, ["int64", "convert it", "A.astype(numpy.float32)"]),
        (A, B.astype(np.float64), {}, TypeError, ["B is float64", "A is float32", "convert"]),
        (A.astype(np.complex64), B.astype(np.complex64), {}, TypeError, []),
        (A.astype(object), B, {}, TypeError, ["A has dtype object"]),
        (A.astype("S3"), B, {}, TypeError, ["A has dtype |S3"]),
        (A.astype(">f4"), B, {}, TypeError, ["A has dtype >f4", "newbyteorder"]),
        (np.ma.masked_array(A), B, {}, TypeError, ["A is a masked array", "filled"]),
        (unaligned_stride(A), B, {}, ValueError, ["A has a stride of 15 bytes", "ascontiguousarray(A)"]),
        (A[0], B, {}, ValueError, ["A has shape (3,)", "2 dimensions", "(m,k),(k,n)->(m,n)"]),
        (A, np.float32(2)[...], {}, ValueError, ["B has shape ()"]),
        (A, B[:2], {}, ValueError, ["B has shape (2, 4)", "k = 2", "A has k = 3"]),
        (np.stack([A] * 2), np.stack([B] * 3), {}, ValueError, ["leading dimensions of B, (3,)", "(2,)"]),
        (A, B, {"semiring": "rael"}, ValueError, ["'rael'", "real", "tropical_max_plus"]),
        (A, B, {"semiring": 3}, TypeError, ["semiring", "int"]),
        (A, B, {"semiring": Semiring("mine", True, 0.0, 0.0)}, ValueError, ["'mine'", "real"]),
        (A, B, {"backend": "gpu"}, ValueError, ["gpu", "cpu", "naive"]),
        (A, B, {"backend": 3}, TypeError, ["backend", "int"]),
        (A, B, {"mode": "fast"}, ValueError, ["mode", "'verify'", "'fast'"]),
        (A, B, {"variant": "no-such-variant"}, ValueError, ["no-such-variant"]),
        (A, B, {"threads": -1}, ValueError, ["threads", "-1"]),
        (A, B, {"threads": 2**40}, ValueError, ["threads"]),
        (A, B, {"threads": 1.0}, TypeError, ["threads", "float"]),
        (A, B, {"out": [[0.0] * 4] * 2}, TypeError, ["out is of type list"]),
        (A, B, {"out": np.empty((4, 2), np.float32)}, ValueError, ["out has shape (4, 2)", "(2, 4)"]),
        (A, B, {"out": np.empty((1, 2, 4), np.float32)}, ValueError, ["out has shape (1, 2, 4)"]),
        (A, B, {"out": np.empty((2, 4))}, TypeError, ["out is float64", "float32"]),
        (A, B, {"out": readonly(C)}, ValueError, ["out is read-only"]),
    ],
)
def test_errors_name_the_argument(a, b, keywords, error, words):
    with pytest.raises(error) as caught:
        semiring_matmul(a, b, **keywords)
    for word in words:
        assert word in str(caught.value)


def test_unknown_algebra_attribute_lists_the_known_ones():
    with pytest.raises(AttributeError, match="REAL"):
        nitrix.semiring.REEL  # noqa: B018


def test_out_that_overlaps_an_input_is_refused_untouched():
    x = np.arange(32, dtype=np.float32).reshape(8, 4)
    before = x.copy()
    with pytest.raises(ValueError, match="overlap"):
        semiring_matmul(x[:4], np.eye(4, dtype=np.float32), out=x[2:6])
    np.testing.assert_array_equal(x, before)


def test_a_failing_call_leaves_no_reference():
    gc.collect()  # what earlier tests left would otherwise go while this one counts
    before = sys.getrefcount(A), sys.getrefcount(B)
    for _ in range(50):
        with pytest.raises(TypeError):
            semiring_matmul(A, B.astype(np.float64))
        with pytest.raises(ValueError, match="B has"):
            semiring_matmul(B, A)
        semiring_matmul(A, B)
    assert (sys.getrefcount(A), sys.getrefcount(B)) == before


def test_misaligned_data_gives_the_product_or_an_error():
    raw = np.zeros(A.nbytes + 1, np.uint8)[1:]
    misaligned = raw.view(np.float32).reshape(A.shape)
    misaligned[...] = A
    try:
        result = semiring_matmul(misaligned, B)
    except ValueError as error:
        assert "A" in str(error)
    else:
        np.testing.assert_array_equal(result, C)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_ndarray_subclasses_give_arrays():
    result = semiring_matmul(np.asmatrix(A), B)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, C)


# ---- DLPack ---------------------------------------------------------------------------------------------------------

# A small array library, as an importable module: it says what its arrays are, and counts its exports.
fake = types.ModuleType("fake_arrays")
sys.modules["fake_arrays"] = fake


class FakeArray:
    """Speaks DLPack as NumPy does, or as libraries did before versions (old=True)."""

    __module__ = "fake_arrays.core"  # from_dlpack is in its parent

    def __init__(self, array, *, old=False, copies=False):
        self.array, self.old, self.copies = array, old, copies

    def __dlpack__(self, **keywords):
        if self.old:
            if keywords:
                raise TypeError("__dlpack__() got an unexpected keyword argument")
            return self.array.__dlpack__()
        return self.array.__dlpack__(**keywords, copy=self.copies or None)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def _fake_from_dlpack(x):
    return FakeArray(np.from_dlpack(x))


fake.from_dlpack = _fake_from_dlpack


@pytest.mark.parametrize("old", [False, True])
def test_dlpack_in_and_out(old):
    result = semiring_matmul(FakeArray(A, old=old), FakeArray(B.T.copy().T, old=old))
    assert type(result) is FakeArray
    np.testing.assert_array_equal(result.array, C)


def test_the_result_is_of_the_first_operands_kind():
    assert type(semiring_matmul(FakeArray(A), B)) is FakeArray
    assert type(semiring_matmul(A, FakeArray(B))) is np.ndarray


@pytest.mark.parametrize("old", [False, True])
def test_dlpack_strides_and_offsets(old):
    a = FakeArray(np.stack([A, A + 1, A - 1])[::-1, :, ::-1], old=old)
    result = semiring_matmul(a, FakeArray(B[:, 1::2], old=old))
    np.testing.assert_array_equal(result.array, a.array @ B[:, 1::2])


@pytest.mark.parametrize("old", [False, True])
def test_dlpack_out(old):
    out = FakeArray(np.zeros((2, 8), np.float32)[:, ::2], old=old)
    assert semiring_matmul(A, B, out=out) is out
    np.testing.assert_array_equal(out.array, C)


def test_dlpack_read_only_flag():
    with pytest.raises(ValueError, match="out is read-only"):
        semiring_matmul(A, B, out=FakeArray(readonly(C)))
    result = semiring_matmul(FakeArray(readonly(A)), FakeArray(readonly(B)))
    np.testing.assert_array_equal(result.array, C)


def test_dlpack_out_that_would_write_to_a_copy():
    with pytest.raises(ValueError, match=r"out .* copy"):
        semiring_matmul(A, B, out=FakeArray(np.zeros((2, 4), np.float32), copies=True))


def test_dlpack_mixed_dtypes():
    with pytest.raises(TypeError, match="B is float64 but A is float32"):
        semiring_matmul(FakeArray(A), FakeArray(B.astype(np.float64)))


class Refuses(FakeArray):
    def __dlpack__(self, **keywords):
        raise BufferError("cannot export")


class NoCapsule(FakeArray):
    def __dlpack__(self, **keywords):
        return 3


def test_what_a_producer_raises_says_which_argument():
    with pytest.raises(BufferError, match="cannot export") as caught:
        semiring_matmul(A, Refuses(B))
    assert "argument B of semiring_matmul" in "".join(caught.value.__notes__)
    with pytest.raises(TypeError, match=r"B .* no DLPack capsule"):
        semiring_matmul(A, NoCapsule(B))


class ManagedTensor(ctypes.Structure):
    """An unversioned DLManagedTensor, to say what NumPy would not."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    ]


class Handmade:
    """A float32 tensor described field by field: NULL strides, a byte offset, any device."""

    def __init__(self, array, *, byte_offset=0, device_type=1, ndim=None, lanes=1):
        self.array = array
        self.shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        ndim = array.ndim if ndim is None else ndim
        self.tensor = ManagedTensor(
            array.ctypes.data - byte_offset, device_type, 0, ndim, 2, 32, lanes, self.shape, None, byte_offset
        )

    def __dlpack__(self):
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(self.tensor), b"dltensor", None)


def test_dlpack_null_strides_and_byte_offset():
    raw = np.concatenate([np.full(3, 99, np.float32), A.ravel()])
    a = Handmade(raw[3:].reshape(2, 3), byte_offset=12)
    np.testing.assert_array_equal(semiring_matmul(a, B), C)


def test_dlpack_pinned_memory_is_memory():
    np.testing.assert_array_equal(semiring_matmul(Handmade(A, device_type=3), B), C)


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"device_type": 2}, TypeError, "B .* not in CPU memory"),
        ({"ndim": 65}, ValueError, "B has 65 dimensions"),
        ({"ndim": -1}, ValueError, "B has -1 dimensions"),
        ({"lanes": 4}, TypeError, "B is DLPack dtype .*lanes 4"),
    ],
)
def test_dlpack_descriptors_that_nitrix_refuses(keywords, error, words):
    with pytest.raises(error, match=words):
        semiring_matmul(A, Handmade(B, **keywords))


def test_torch():
    torch = pytest.importorskip("torch")
    a, b = torch.from_numpy(A), torch.from_numpy(B)
    result = semiring_matmul(a, b)
    assert type(result) is torch.Tensor
    assert torch.equal(result, a @ b)
    out = torch.zeros(4, 2).t()
    assert semiring_matmul(a, b, out=out) is out
    assert torch.equal(out, a @ b)


def test_jax():
    jax = pytest.importorskip("jax")
    a, b = jax.numpy.asarray(A), jax.numpy.asarray(B)
    result = semiring_matmul(a, b)
    assert isinstance(result, jax.Array)
    np.testing.assert_array_equal(result, C)


# ---- Plain calls, which go to their op without Python's function -----------------------------------------------------


def test_a_plain_call_and_pythons_function_are_one():
    plain, python = semiring_matmul, semiring_matmul.__wrapped__
    tropical, out = SEMIRINGS["tropical_min_plus"], np.empty_like(C)
    for keywords in ({}, {"semiring": tropical}, {"threads": 1}, {"semiring": tropical, "threads": 2, "out": out}):
        expected = python(A, B, **keywords).copy()
        out[:] = 0
        result = plain(A, B, **keywords)
        np.testing.assert_array_equal(result, expected)
        assert (result is out) == ("out" in keywords)
    for keywords in ({"semiring": "tropical_min_plus"}, {"mode": "off"}, {"backend": "naive", "semiring": tropical}):
        np.testing.assert_array_equal(plain(A, B, **keywords), python(A, B, **keywords))
    np.testing.assert_array_equal(plain(B=B, A=A), C)


@pytest.mark.parametrize(
    ("arrays", "keywords"),
    [((A,), {}), ((A, B, C), {}), ((A, B), {"other": 1}), ((A, B), {"semiring": 3}), ((A, B), {"semiring": "x"}),
     ((A, B), {"threads": "x"}), ((A, B), {"out": 3}), ((A, B), {"A": A}), ((A, 3), {}), ((A, A), {})],
    ids=str,
)  # fmt: skip
def test_a_plain_call_has_the_errors_of_pythons_function(arrays, keywords):
    with pytest.raises((TypeError, ValueError)) as python:
        semiring_matmul.__wrapped__(*arrays, **keywords)
    with pytest.raises(type(python.value)) as plain:
        semiring_matmul(*arrays, **keywords)
    assert str(plain.value) == str(python.value)


def test_a_semiring_of_another_build_is_refused():
    with pytest.raises(ValueError, match="got 'other', must be one of"):
        semiring_matmul(A, B, semiring=Semiring("other", True, 0.0, 0.0))


def test_a_plain_call_goes_for_a_function():
    assert inspect.isroutine(semiring_matmul)
    assert list(inspect.signature(semiring_matmul).parameters)[:3] == ["A", "B", "semiring"]
    assert (semiring_matmul.__module__, semiring_matmul.__name__) == ("nitrix.semiring", "semiring_matmul")
    assert "Matrix product" in pydoc.render_doc(semiring_matmul)
    assert pickle.loads(pickle.dumps(semiring_matmul)) is semiring_matmul
    assert copy.deepcopy(semiring_matmul) is semiring_matmul

    class Matrix(np.ndarray):
        times = semiring_matmul

    np.testing.assert_array_equal(A.view(Matrix).times(B), C)


def test_a_direct_call_is_of_an_op_with_a_semiring_alone():
    with pytest.raises(ValueError, match="semiring_conv: its attributes must be its semiring alone"):
        _nitrix.Direct(OPS["semiring_conv"], REAL)


# ---- Warnings -------------------------------------------------------------------------------------------------------

targets = {target["name"] for target in nitrix.info()["targets"]}
no_cuda = pytest.mark.skipif("cuda" in targets, reason="asking for CUDA falls back only without it")


def fresh(n, dtype=np.float32):
    """Operands of a shape that no other test uses, since a warning comes once per shape and process."""
    return np.ones((n, 2), dtype), np.ones((2, 3), dtype)


@no_cuda
def test_a_fallback_warns_once_per_kind_of_call():
    a, b = fresh(1001)
    with pytest.warns(nitrix.NitrixBackendFallback) as caught:
        result = semiring_matmul(a, b, backend="cuda")
    np.testing.assert_array_equal(result, a @ b)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # it points at the caller, not into nitrix
    warning = caught[0].message
    assert (warning.op, warning.dtype, warning.wanted) == ("semiring_matmul", "float32", "cuda")
    assert "1001" in warning.shapes
    assert "NitrixBackendFallback" not in str(warning)  # the category says it
    assert warning.got
    assert warning.reason
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        semiring_matmul(a, b, backend="cuda")
    with pytest.warns(nitrix.NitrixBackendFallback):
        semiring_matmul(*fresh(1001, np.float64), backend="cuda")


@no_cuda
def test_a_plain_call_warns_its_caller():
    """The environment asks for what is not there."""
    code = "import nitrix, numpy as np\nx = np.ones((3, 3))\nnitrix.semiring.semiring_matmul(x, x)"
    done = run_python(code, NITRIX_BACKEND="cuda")
    assert done.returncode == 0
    assert "<string>:3: NitrixBackendFallback" in done.stderr


@no_cuda
def test_a_filter_makes_a_fallback_an_error():
    with warnings.catch_warnings():
        warnings.simplefilter("error", nitrix.NitrixBackendFallback)
        with pytest.raises(nitrix.NitrixBackendFallback) as caught:
            semiring_matmul(*fresh(1002), backend="cuda")
    assert caught.value.wanted == "cuda"


def test_the_happy_path_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        semiring_matmul(*fresh(1003))
        reference_semiring_matmul(*fresh(1003), semiring=REAL)


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code], env=os.environ | environment, capture_output=True, text=True
    )


CALL_CUDA = """
import numpy as np, nitrix
x = np.ones((3, 3), np.float32)
try:
    nitrix.semiring.semiring_matmul(x, x, backend="cuda")
except nitrix.NitrixFallbackError as error:
    print("refused:", error)
"""


@no_cuda
@pytest.mark.parametrize(
    ("environment", "out", "err"),
    [
        ({}, "", "NitrixBackendFallback"),
        ({"NITRIX_SILENCE_FALLBACK": "1"}, "", ""),
        ({"NITRIX_STRICT_BACKEND": "1"}, "refused:", ""),
    ],
    ids=["default", "silenced", "strict"],
)
def test_environment_decides_about_fallbacks(environment, out, err):
    done = run_python(CALL_CUDA, **environment)
    assert done.returncode == 0
    assert done.stdout.startswith(out)
    assert bool(done.stdout) == bool(out)
    assert err in done.stderr
    assert bool(done.stderr) == bool(err)


def test_nothing_is_left_behind_at_exit():
    code = "import nitrix, numpy as np; x = np.ones((3, 3)); nitrix.semiring.semiring_matmul(x, x)"
    done = run_python(code, NITRIX_TEST_LEAKS="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- Threads --------------------------------------------------------------------------------------------------------


def test_the_gil_is_free_while_the_kernel_runs():
    n = 128
    while True:  # a size whose product takes long enough to watch
        x = np.ones((n, n), np.float32)
        start = time.perf_counter()
        reference_semiring_matmul(x, x, semiring=REAL)
        if time.perf_counter() - start > 0.2:
            break
        n = int(n * 1.5)

    span = []

    def work():
        span.append(time.perf_counter())
        semiring_matmul(x, x, backend="naive", threads=1)
        span.append(time.perf_counter())

    thread = threading.Thread(target=work)
    thread.start()
    ticks = []
    while thread.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    thread.join()
    start, end = span
    margin = (end - start) / 10
    inside = sum(start + margin < tick < end - margin for tick in ticks)
    # With the GIL held, this thread could not have run between the margins at all.
    assert inside >= 10


def test_many_threads_get_the_same_bits():
    x, y = np.random.default_rng(0).random((2, 40, 70, 70)).astype(np.float32)
    expected = {s: semiring_matmul(x, y, semiring=s, threads=1) for s in oracle.STRICT}
    wrong = []

    def work(i):
        for j in range(30):
            semiring = oracle.STRICT[(i + j) % len(oracle.STRICT)]
            got = semiring_matmul(x, y, semiring=semiring)
            if semiring.replace("_", "-") not in nitrix.last_variant() or not np.array_equal(got, expected[semiring]):
                wrong.append((i, j, semiring))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- Questions ------------------------------------------------------------------------------------------------------


def test_info_lists_algebras_ops_and_variants():
    info = nitrix.info()
    assert {a["name"] for a in info["algebras"]} == set(SEMIRINGS)
    assert "semiring_matmul" in {op["name"] for op in info["ops"]}
    ids = [variant["id"] for variant in info["variants"]]
    assert ids
    assert len(ids) == len(set(ids))
    assert nitrix.__version__ == info["version"]


def test_counters_and_last_variant_say_who_served():
    semiring_matmul(A, B)
    served = nitrix.last_variant()
    before = nitrix.counters()[served]
    semiring_matmul(A, B)
    assert nitrix.counters()[served] == before + 1
    reference_semiring_matmul(A, B, semiring=REAL)
    assert nitrix.last_variant() == "semiring-matmul/real/f32/any/naive"
    semiring_matmul(A[:0], B)
    assert nitrix.last_variant() == "none"


def test_a_variant_can_be_named():
    named = "semiring-matmul/real/f32/any/naive"
    np.testing.assert_array_equal(semiring_matmul(A, B, variant=named), C)
    assert nitrix.last_variant() == named


@pytest.mark.parametrize("mode", ["off", "on", "verify"])
def test_modes(mode):
    np.testing.assert_array_equal(semiring_matmul(A, B, mode=mode), C)


def test_explain_names_the_variant_that_serves():
    semiring_matmul(A, B, semiring="tropical_min_plus")
    explained = nitrix.explain(semiring_matmul, A, B, semiring="tropical_min_plus")
    assert isinstance(explained, dict)
    assert nitrix.last_variant() in json.dumps(explained)
    assert nitrix.explain("semiring_matmul", A, B, semiring="tropical_min_plus") == explained
    assert "semiring-matmul/real/f32/any/naive" in json.dumps(nitrix.explain(reference_semiring_matmul, A, B))


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "words"),
    [
        (("matmul", A, B), {}, ValueError, "'matmul'.*semiring_matmul"),
        ((np.matmul, A, B), {}, TypeError, "op must be"),
        ((semiring_matmul, A), {}, TypeError, "takes 2 arrays, got 1"),
        ((semiring_matmul, A, B), {"color": 1}, TypeError, "'color'.*semiring"),
        ((semiring_matmul, A, B), {"semiring": "rael"}, ValueError, "'rael'.*real"),
        ((semiring_matmul, A, B[:2]), {}, ValueError, "B has shape"),
    ],
)
@pytest.mark.parametrize("question", [nitrix.explain, nitrix.workspace_size])
def test_questions_refuse_what_the_call_would_refuse(question, arguments, keywords, error, words):
    with pytest.raises(error, match=words):
        question(*arguments, **keywords)


OPERANDS = [("A", ["m", "k"], "T"), ("B", ["k", "n"], "T")], [("C", ["m", "n"], "T")]


@pytest.mark.parametrize("value", [3, 2.5, [1, 2], (1, 2), [1, "x"], object(), 2**70])
def test_attributes_of_the_wrong_kind(value):
    op = _nitrix.Op("semiring_matmul", *OPERANDS, ["semiring"])
    with pytest.raises((TypeError, ValueError, OverflowError)):
        op.call((A, B), (value,), None, None, 0, None, None)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([("A", ["m", "k"], "T")], [("C", ["m", "n"], "T")]),  # nothing says what n is
        ([("A", ["m", "k"], "float32")], [("C", ["m", "k"], "T")]),  # nothing says what T is
        ([], [("C", [], "float32")]),
    ],
)
def test_an_op_whose_output_cannot_be_inferred_is_refused(inputs, outputs):
    with pytest.raises(ValueError, match="broken"):
        _nitrix.Op("broken", inputs, outputs, [])


def test_an_op_that_the_library_lacks():
    op = _nitrix.Op("no_such_op", *OPERANDS, [])
    with pytest.raises(ValueError, match="no_such_op"):
        op.call((A, B), (), None, None, 0, None, None)


def test_arguments_of_a_fixed_dtype():
    op = _nitrix.Op("gather", [("values", ["n"], "T"), ("indices", ["m"], "int32")], [("out", ["m"], "T")], [])
    with pytest.raises(TypeError, match="indices is int64 but must be int32"):
        op.call((np.zeros(3, np.float32), np.zeros(3, np.int64)), (), None, None, 0, None, None)


def test_workspace_size_is_a_number_of_bytes():
    assert nitrix.workspace_size(semiring_matmul, A, B) >= 0
    assert nitrix.workspace_size(reference_semiring_matmul, A, B) >= 0


def test_stubs_name_what_the_extension_has():
    tree = ast.parse(Path(nitrix.__file__).with_name("_nitrix.pyi").read_text())
    names = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = None
        elif isinstance(node, ast.ClassDef):
            names[node.name] = {f.name for f in node.body if isinstance(f, ast.FunctionDef)} - {"__init__"}
    assert set(names) == {n for n in dir(_nitrix) if not n.startswith("_")}
    assert names["Op"] == {n for n in dir(_nitrix.Op) if not n.startswith("_")}
    assert Path(nitrix.__file__).with_name("py.typed").exists()
