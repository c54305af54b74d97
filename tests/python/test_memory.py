"""Memory for results: where it begins, that it is given again, and what is stored past the caches into it."""

import ctypes
import itertools
import mmap
import pickle
import sys

import numpy as np
import pytest
from processes import output_of

import nitrix
from nitrix.semiring import (
    semiring_ell_edge_reduce,
    semiring_ell_edge_reduce_vjp,
    semiring_ell_matmul,
    semiring_ell_matmul_vjp,
    semiring_matmul,
)
from nitrix.sparse import ELL

handler = np._core.multiarray.get_handler_name


@pytest.mark.parametrize("shape", [(), 0, 1, 5, (3, 0), (2, 3, 4), (1 << 20,)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", np.float64, bool, "int32", np.dtype("float16")], ids=str)
def test_empty_is_numpys_array(shape, dtype):
    x, like = nitrix.empty(shape, dtype), np.empty(shape, dtype)
    assert type(x) is np.ndarray and x.shape == like.shape and x.dtype == like.dtype and x.strides == like.strides
    assert x.flags.owndata and x.flags.writeable and x.flags.c_contiguous
    assert x.ctypes.data % 64 == 0 and handler(x) == "nitrix"
    x[...] = 1
    assert (x == 1).all()
    assert (pickle.loads(pickle.dumps(x)) == 1).all() and (x.copy() == 1).all()
    assert handler(np.empty(3)) == "default_allocator"


def test_empty_is_float32_by_default():
    assert nitrix.empty((2, 2)).dtype == np.float32


@pytest.mark.parametrize(
    ("shape", "dtype", "error"), [(-1, "f4", ValueError), ((2, "x"), "f4", TypeError), (3, "nope", TypeError),
                                  ((1 << 62, 8), "f4", ValueError), ((1 << 44,), "f8", MemoryError)],
    ids=str,
)  # fmt: skip
def test_empty_refuses_what_numpy_refuses(shape, dtype, error):
    with pytest.raises(error):
        nitrix.empty(shape, dtype)
    assert handler(np.empty(3)) == "default_allocator"


def test_an_array_can_grow_and_shrink():
    x = nitrix.empty(300_000)
    x[:] = np.arange(300_000)
    x.resize(600_000, refcheck=False)
    assert (x[:300_000] == np.arange(300_000)).all() and not x[300_000:].any()
    x.resize(10, refcheck=False)
    assert (x == np.arange(10)).all()


def test_memory_is_given_again():
    first = nitrix.empty(3_000_001)
    place = first.ctypes.data
    del first
    assert nitrix.empty(3_000_000).ctypes.data == place


def test_large_results_have_it():
    a = np.ones((512, 512), np.float32)
    c = semiring_matmul(a, a)
    assert c.flags.owndata and c.ctypes.data % 64 == 0 and handler(c) == "nitrix"
    assert handler(semiring_matmul(a[:8], a)) == "default_allocator"
    place = c.ctypes.data
    del c
    again = semiring_matmul(a, a)
    assert again.ctypes.data == place and (again == 512).all()


def test_how_much_is_kept_can_be_said():
    code = """
import nitrix, numpy as np
resident = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096
nitrix.semiring.semiring_matmul(*[np.ones((4, 4))] * 2)
x = nitrix.empty(100_000_000 // 4); x[:] = 1
with_it = resident()
del x
print(with_it - resident() > 90_000_000)
"""
    assert output_of(code, {"NITRIX_KEPT_MEMORY": "0"}).split() == ["True"]
    assert output_of(code, {"NITRIX_KEPT_MEMORY": "99999999"}).split() == ["True"]
    assert output_of(code, {"NITRIX_KEPT_MEMORY": ""}).split() == ["False"]


@pytest.mark.parametrize("value", ["much", "-1", "1e9", "99999999999999999999"])
def test_a_wrong_amount_is_an_error(value):
    code = """
import nitrix, numpy as np
try:
    nitrix.semiring.semiring_matmul(*[np.ones((4, 4))] * 2)
except ValueError as error:
    print(error)
"""
    said = output_of(code, {"NITRIX_KEPT_MEMORY": value})
    assert "NITRIX_KEPT_MEMORY" in said and f"'{value}'" in said and "must be a number from 0 to" in said


LEAST_PAST_CACHES = 12 << 20  # bytes of a result that is stored past the caches where a line begins


def behind_a_line(shape, dtype, offset):
    """Memory that begins so many bytes behind a line of the cache."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + 128, np.uint8)
    begin = -memory.ctypes.data % 64 + offset
    return memory[begin : begin + size].view(dtype).reshape(shape)


def same_bits(x, y):
    return np.array_equal(x.view(np.uint8), y.view(np.uint8))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("semiring", ["real", "tropical_max_plus", "euclidean"])
@pytest.mark.parametrize(
    ("lead", "rows", "columns", "dtype"),
    [((), 50_003, 64, "f4"), ((), 25_001, 128, "f4"), ((3,), 25_000, 64, "f8"), ((), 17_001, 192, "f4"),
     ((), 70_001, 48, "f4"), ((2,), 20_003, 80, "f8"), ((), 41_000, 80, "f4")],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("shuffled", [False, True])
def test_rows_past_the_caches_are_the_same(shuffled, lead, rows, columns, dtype, semiring, threads):
    """Where a line begins: rows that are and are not whole lines, in batches, on threads.

    Rows are walked as they stand, or in an order of the structure's.
    """
    rng = np.random.default_rng(rows)
    indices = np.clip(np.arange(rows)[:, None] + rng.integers(-50, 50, (rows, 3)), -1, rows - 1).astype(np.int32)
    if shuffled:
        place = rng.permutation(rows).astype(np.int32)
        indices = np.where(indices < 0, -1, place[indices])[np.argsort(place)]
    ell = ELL(rng.standard_normal((*lead, rows, 3)).astype(dtype), np.broadcast_to(indices, (*lead, rows, 3)), rows)
    b = rng.standard_normal((*lead, rows, columns)).astype(dtype)
    shape, options = (*lead, rows, columns), {"semiring": semiring, "threads": threads}
    past, beside = nitrix.empty(shape, dtype), behind_a_line(shape, dtype, 16)
    assert past.nbytes // (lead or (1,))[0] >= LEAST_PAST_CACHES
    past[:], beside[:] = np.nan, np.nan
    semiring_ell_matmul(ell.values, ell.indices, b, out=past, **options)
    semiring_ell_matmul(ell.values, ell.indices, b, out=beside, **options)
    assert same_bits(past, beside)
    wide = nitrix.empty((*lead, rows, columns + 16), dtype)  # rows that lie apart
    wide[:] = 7
    semiring_ell_matmul(ell.values, ell.indices, b, out=wide[..., :columns], **options)
    assert same_bits(np.ascontiguousarray(wide[..., :columns]), past) and (wide[..., columns:] == 7).all()


@pytest.mark.parametrize(("columns", "dtype"), [(64, "f4"), (128, "f4"), (32, "f8"), (64, "f8")])
@pytest.mark.parametrize("semiring", ["real", "tropical_min_plus", "euclidean"])
def test_where_an_operand_begins_changes_no_bit(semiring, columns, dtype):
    """Rows are loaded with all that lies in their lines: what is not theirs, here NaN, has no effect."""
    size = np.dtype(dtype).itemsize
    rows = LEAST_PAST_CACHES // (columns * size) + 37
    rng = np.random.default_rng(rows)
    indices = np.clip(np.arange(rows)[:, None] + rng.integers(-50, 50, (rows, 5)), -1, rows - 1).astype(np.int32)
    ell = ELL(rng.standard_normal((rows, 5)).astype(dtype), indices, rows)
    b = rng.standard_normal((rows, columns)).astype(dtype)
    beside = behind_a_line(b.shape, dtype, 16)  # stored in the ordinary way
    semiring_ell_matmul(ell.values, ell.indices, b, semiring=semiring, out=beside)
    for offset in (0, size, 16, 48, 64 - size):
        memory = np.full(b.size + 64, np.nan, dtype)
        begin = (-memory.ctypes.data % 64 + offset) // size
        operand = memory[begin : begin + b.size].reshape(b.shape)
        operand[:] = b
        past = nitrix.empty(b.shape, dtype)
        semiring_ell_matmul(ell.values, ell.indices, operand, semiring=semiring, out=past)
        assert same_bits(past, beside), offset


@pytest.mark.parametrize("offset", [0, 16])
@pytest.mark.parametrize("size", [2 << 20, 4 << 20, LEAST_PAST_CACHES])
@pytest.mark.parametrize(("columns", "dtype"), [(64, "f4"), (128, "f4"), (32, "f8"), (64, "f8")])
@pytest.mark.parametrize("semiring", ["tropical_max_plus", "tropical_min_plus"])
def test_only_a_nan_operand_makes_a_tropical_result_nan(semiring, columns, dtype, size, offset):
    """Rows made of whole lines look for NaN among values and operands: infinities of both signs make none."""
    rows = size // (columns * np.dtype(dtype).itemsize) + 37
    rng = np.random.default_rng(columns)
    indices = np.clip(np.arange(rows)[:, None] + rng.integers(-50, 50, (rows, 3)), -1, rows - 1).astype(np.int32)
    indices = np.where(indices < 0, -1, rng.permutation(rows)[indices]).astype(np.int32)
    values = rng.standard_normal((rows, 3)).astype(dtype)
    b = behind_a_line((rows, columns), dtype, offset)
    b[:] = rng.standard_normal(b.shape)
    for x in (values, b):
        for special in (np.nan, -np.nan, np.inf, -np.inf):
            x[rng.integers(0, rows, 300), rng.integers(0, x.shape[1], 300)] = special
        x[rng.integers(0, rows, 300)] = np.inf
        x[rng.integers(0, rows, 300)] = -np.inf
    ell = ELL(values, indices, rows)
    past = nitrix.empty(b.shape, dtype)
    semiring_ell_matmul(ell.values, ell.indices, b, semiring=semiring, out=past)
    better, identity = (np.fmax, -np.inf) if semiring == "tropical_max_plus" else (np.fmin, np.inf)
    for begin in range(0, rows, 8192):  # in pieces, to spare memory
        some = slice(begin, begin + 8192)
        expected = np.full(past[some].shape, identity, dtype)
        poisoned = np.zeros(expected.shape, bool)
        for k in range(3):
            there = indices[some, k, None] >= 0
            a, x = values[some, k, None], b[indices[some, k]]
            with np.errstate(invalid="ignore"):
                expected = better(expected, np.where(there, a + x, identity))
            poisoned |= there & (np.isnan(a) | np.isnan(x))
        expected[poisoned] = np.nan
        assert np.array_equal(past[some], expected, equal_nan=True)


needs_mprotect = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect")


def between_closed_pages(size):
    """Whole pages of memory, for so many bytes at least: the page in front of them and the one behind are closed."""
    page = mmap.PAGESIZE
    inside = -(-size // page) * page
    memory = mmap.mmap(-1, inside + 2 * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for closed in (address, address + page + inside):
        assert ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(closed), page, 0) == 0
    return np.frombuffer(memory, np.uint8, inside, page)


@needs_mprotect
@pytest.mark.parametrize("at_end", [False, True])
def test_no_page_beyond_an_operand_is_read(at_end):
    """Its first line is the first of what may be read, or its last the last."""
    rows, columns = 131_075, 64
    size = rows * columns * 4
    memory = between_closed_pages(size + 64)
    begin = memory.size - 48 - size if at_end else 16
    b = memory[begin : begin + size].view(np.float32).reshape(rows, columns)
    b[:] = np.arange(columns, dtype=np.float32)
    indices = ((np.arange(rows)[:, None] + [0, 1, 5]) % rows).astype(np.int32)
    ell = ELL(np.ones((rows, 3), np.float32), indices, rows)
    result = nitrix.empty((rows, columns))
    semiring_ell_matmul(ell.values, ell.indices, b, out=result)
    assert np.array_equal(result, np.broadcast_to(3 * np.arange(columns, dtype=np.float32), result.shape))


@needs_mprotect
@pytest.mark.parametrize("depth", [24, 300])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("semiring", ["real", "tropical_max_plus", "tropical_min_plus", "euclidean"])
def test_rows_of_every_width_are_read_to_their_end(semiring, dtype, depth):
    """A structure that is mostly padding, an operand whose last element is the last of what may be read."""
    rows, widest = 33, 140
    size = np.dtype(dtype).itemsize
    memory = between_closed_pages(rows * widest * size)
    rng = np.random.default_rng(depth)
    indices = rng.integers(0, rows, (rows, depth)).astype(np.int32)
    indices[rng.random(indices.shape) < 0.9] = -1
    indices = -np.sort(-indices, axis=1)  # padding behind the entries, or blocks of 256 would hold others
    indices[0] = rows - 1
    ell = ELL(rng.standard_normal((rows, depth)).astype(dtype), indices, rows)
    for columns in (*range(1, 131), widest):
        b = memory[-rows * columns * size :].view(dtype).reshape(rows, columns)
        b[:] = rng.standard_normal(b.shape)
        b[5, -1], b[6, 0] = np.nan, np.inf
        result = np.full((rows, columns + 3), 7, dtype)
        semiring_ell_matmul(ell.values, ell.indices, b, semiring=semiring, out=result[:, :columns])
        plain = semiring_ell_matmul(ell.values, indices, b.copy(), semiring=semiring)
        assert same_bits(np.ascontiguousarray(result[:, :columns]), plain), columns
        assert (result[:, columns:] == 7).all(), columns


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("columns", "dtype"), [(64, "f4"), (128, "f4"), (32, "f8"), (64, "f8"), (32, "f4"), (60, "f4")]
)
@pytest.mark.parametrize("semiring", ["real", "tropical_max_plus", "euclidean"])
def test_rows_that_ask_for_what_later_ones_name_have_the_bits_of_others(semiring, columns, dtype, threads):
    """Structures whose plans look ahead, with operands that outgrow the caches and results that do not."""
    size = np.dtype(dtype).itemsize
    rows = (4 << 20) // (columns * size) + 5
    rng = np.random.default_rng(columns)
    indices = (np.arange(rows)[:, None] + np.arange(-3, 4)) % rows
    place = rng.permutation(rows).astype(np.int32)
    indices = place[indices][np.argsort(place)]
    indices[::5, 4:], indices[::1000] = -1, -1  # shorter rows, and rows without entries
    ell = ELL(rng.standard_normal((rows, 7)).astype(dtype), indices, rows)
    b = rng.standard_normal((rows, columns)).astype(dtype)
    plain = semiring_ell_matmul(ell.values, indices, b, semiring=semiring)
    for begin, end in itertools.product((0, size, 16), (0, 16)):
        operand, result = behind_a_line(b.shape, dtype, begin), behind_a_line(b.shape, dtype, end)
        operand[:], result[:] = b, 7
        semiring_ell_matmul(ell.values, ell.indices, operand, semiring=semiring, out=result, threads=threads)
        assert same_bits(result, plain), (begin, end)


@needs_mprotect
@pytest.mark.parametrize("depth", [1, 7, 300])
@pytest.mark.parametrize(("columns", "dtype"), [(32, "f4"), (64, "f4"), (128, "f4"), (32, "f8"), (64, "f8")])
@pytest.mark.parametrize("semiring", ["real", "tropical_max_plus", "euclidean"])
def test_rows_made_of_whole_lines_have_the_bits_of_others(semiring, columns, dtype, depth):
    """Wherever in their lines operand and result begin; beside the operand's rows are NaN, then a closed page.

    The rows of the result side by side and not, the values of a row too.
    """
    rows, size = 37, np.dtype(dtype).itemsize
    rng = np.random.default_rng(depth)
    indices = rng.integers(0, rows, (rows, depth)).astype(np.int32)
    indices[1] = -1
    indices[rng.random(indices.shape) < 0.9] = -1  # else there is no plan
    indices = -np.sort(-indices, axis=1)
    indices[2, 0], indices[2, 1:] = 7, -1
    values = rng.standard_normal((rows, depth)).astype(dtype)
    x = rng.standard_normal((rows, columns)).astype(dtype)
    x[3, 5], x[4, -1], x[5, 0], x[6, 0] = np.nan, np.nan, -np.inf, -0.0
    values[2], x[7] = np.finfo(dtype).tiny, -np.finfo(dtype).tiny  # whose product is -0, and their sum 0
    ell = ELL(values, indices, rows)
    plain = semiring_ell_matmul(ell.values, indices, x, semiring=semiring)
    made = [(ell, columns), (ell, columns + 16)]
    if depth <= 128:  # padding among the entries of one block does not change them
        apart = np.full((rows, 2 * depth), -1, np.int32), np.zeros((rows, 2 * depth), dtype)
        apart[0][:, 1::2], apart[1][:, 1::2] = indices, values
        made.append((ELL(apart[1], apart[0], rows), columns))
    for offset in {0, size, 16, 32, 48, 64 - size}:
        memory = between_closed_pages(x.nbytes + 64).view(dtype)
        memory[:] = np.nan
        begin = memory.size - (64 - offset) // size - x.size if offset else memory.size - x.size
        b = memory[begin : begin + x.size].reshape(x.shape)
        assert b.ctypes.data % 64 == offset
        b[:] = x
        for place, (matrix, width) in itertools.product({0, size, 16, offset}, made):
            wide = behind_a_line((rows, width), dtype, place)
            wide[:] = 7
            semiring_ell_matmul(matrix.values, matrix.indices, b, semiring=semiring, out=wide[:, :columns])
            assert same_bits(np.ascontiguousarray(wide[:, :columns]), plain), (offset, place)
            assert (wide[:, columns:] == 7).all(), (offset, place)


def before_a_closed_page(x):
    memory = between_closed_pages(x.nbytes)
    placed = memory[memory.size - x.nbytes :].view(x.dtype).reshape(x.shape)
    placed[:] = x
    return placed


def strided(x):
    wide = np.empty((x.shape[0], 2 * x.shape[1]), x.dtype)[:, ::2]
    wide[:] = x
    return wide


@needs_mprotect
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("semiring", ["real", "tropical_max_plus", "euclidean", "log"])
def test_gradients_and_edges_of_every_width_read_to_their_end(semiring, dtype):
    """Vectors of a row are read by masks: no element behind the last, and the bits of columns read one by one."""
    rows, depth = 29, 6
    rng = np.random.default_rng(rows)
    indices = rng.integers(-1, rows, (rows, depth)).astype(np.int32)
    indices[0] = rows - 1
    ell = ELL(rng.standard_normal((rows, depth)).astype(dtype), indices, rows)
    slope = np.full((), 0.25, dtype)

    def results(x, dy):
        y = semiring_ell_matmul(ell.values, ell.indices, x, semiring=semiring)
        z = semiring_ell_edge_reduce(x, dy, ell.indices, slope, semiring=semiring)
        y, z = (strided(a) if x.strides[1] > x.itemsize else before_a_closed_page(a) for a in (y, z))
        return (
            y,
            z,
            *semiring_ell_matmul_vjp(ell.values, ell.indices, x, y, dy, semiring=semiring),
            *semiring_ell_edge_reduce_vjp(x, dy, ell.indices, slope, z, dy, semiring=semiring),
        )

    for columns in (*range(1, 50), 63, 65, 66, 79, 95, 100, 127, 129, 140):
        x, dy = (rng.standard_normal((rows, columns)).astype(dtype) for _ in range(2))
        got = results(before_a_closed_page(x), before_a_closed_page(dy))
        expected = results(strided(x), strided(dy))
        for which, (a, b) in enumerate(zip(got, expected, strict=True)):
            assert same_bits(np.ascontiguousarray(a), np.ascontiguousarray(b)), (columns, which)


@pytest.mark.parametrize("semiring", ["real", "tropical_min_plus"])
def test_gradients_past_the_caches_are_the_same(semiring):
    rows, columns = 131_080, 64
    rng = np.random.default_rng(3)
    indices = np.clip(np.arange(rows)[:, None] + rng.integers(-50, 50, (rows, 3)), -1, rows - 1).astype(np.int32)
    ell = ELL(rng.standard_normal((rows, 3)).astype("f4"), indices, rows)
    b, dc = rng.standard_normal((2, rows, columns)).astype("f4")
    c = semiring_ell_matmul(ell.values, ell.indices, b, semiring=semiring)
    past, beside = nitrix.empty(b.shape), behind_a_line(b.shape, "f4", 16)
    for db in (past, beside):
        out = (np.empty_like(ell.values), db)
        semiring_ell_matmul_vjp(ell.values, ell.indices, b, c, dc, semiring=semiring, out=out)
    assert same_bits(past, beside)
