// The vectorised schedule of the stencil family, shared by the SIMD targets, which differ in their tiles.
#pragma once

#include "generators/core/stencil.h"

namespace nitrix {

// `plane` is the tile of single-channel calls, `channels` that of all others.
void stencil_tile(family::Stencil &f, const family::StencilTile &channels, const family::StencilTile &plane, int lanes);

} // namespace nitrix
