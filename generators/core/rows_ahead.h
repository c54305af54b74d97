// How far ahead of a row its kernel asks memory for what a later one reads.
#pragma once

#include <Halide.h>

namespace nitrix::family {

// As many rows as fill half of the first-level cache, but enough to outlast the latency of memory (if `far`, as many as
// that takes); the last row at most.
inline Halide::Expr row_ahead(const Halide::Expr &row, const Halide::Expr &rows, const Halide::Expr &asked_bytes,
                              const Halide::Expr &far = Halide::Internal::const_false()) {
    constexpr int half_cache = 24 * 1024, most_rows = 24;
    const Halide::Expr fills =
        Halide::cast<int32_t>(Halide::clamp(half_cache / (Halide::cast<int64_t>(asked_bytes) + 1),
                                            Halide::cast<int64_t>(1), Halide::cast<int64_t>(most_rows)));
    const Halide::Expr distance = Halide::select(far, most_rows, fills);
    return Halide::unsafe_promise_clamped(Halide::min(row, rows - 1 - distance) + distance, 0, rows - 1);
}

} // namespace nitrix::family
