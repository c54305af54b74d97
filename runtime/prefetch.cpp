// Called by kernels that gather rows: what they will read is asked of memory some rows ahead. Halide's own prefetch
// passes the second-level cache by (prefetchnta), where a row waits for those of its neighbours that come later.
#include <algorithm>
#include <cstdint>

namespace {

constexpr int64_t line = 64;
// Of longer rows the processor notices by itself how they go on; of more entries it has several under way at once.
constexpr int64_t most_bytes = 1024, most_entries = 32;
// What a second-level cache and a bit more hold gains nothing, and loses a tenth.
constexpr int64_t small = 8 << 20;

template <int write> void ask(const char *first, int64_t bytes) {
    const char *const end = first + std::min(bytes, most_bytes);
    for (const char *at = first; at < end; at += line)
        __builtin_prefetch(at, write, 3);
    if (reinterpret_cast<uintptr_t>(first) % line)
        __builtin_prefetch(end - 1, write, 3);
}

} // namespace

// `array` has `rows` rows of `bytes` bytes, row_bytes apart, from `offset`; `count` indices of them.
extern "C" int32_t nitrix_prefetch_rows(const char *array, int64_t offset, int64_t row_bytes, int32_t rows,
                                        int32_t bytes, const char *indices, int64_t indices_offset, int32_t count) {
    if (row_bytes * rows < small)
        return 0;
    const int32_t *const index = reinterpret_cast<const int32_t *>(indices + indices_offset);
    for (int64_t k = 0; k < std::min<int64_t>(count, most_entries); ++k)
        if (index[k] >= 0)
            ask<0>(array + offset + index[k] * row_bytes, bytes);
    return 0;
}

extern "C" int32_t nitrix_prefetch_written(const char *array, int64_t offset, int64_t row_bytes, int32_t rows,
                                           int32_t bytes) {
    if (row_bytes * rows >= small)
        ask<1>(array + offset, bytes);
    return 0;
}
