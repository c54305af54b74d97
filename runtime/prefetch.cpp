// Called by kernels: what they will read or write is asked of memory ahead, by those that gather rows, by products a
// tile or an item of a batch. Halide's own prefetch passes the second-level cache by (prefetchnta), where a row waits
// for those of its neighbours that come later. Called once a row: whatever does not change from row to row is an
// argument.
#include "prefetch.h"

namespace {

using nitrix::ask;

NITRIX_INLINE void ask_for_each(const char *first, int64_t row_bytes, const int32_t *index, int32_t count,
                                int32_t lines) {
    for (int32_t k = 0; k < count; ++k)
        if (index[k] >= 0)
            ask(first + index[k] * row_bytes, lines);
}

// A number of lines that the compiler knows takes half of the instructions.
template <int32_t lines>
NITRIX_INLINE void ask_for_rows(const char *first, int64_t row_bytes, const int32_t *index, int32_t count,
                                const char *beside, int32_t beside_lines) {
    ask_for_each(first, row_bytes, index, count, lines);
    if (beside_lines == lines)
        ask(beside, lines);
    else
        ask(beside, beside_lines);
}

NITRIX_INLINE void ask_for_tile(const char *first, int64_t row_bytes, int32_t rows, int32_t lines) {
    for (; rows > 0; --rows, first += row_bytes)
        ask(first, lines);
}

NITRIX_INLINE void ask_for_entries(const char *values, int64_t value_bytes, const int32_t *slot, int32_t count) {
    if (count <= 0)
        return;
    const int64_t last = slot[count - 1];
    ask(values + slot[0] * value_bytes, 1);
    if (last - slot[0] == count - 1) // side by side
        ask(values + last * value_bytes, 1);
    else
        for (int32_t k = 1; k < count; ++k)
            ask(values + slot[k] * value_bytes, 1);
}

NITRIX_INLINE void ask_for_named(const char *first, int64_t row_bytes, const int32_t *index, int32_t count,
                                 int32_t lines, const char *beside, int32_t beside_lines) {
    switch (lines) {
    case 1:
        ask_for_rows<1>(first, row_bytes, index, count, beside, beside_lines);
        break;
    case 2:
        ask_for_rows<2>(first, row_bytes, index, count, beside, beside_lines);
        break;
    case 4:
        ask_for_rows<4>(first, row_bytes, index, count, beside, beside_lines);
        break;
    case 5:
        ask_for_rows<5>(first, row_bytes, index, count, beside, beside_lines);
        break;
    case 8:
        ask_for_rows<8>(first, row_bytes, index, count, beside, beside_lines);
        break;
    case 9:
        ask_for_rows<9>(first, row_bytes, index, count, beside, beside_lines);
        break;
    case 0:
        ask(beside, beside_lines);
        break;
    default:
        ask_for_each(first, row_bytes, index, count, lines);
        ask(beside, beside_lines);
    }
}

} // namespace

// The rows at first + index[k] * row_bytes, of so many lines, and the one at `beside`.
extern "C" int32_t nitrix_prefetch_rows(const char *first, int64_t row_bytes, const int32_t *index, int32_t count,
                                        int32_t lines, const char *beside, int32_t beside_lines) {
    ask_for_named(first, row_bytes, index, count, lines, beside, beside_lines);
    return 0;
}

// And the values at slot[0] to slot[entries - 1], of so many bytes each.
extern "C" int32_t nitrix_prefetch_entries(const char *first, int64_t row_bytes, const int32_t *index, int32_t count,
                                           int32_t lines, const char *beside, int32_t beside_lines, const char *values,
                                           int64_t value_bytes, const int32_t *slot, int32_t entries) {
    ask_for_named(first, row_bytes, index, count, lines, beside, beside_lines);
    ask_for_entries(values, value_bytes, slot, entries);
    return 0;
}

extern "C" int32_t nitrix_prefetch_row(const char *first, int32_t lines) {
    ask(first, lines);
    return 0;
}

// So many lines of each of the rows from there on.
extern "C" int32_t nitrix_prefetch_tile(const char *first, int64_t row_bytes, int32_t rows, int32_t lines) {
    switch (lines) {
    case 1:
        ask_for_tile(first, row_bytes, rows, 1);
        break;
    case 4:
        ask_for_tile(first, row_bytes, rows, 4);
        break;
    default:
        ask_for_tile(first, row_bytes, rows, lines);
    }
    return 0;
}

// Whether memory is asked for the items of a batch, of so many bytes and so far apart (0: one for all): where the
// caches do not hold all of them, but for small ones (of 1024 bytes: 1.5 times as long with requests; of 1152 0.7
// times).
extern "C" int32_t nitrix_whether_to_ask_for_items(int64_t a, int64_t b, int64_t c, int64_t a_apart, int64_t b_apart,
                                                   int64_t c_apart, int32_t items) {
    constexpr int64_t above = 1024, most = 64 << 10, large = 4 << 20;
    const auto suits = [&](int64_t bytes, int64_t apart) {
        return bytes > above && bytes <= most && (apart == 0 || (apart == bytes && bytes * items >= large));
    };
    return suits(a, a_apart) && suits(b, b_apart) && suits(c, c_apart);
}

// So many lines each of three arrays.
extern "C" int32_t nitrix_prefetch_shares(const char *a, int32_t a_lines, const char *b, int32_t b_lines, const char *c,
                                          int32_t c_lines) {
    ask(a, a_lines);
    ask(b, b_lines);
    ask(c, c_lines);
    return 0;
}
