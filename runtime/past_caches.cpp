// Called by kernels whose results are large: a row that they have made is stored past the caches, which neither reads
// what it overwrites nor takes the place of what is in them. Halide has no such stores. Whole lines, each begun and
// ended at once, or memory is written in pieces.
#include "past_caches.h"

#include <cstdint>

#include "prefetch.h"

using nitrix::line_bytes;

// Rows of so many bytes that lie so far apart, and items of them. They are stored past the caches where the kernel can,
// they are whole lines, and they are too many to stay in a third-level cache beside an operand as large: from 12 MB on
// it takes 0.6 to 0.8 of a product's time, 0.8 to 1.0 with an op that reads the result; REAL with 10 MB takes 1.07.
extern "C" int32_t nitrix_whether_past_caches(int32_t can, const char *first, int64_t row, int64_t apart, int32_t rows,
                                              int32_t items) {
    constexpr int64_t large = 12 << 20;
    const int64_t begins = static_cast<int64_t>(reinterpret_cast<uintptr_t>(first)) | row | (rows > 1 ? apart : 0);
    return can && items == 1 && begins % line_bytes == 0 && row * rows >= large;
}

bool nitrix::goes_past_caches(const Array &matrix) {
    const int64_t size = dtype_bytes(matrix.dtype), row = matrix.shape[1] * size;
    constexpr int64_t least = 256; // shorter rows gain nothing
    return row >= least && matrix.strides[1] == 1 && matrix.shape[0] <= INT32_MAX &&
           nitrix_whether_past_caches(1, matrix.data, row, matrix.strides[0] * size,
                                      static_cast<int32_t>(matrix.shape[0]), 1);
}

#ifdef __x86_64__
#include <immintrin.h>

// Other threads may see what comes after such a store before it; not what comes after this.
void nitrix::end_stores_past_caches() { _mm_sfence(); }

// Such a row, of aligned lines from so many bytes behind their first, a multiple of 4 below 64. Returns whether it
// remains to be stored, below 0. Whole vectors are loaded as they were stored, then shifted: else each load would wait
// for two stores.
extern "C" [[gnu::target("avx512f")]] int32_t nitrix_store_past_caches_64(char *to, const char *from, int64_t bytes,
                                                                          int32_t in_front) {
    if (in_front == 0) {
        for (int64_t at = 0; at < bytes; at += 64)
            _mm512_stream_si512(reinterpret_cast<__m512i *>(to + at), _mm512_loadu_si512(from + at));
        return 0;
    }
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i which = _mm512_add_epi32(lanes, _mm512_set1_epi32(in_front / 4));
    __m512i vector = _mm512_loadu_si512(from);
    for (int64_t at = 0; at < bytes; at += 64) {
        const __m512i next = _mm512_loadu_si512(from + at + 64);
        _mm512_stream_si512(reinterpret_cast<__m512i *>(to + at), _mm512_permutex2var_epi32(vector, which, next));
        vector = next;
    }
    return 0;
}

extern "C" [[gnu::target("avx2")]] int32_t nitrix_store_past_caches_32(char *to, const char *from, int64_t bytes,
                                                                       int32_t in_front) {
    const auto *vectors = reinterpret_cast<const __m256i *>(from + in_front / 32 * 32);
    auto *stored = reinterpret_cast<__m256i *>(to);
    const __m256i lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    const __m256i which = _mm256_add_epi32(lanes, _mm256_set1_epi32(in_front % 32 / 4));
    const __m256i of_next = _mm256_cmpgt_epi32(which, _mm256_set1_epi32(7));
    __m256i vector = _mm256_loadu_si256(vectors);
    for (int64_t v = 0; v < bytes / 32; ++v) {
        // The vector behind a row that begins with one may not be there.
        const __m256i next = in_front % 32 || v + 1 < bytes / 32 ? _mm256_loadu_si256(vectors + v + 1) : vector;
        const __m256i shifted = _mm256_blendv_epi8(_mm256_permutevar8x32_epi32(vector, which),
                                                   _mm256_permutevar8x32_epi32(next, which), of_next);
        _mm256_stream_si256(stored + v, shifted);
        vector = next;
    }
    return 0;
}
#else
void nitrix::end_stores_past_caches() {}
extern "C" int32_t nitrix_store_past_caches_64(char *, const char *, int64_t, int32_t) { return -1; }
extern "C" int32_t nitrix_store_past_caches_32(char *, const char *, int64_t, int32_t) { return -1; }
#endif
