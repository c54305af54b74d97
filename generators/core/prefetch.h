// Requests to memory in a kernel, as expressions of value 0 (runtime/prefetch.cpp).
#pragma once

#include <Halide.h>

#include <vector>

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

// A call of runtime/prefetch.cpp, where it has anything to ask for: 0.
inline Expr prefetch(const char *function, const std::vector<Expr> &arguments, const Expr &worthwhile) {
    using Halide::Internal::Call;
    return branch(worthwhile, Call::make(Halide::Int(32), function, arguments, Call::Extern), 0);
}

} // namespace nitrix
