// The vectorised schedule of a convolution's backward, shared by the SIMD targets.
#pragma once

#include "generators/core/stencil_gradient.h"

namespace nitrix {

// `accumulators`: vectors that registers have room for.
void gradient_tile(family::StencilGradient &f, int accumulators, int lanes);

} // namespace nitrix
