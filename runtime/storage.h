// Calls whose arrays are float16 or bfloat16: widened to float32, which is exact, computed there by the op's own
// kernels, and rounded once, to nearest even.
#pragma once

#include "registry.h"

namespace nitrix {

extern const Composition computed_in_float32;

} // namespace nitrix
