#pragma once

#include <Halide.h>

namespace nitrix {

// The next multiple of `to`.
inline Halide::Expr round_up(const Halide::Expr &value, int to) { return (value + (to - 1)) / to * to; }

} // namespace nitrix
