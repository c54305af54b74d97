// The vectorised schedule of the contraction family, shared by the SIMD targets, which differ in their tile.
#pragma once

#include "generators/core/contraction.h"

namespace nitrix {

void register_tile(family::Contraction &f, const family::ContractionTile &tile, int lanes);

} // namespace nitrix
