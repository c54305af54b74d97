// The pointwise family: each element of the output from the same element of the inputs, broadcast along some
// dimensions.
#pragma once

#include <Halide.h>

namespace nitrix::family {

struct Pointwise {
    Halide::Func out;
    Halide::Var inner, outer; // its two innermost dimensions
    Halide::Type type;
    Halide::Expr contiguous = {}; // if given: where every input's inner stride is 1, which gets a form of its own
};

} // namespace nitrix::family
