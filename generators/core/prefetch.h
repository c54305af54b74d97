// Requests to memory in a kernel, as expressions of value 0: requests.h makes them statements. They never fault,
// wherever they point. (Halide's own prefetch passes the second-level cache by, prefetchnta, where a row waits for
// those of its neighbours that come later.)
#pragma once

#include <Halide.h>

#include "generators/core/branch.h"

namespace nitrix {

using Halide::Expr;

// An array as the pointer that its kernel has.
template <typename Buffer> Expr pointer(const Buffer &buffer) {
    const Halide::Parameter self = buffer.dim(0).min().template as<Halide::Internal::Variable>()->param;
    return Halide::Internal::Variable::make(Halide::Handle(), self.name(), self);
}

// The distance of element (j, i, batch) from the first one, in bytes.
template <typename Buffer> Expr byte_offset(const Buffer &buffer, const Expr &j, const Expr &i, const Expr &batch) {
    const auto step = [&](int d, const Expr &at) { return Halide::cast<int64_t>(buffer.dim(d).stride()) * at; };
    return (step(0, j) + step(1, i) + step(2, batch)) * buffer.type().bytes();
}

template <typename Buffer> Expr address(const Buffer &buffer, const Expr &j, const Expr &i, const Expr &batch) {
    return Halide::reinterpret<uint64_t>(pointer(buffer)) + Halide::cast<uint64_t>(byte_offset(buffer, j, i, batch));
}

constexpr int line_bytes = 64;

// So many lines of memory, and one more where that is 1.
struct Lines {
    Expr whole, more = 0;

    static Lines of(const Expr &bytes) { return {(bytes + (line_bytes - 1)) / line_bytes}; }
};

// The kinds of requests, by the names that calls of them have.
namespace ask {

inline constexpr const char *rows = "nitrix_ask_rows";       // first, apart, count, lines
inline constexpr const char *named = "nitrix_ask_named";     // first, apart, names, count, are_two, lines
inline constexpr const char *entries = "nitrix_ask_entries"; // first, apart, names, count, side_by_side

} // namespace ask

// The lines of `count` rows that begin at `first` and are so many bytes apart.
inline Expr ask_for_rows(const Expr &first, const Expr &apart, const Expr &count, const Lines &lines) {
    using Halide::Internal::Call;
    return Call::make(Halide::Int(32), ask::rows, {first, apart, count, lines.whole, lines.more}, Call::Extern);
}

inline Expr ask_for_row(const Expr &first, const Lines &lines) {
    return ask_for_rows(first, Halide::Internal::make_const(Halide::Int(64), 0), 1, lines);
}

// Those of the rows whose numbers, int32, are at the address `names`; negative ones are none. `are_two`: there are so
// many, whatever `count` says, and both are asked for.
inline Expr ask_for_named(const Expr &first, const Expr &apart, const Expr &names, const Expr &count,
                          const Expr &are_two, const Lines &lines) {
    using Halide::Internal::Call;
    return Call::make(Halide::Int(32), ask::named, {first, apart, names, count, are_two, lines.whole, lines.more},
                      Call::Extern);
}

// Elements so named, one or more: the first and the last where all of them lie side by side. `side_by_side`: they do,
// and only the first has a name.
inline Expr ask_for_entries(const Expr &first, const Expr &apart, const Expr &names, const Expr &count,
                            const Expr &side_by_side) {
    using Halide::Internal::Call;
    return Call::make(Halide::Int(32), ask::entries, {first, apart, names, count, side_by_side}, Call::Extern);
}

} // namespace nitrix
