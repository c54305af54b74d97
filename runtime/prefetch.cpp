// Called by kernels that gather rows: what they will read or write is asked of memory some rows ahead. Halide's own
// prefetch passes the second-level cache by (prefetchnta), where a row waits for those of its neighbours that come
// later.
#include <algorithm>
#include <cstdint>
#include <iterator>

namespace {

constexpr int64_t line = 64;
// Of longer rows the processor notices by itself how they go on; of more entries it has several under way at once.
constexpr int64_t most_bytes = 1024, most_entries = 32;
// What a second-level cache and a bit more hold gains nothing, and loses a tenth.
constexpr int64_t small = 8 << 20;

// The lines that a row of so many bytes touches wherever it starts. A multiple of 64 bytes apart, all start alike.
int64_t lines_of(const char *first, int64_t row_bytes, int64_t bytes) {
    const bool whole = (reinterpret_cast<uintptr_t>(first) | static_cast<uintptr_t>(row_bytes)) % line == 0;
    return (std::min(bytes, most_bytes) + line - 1) / line + !whole;
}

// One past the end of a row may be asked for: that never faults.
void ask(const char *first, int64_t lines) {
    for (int64_t l = 0; l < lines; ++l)
        __builtin_prefetch(first + l * line, 0, 3);
}

using Rows = void (*)(const char *first, int64_t row_bytes, const int32_t *index, int64_t count, int64_t lines);

// A number of lines that the compiler knows (not 0) takes half of the instructions. A table, since GCC 12 drops all of
// them but the first from a fold over calls with a lambda.
template <int64_t known>
void ask_for_each(const char *first, int64_t row_bytes, const int32_t *index, int64_t count, int64_t lines) {
    for (int64_t k = 0; k < count; ++k)
        if (index[k] >= 0)
            ask(first + index[k] * row_bytes, known ? known : lines);
}

constexpr Rows by_lines[] = {ask_for_each<0>, ask_for_each<1>, ask_for_each<2>, ask_for_each<0>, ask_for_each<4>,
                             ask_for_each<5>, ask_for_each<0>, ask_for_each<0>, ask_for_each<8>, ask_for_each<9>};

} // namespace

// `array` has `rows` rows of `bytes` bytes, row_bytes apart, from `offset`; `count` indices of them.
extern "C" int32_t nitrix_prefetch_rows(const char *array, int64_t offset, int64_t row_bytes, int32_t rows,
                                        int32_t bytes, const char *indices, int64_t indices_offset, int32_t count) {
    if (row_bytes * rows < small)
        return 0;
    const char *const first = array + offset;
    const int32_t *const index = reinterpret_cast<const int32_t *>(indices + indices_offset);
    const int64_t lines = lines_of(first, row_bytes, bytes);
    by_lines[lines < static_cast<int64_t>(std::size(by_lines)) ? lines : 0](
        first, row_bytes, index, std::min<int64_t>(count, most_entries), lines);
    return 0;
}

// The one row at `offset`.
extern "C" int32_t nitrix_prefetch_row(const char *array, int64_t offset, int64_t row_bytes, int32_t rows,
                                       int32_t bytes) {
    if (row_bytes * rows >= small)
        ask(array + offset, lines_of(array + offset, row_bytes, bytes));
    return 0;
}
