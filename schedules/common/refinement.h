// The vectorised schedule of the refinement family, shared by the SIMD targets.
#pragma once

#include "generators/core/refinement.h"

namespace nitrix {

void search_blocks(family::Refinement &f, int lanes);

} // namespace nitrix
