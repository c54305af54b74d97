// Requests to memory for what will be read or written soon; they never fault, wherever they point.
#pragma once

#include <cstdint>

namespace nitrix {

constexpr int64_t line_bytes = 64;

// GCC 12 holds a function that only prefetches to be without effect and drops calls of it: all of them are inlined.
#define NITRIX_INLINE [[gnu::always_inline]] inline

// So many lines of memory.
NITRIX_INLINE void ask(const void *first, int64_t lines, int64_t apart = line_bytes) {
    for (int64_t l = 0; l < lines; ++l)
        __builtin_prefetch(static_cast<const char *>(first) + l * apart, 0, 3);
}

// Elements of a row, so many elements apart.
template <typename T> NITRIX_INLINE void ask_for(const T *row, int64_t step, int64_t count) {
    constexpr int64_t size = sizeof(T);
    ask(row, (count * size + line_bytes - 1) / line_bytes, line_bytes * step);
}

} // namespace nitrix
