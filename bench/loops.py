"""Numba's best simple loops, as a peer: what someone writes who needs a product over an algebra and has no library.

Blocked for the caches, packed, 4 rows by 4 steps of k in registers; offsets between rows are compile-time constants, or
LLVM gives up on proving that they do not overlap and does not vectorise.
"""

import functools
import math
import os

# LLVM prefers 256-bit vectors on machines with 512-bit ones; a peer that is to be strong must not.
if "NUMBA_CPU_FEATURES" not in os.environ:
    try:
        import llvmlite.binding

        features = llvmlite.binding.get_host_cpu_features().flatten()
        os.environ["NUMBA_CPU_FEATURES"] = features + ",-prefer-256-bit"
        os.environ.setdefault("NUMBA_CPU_NAME", llvmlite.binding.get_host_cpu_name())
    except ImportError:
        pass

import numba
import numpy as np

ROWS, COLUMNS, DEPTH = 128, 256, 128  # of a block: rows of A, columns of B, steps of k


def _plain(value):
    return value


def _root(value):
    return np.sqrt(value)


def _update_max_plus(acc, a, b):
    v = a + b
    return v if v > acc else acc


def _update_min_plus(acc, a, b):
    v = a + b
    return v if v < acc else acc


def _update_euclidean(acc, a, b):
    d = a - b
    return acc + d * d


def _update_real(acc, a, b):
    return acc + a * b


# update, finalize, identity, the value of A that contributes nothing beside a B of 0
ALGEBRAS = {
    "real": (_update_real, _plain, 0.0, 0.0),
    "tropical_max_plus": (_update_max_plus, _plain, -math.inf, -math.inf),
    "tropical_min_plus": (_update_min_plus, _plain, math.inf, math.inf),
    "euclidean": (_update_euclidean, _root, 0.0, 0.0),
}


@functools.cache
def product(algebra: str, fastmath: bool, parallel: bool):
    """A compiled function (a, b, c): the product of two matrices into c."""
    update_, finalize_, identity, neutral = ALGEBRAS[algebra]
    # fastmath in full would let the compiler assume that there are no infinities, which are MAX_PLUS's identity.
    flags = {"contract", "reassoc", "arcp", "nsz"} if fastmath else False
    jit = functools.partial(numba.njit, fastmath=flags, error_model="numpy", nogil=True)
    update, finalize = jit(update_), jit(finalize_)

    @jit(parallel=parallel)
    def run(a, b, c):
        m, k = a.shape
        n = b.shape[1]
        for block in numba.prange((m + ROWS - 1) // ROWS):
            i0 = block * ROWS
            rows = min(ROWS, m - i0)
            acc = np.empty((ROWS // 4, 4, COLUMNS), c.dtype)
            pa = np.empty((ROWS // 4, DEPTH // 4, 4, 4), c.dtype)
            pb = np.empty((DEPTH // 4, 4, COLUMNS), c.dtype)
            for j0 in range(0, n, COLUMNS):
                columns = min(COLUMNS, n - j0)
                width = (columns + 31) // 32 * 32
                acc[:] = identity
                for k0 in range(0, k, DEPTH):
                    depth = min(DEPTH, k - k0)
                    for kq in range((depth + 3) // 4):
                        for kr in range(4):
                            kk = kq * 4 + kr
                            for j in range(columns):
                                pb[kq, kr, j] = b[k0 + kk, j0 + j] if kk < depth else 0
                            for j in range(columns, COLUMNS):
                                pb[kq, kr, j] = 0
                    for iq in range((rows + 3) // 4):
                        for ir in range(4):
                            for kq in range((depth + 3) // 4):
                                for kr in range(4):
                                    i, kk = iq * 4 + ir, kq * 4 + kr
                                    pa[iq, kq, ir, kr] = a[i0 + i, k0 + kk] if i < rows and kk < depth else neutral
                    for iq in range((rows + 3) // 4):
                        for kq in range((depth + 3) // 4):
                            p = pa[iq, kq]
                            a00, a01, a02, a03 = p[0, 0], p[0, 1], p[0, 2], p[0, 3]
                            a10, a11, a12, a13 = p[1, 0], p[1, 1], p[1, 2], p[1, 3]
                            a20, a21, a22, a23 = p[2, 0], p[2, 1], p[2, 2], p[2, 3]
                            a30, a31, a32, a33 = p[3, 0], p[3, 1], p[3, 2], p[3, 3]
                            for j in range(width):
                                x0, x1, x2, x3 = pb[kq, 0, j], pb[kq, 1, j], pb[kq, 2, j], pb[kq, 3, j]
                                s0, s1, s2, s3 = acc[iq, 0, j], acc[iq, 1, j], acc[iq, 2, j], acc[iq, 3, j]
                                acc[iq, 0, j] = update(update(update(update(s0, a00, x0), a01, x1), a02, x2), a03, x3)
                                acc[iq, 1, j] = update(update(update(update(s1, a10, x0), a11, x1), a12, x2), a13, x3)
                                acc[iq, 2, j] = update(update(update(update(s2, a20, x0), a21, x1), a22, x2), a23, x3)
                                acc[iq, 3, j] = update(update(update(update(s3, a30, x0), a31, x1), a32, x2), a33, x3)
                for iq in range((rows + 3) // 4):
                    for ir in range(min(4, rows - iq * 4)):
                        for j in range(columns):
                            c[i0 + iq * 4 + ir, j0 + j] = finalize(acc[iq, ir, j])

    return run


@functools.cache
def small_batch(algebra: str, fastmath: bool, parallel: bool):
    """A compiled function (a, b, c) for batches of matrices too small to block."""
    update_, finalize_, identity, _ = ALGEBRAS[algebra]
    flags = {"contract", "reassoc", "arcp", "nsz"} if fastmath else False
    jit = functools.partial(numba.njit, fastmath=flags, error_model="numpy", nogil=True)
    update, finalize = jit(update_), jit(finalize_)

    @jit(parallel=parallel)
    def run(a, b, c):
        batch, m, k = a.shape
        n = b.shape[2]
        for t in numba.prange(batch):
            for i in range(m):
                for j in range(n):
                    c[t, i, j] = identity
                for kk in range(k):
                    x = a[t, i, kk]
                    for j in range(n):
                        c[t, i, j] = update(c[t, i, j], x, b[t, kk, j])
                for j in range(n):
                    c[t, i, j] = finalize(c[t, i, j])

    return run


TAYLOR = tuple(1 / math.factorial(i) for i in range(12, -1, -1))


@functools.cache
def log_product(parallel: bool):
    """Stable log-sum-exp: the maxima first, a MAX_PLUS product, then the exponentials in a second pass."""
    maxima = product("tropical_max_plus", False, parallel)
    jit = functools.partial(numba.njit, fastmath={"contract", "reassoc"}, error_model="numpy", nogil=True)

    @jit
    def exp_f32(x):
        # 2^n * p(r): LLVM vectorises this, and does not vectorise a call of expf. x <= 0, flushed below 2^-126.
        x = max(x, np.float32(-87.0))
        n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
        r = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
        p = np.float32(1.9875691500e-4)
        p = p * r + np.float32(1.3981999507e-3)
        p = p * r + np.float32(8.3334519073e-3)
        p = p * r + np.float32(4.1665795894e-2)
        p = p * r + np.float32(1.6666665459e-1)
        p = p * r + np.float32(5.0000001201e-1)
        p = p * r * r + r + np.float32(1.0)
        return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)

    @jit
    def exp_f64(x):
        x = max(x, -708.0)
        n = np.floor(x * 1.4426950408889634 + 0.5)
        r = x - n * 0.693147180369123816490 - n * 1.90821492927058770002e-10
        p = 1 / 6227020800
        for term in TAYLOR:
            p = p * r + term
        return p * np.int64((np.int64(n) + 1023) << 52).view(np.float64)

    def sums(exponential):
        @jit(parallel=parallel)
        def run(a, b, c):
            m, k = a.shape
            n = b.shape[1]
            for i in numba.prange(m):
                for j0 in range(0, n, COLUMNS):
                    columns = min(COLUMNS, n - j0)
                    top = np.empty(COLUMNS, c.dtype)
                    total = np.zeros(COLUMNS, c.dtype)
                    for j in range(columns):
                        top[j] = c[i, j0 + j] if c[i, j0 + j] > -np.inf else 0
                    for kk in range(k):
                        x = a[i, kk]
                        for j in range(columns):
                            total[j] += exponential(x + b[kk, j0 + j] - top[j])
                    for j in range(columns):
                        c[i, j0 + j] = top[j] + math.log(total[j]) if c[i, j0 + j] > -np.inf else -np.inf

        return run

    by_dtype = {"float32": sums(exp_f32), "float64": sums(exp_f64)}

    def run(a, b, c):
        maxima(a, b, c)
        by_dtype[c.dtype.name](a, b, c)

    return run


@functools.cache
def boolean_words(parallel: bool):
    """And-or over words of bits."""

    @numba.njit(error_model="numpy", nogil=True, parallel=parallel)
    def multiply(left, right, c):
        m, words = left.shape
        n = right.shape[1]
        for i in numba.prange(m):
            acc = np.zeros(n, left.dtype)
            for w in range(words):
                x = left[i, w]
                for j in range(n):
                    acc[j] |= x & right[w, j]
            for j in range(n):
                c[i, j] = acc[j] != 0

    return multiply


@functools.cache
def boolean_product(parallel: bool):
    """Packs rows of A and columns of B to 64 bits a word, then and-or over the words."""
    jit = functools.partial(numba.njit, error_model="numpy", nogil=True)

    @jit(parallel=parallel)
    def pack_rows(a, words):
        m, k = a.shape
        for i in numba.prange(m):
            for w in range((k + 63) // 64):
                word = np.uint64(0)
                for bit in range(min(64, k - 64 * w)):
                    word |= np.uint64(a[i, 64 * w + bit]) << np.uint64(bit)
                words[i, w] = word

    @jit(parallel=parallel)
    def pack_columns(b, words):
        k, n = b.shape
        for w in numba.prange((k + 63) // 64):
            for j in range(n):
                words[w, j] = 0
            for bit in range(min(64, k - 64 * w)):
                for j in range(n):
                    words[w, j] |= np.uint64(b[64 * w + bit, j]) << np.uint64(bit)

    def run(a, b, c):
        words = (a.shape[1] + 63) // 64
        left = np.empty((a.shape[0], words), np.uint64)
        right = np.empty((words, b.shape[1]), np.uint64)
        pack_rows(a, left)
        pack_columns(b, right)
        boolean_words(parallel)(left, right, c)

    return run


@functools.cache
def gradient(algebra: str):
    """A compiled function (a, b, dc, da, db): a product over a tropical algebra or EUCLIDEAN, and its gradients."""
    jit = functools.partial(numba.njit, error_model="numpy", nogil=True)
    sign = -1 if algebra == "tropical_min_plus" else 1

    @jit()
    def tropical(a, b, dc, da, db):
        m, depth = a.shape
        n = b.shape[1]
        best, winner = np.empty(n, a.dtype), np.empty(n, np.int32)
        da[:] = 0
        db[:] = 0
        for i in range(m):
            best[:] = -np.inf
            winner[:] = 0
            for k in range(depth):
                for j in range(n):
                    v = sign * (a[i, k] + b[k, j])
                    better = v > best[j]
                    best[j] = v if better else best[j]
                    winner[j] = k if better else winner[j]
            for j in range(n):
                da[i, winner[j]] += dc[i, j]
                db[winner[j], j] += dc[i, j]

    @jit(fastmath={"contract", "reassoc", "arcp", "nsz"})
    def euclidean(a, b, dc, da, db):
        m, depth = a.shape
        n = b.shape[1]
        w = np.empty(n, a.dtype)
        da[:] = 0
        db[:] = 0
        for i in range(m):
            w[:] = 0
            for k in range(depth):
                for j in range(n):
                    w[j] += (a[i, k] - b[k, j]) * (a[i, k] - b[k, j])
            for j in range(n):
                w[j] = dc[i, j] / np.sqrt(w[j]) if w[j] > 0 else 0
            for k in range(depth):
                total = w[0] * 0
                for j in range(n):
                    term = w[j] * (a[i, k] - b[k, j])
                    total += term
                    db[k, j] -= term
                da[i, k] = total

    return euclidean if algebra == "euclidean" else tropical


def padded_for(algebra: str, x, k):
    """An array with room around an image for the window, filled with what contributes nothing, and the image's part."""
    window = k.shape[: x.ndim - 1]
    outside = ALGEBRAS[algebra][3]
    sizes = [n + w - 1 for n, w in zip(x.shape[:-1], window, strict=True)]
    inner = tuple(slice((w - 1) // 2, (w - 1) // 2 + n) for n, w in zip(x.shape[:-1], window, strict=True))
    return np.full((*sizes, x.shape[-1]), outside, x.dtype), inner


@functools.cache
def convolution(algebra: str, rank: int, window: tuple[int, ...], parallel: bool):
    """A compiled function (padded image, kernel, result): a row of the image at a time, the taps unrolled."""
    update, finish = (numba.njit(f, inline="always") for f in ALGEBRAS[algebra][:2])
    identity = ALGEBRAS[algebra][2]
    taps, (c_in, c_out) = window[:rank], window[-2:]
    jit = functools.partial(numba.njit, error_model="numpy", nogil=True, parallel=parallel,
                            fastmath={"contract", "reassoc", "arcp", "nsz"})  # fmt: skip

    @jit()
    def one_channel(x, k, y):
        depth, rows, columns = y.shape
        d, h, w = taps if rank == 3 else (1, *taps)
        for plane in numba.prange(depth):
            for i in range(rows):
                y[plane, i] = identity
                for a in range(d):
                    for b in range(h):
                        for c in range(w):
                            value = k[a, b, c]
                            for j in range(columns):
                                y[plane, i, j] = update(y[plane, i, j], x[plane + a, i + b, j + c], value)
                for j in range(columns):
                    y[plane, i, j] = finish(y[plane, i, j])

    @jit()
    def channels(x, k, y):
        depth, rows, columns, _ = y.shape
        d, h, w = taps if rank == 3 else (1, *taps)
        for plane in numba.prange(depth):
            for i in range(rows):
                for j in range(columns):
                    acc = np.full(c_out, identity, y.dtype)
                    for a in range(d):
                        for b in range(h):
                            for c in range(w):
                                for q in range(c_in):
                                    value = x[plane + a, i + b, j + c, q]
                                    for o in range(c_out):
                                        acc[o] = update(acc[o], value, k[a, b, c, q, o])
                    for o in range(c_out):
                        y[plane, i, j, o] = finish(acc[o])

    @jit()
    def each_channel(x, k, y):
        depth, rows, columns, n = y.shape
        d, h, w = taps if rank == 3 else (1, *taps)
        for plane in numba.prange(depth):
            for i in range(rows):
                y[plane, i] = identity
                for a in range(d):
                    for b in range(h):
                        for c in range(w):
                            for j in range(columns):
                                for o in range(n):
                                    y[plane, i, j, o] = update(
                                        y[plane, i, j, o], x[plane + a, i + b, j + c, o], k[a, b, c, o]
                                    )
                for j in range(columns):
                    for o in range(n):
                        y[plane, i, j, o] = finish(y[plane, i, j, o])

    def run(x, k, y):
        if rank == 2:
            x, k, y = x[None], k[None], y[None]
        if len(window) == rank + 1:
            each_channel(x, k, y)
        elif c_in == c_out == 1:
            one_channel(x[..., 0], k[..., 0, 0], y[..., 0])
        else:
            channels(x, k, y)

    return run


@functools.cache
def convolution_gradient(algebra: str, rank: int):
    """A compiled function (padded image, kernel, gradient of the result, of the padded image, of the kernel)."""
    is_better = numba.njit((lambda v, best: v > best) if algebra == "tropical_max_plus" else (lambda v, best: v < best),
                           inline="always")  # fmt: skip
    identity = ALGEBRAS[algebra][2]

    @numba.njit(error_model="numpy", nogil=True)
    def backward(x, k, dy, dx, dk):
        depth, rows, columns, c_out = dy.shape
        d, h, w, c_in, _ = k.shape
        best, winner = np.empty(c_out, x.dtype), np.empty(c_out, np.int64)
        for plane in range(depth):
            for i in range(rows):
                for j in range(columns):
                    best[:], winner[:] = identity, -1
                    for a in range(d):
                        for b in range(h):
                            for c in range(w):
                                for q in range(c_in):
                                    term = ((a * h + b) * w + c) * c_in + q
                                    for o in range(c_out):
                                        value = x[plane + a, i + b, j + c, q] + k[a, b, c, q, o]
                                        if is_better(value, best[o]):
                                            best[o], winner[o] = value, term
                    for o in range(c_out):
                        if winner[o] >= 0:
                            tap, q = divmod(winner[o], c_in)
                            line, c = divmod(tap, w)
                            a, b = divmod(line, h)
                            dx[plane + a, i + b, j + c, q] += dy[plane, i, j, o]
                            dk[a, b, c, q, o] += dy[plane, i, j, o]

    def run(x, k, dy, dx, dk):
        if rank == 2:
            x, k, dy, dx, dk = x[None], k[None], dy[None], dx[None], dk[None]
        backward(x, k, dy, dx, dk)

    return run
