// The pointwise family: each element of the output from the same element of the inputs, broadcast along some
// dimensions.
#pragma once

#include <Halide.h>

namespace nitrix::family {

struct Pointwise {
    Halide::Func out;
    Halide::Var inner, outer; // its two innermost dimensions
    Halide::Type type;
};

} // namespace nitrix::family
