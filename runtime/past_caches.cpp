// Called by kernels whose results are large: a row that they have made is stored past the caches, which neither reads
// what it overwrites nor takes the place of what is in them. Halide has no such stores. Whole lines, each begun and
// ended at once, or memory is written in pieces.
#include "past_caches.h"

#include <cstdint>

// Rows of so many bytes that lie so far apart, and items of them. They are stored past the caches where they are whole
// lines and the kernel asks memory for what they are made of, which takes 0.7 to 0.9 of a product's time, but for what
// a third-level cache may hold for whoever reads it next.
extern "C" int32_t nitrix_whether_past_caches(const char *first, int64_t row, int64_t apart, int32_t rows,
                                              int32_t items, int32_t least, int32_t asks) {
    constexpr int64_t line = 64, large = 32 << 20;
    const int64_t begins = static_cast<int64_t>(reinterpret_cast<uintptr_t>(first)) | row | (rows > 1 ? apart : 0);
    return asks && items == 1 && begins % line == 0 && row >= least && row * rows >= large;
}

#ifdef __x86_64__
#include <immintrin.h>

// Other threads may see what comes after such a store before it; not what comes after this.
void nitrix::end_stores_past_caches() { _mm_sfence(); }

// Of such a row. 0: nothing remains to be stored.
extern "C" [[gnu::target("avx512f")]] int32_t nitrix_store_past_caches_64(char *to, const char *from, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += 64)
        _mm512_stream_si512(reinterpret_cast<__m512i *>(to + at), _mm512_loadu_si512(from + at));
    return 0;
}

extern "C" [[gnu::target("avx2")]] int32_t nitrix_store_past_caches_32(char *to, const char *from, int64_t bytes) {
    for (int64_t at = 0; at < bytes; at += 32)
        _mm256_stream_si256(reinterpret_cast<__m256i *>(to + at),
                            _mm256_loadu_si256(reinterpret_cast<const __m256i *>(from + at)));
    return 0;
}
#else
void nitrix::end_stores_past_caches() {}
extern "C" int32_t nitrix_store_past_caches_64(char *, const char *, int64_t) { return 1; }
extern "C" int32_t nitrix_store_past_caches_32(char *, const char *, int64_t) { return 1; }
#endif
