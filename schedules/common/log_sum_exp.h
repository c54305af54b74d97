// The vectorised schedule of the streaming form, shared by the SIMD targets.
#pragma once

#include "generators/core/log_sum_exp.h"

namespace nitrix {

void stream_tiles(family::LogSumExp &f, int lanes);

} // namespace nitrix
