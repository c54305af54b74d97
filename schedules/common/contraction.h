// The vectorised schedule of the contraction family, shared by the SIMD targets, which differ in their tile.
#pragma once

#include "generators/core/contraction.h"

namespace nitrix {

// What the scans for NaN hold: one byte for each row of A and column of B.
Halide::Expr nan_scan_bytes(const family::Contraction &f);

// What the maxima of rows and columns of a lowering hold, for all of a batch.
Halide::Expr maxima_bytes(const family::Contraction &f);

// One accumulator at a time: the reference, and the quickest where a packed operand would be read but once or twice.
void plain_form(family::Contraction &f);

void register_tile(family::Contraction &f, const family::ContractionTile &tile, int lanes);

} // namespace nitrix
