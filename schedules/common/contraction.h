// The vectorised schedule of the contraction family, shared by the SIMD targets, which differ in their tile.
#pragma once

#include "generators/core/contraction.h"

namespace nitrix {

// What the scans for NaN hold: bytes for each row of A and column of B.
Halide::Expr nan_scan_bytes(const family::Contraction &f);

// What the maxima of rows and columns of a lowering hold, for all of a batch.
Halide::Expr maxima_bytes(const family::Contraction &f);

// What the scans for them hold besides.
Halide::Expr maxima_scan_bytes(const family::Contraction &f);

// One accumulator at a time: the reference, and the quickest where a packed operand would be read but once or twice.
void plain_form(family::Contraction &f);

// The scans that find the maximum of each row of A and column of B, and those that find NaN.
void scan_for_maxima(family::Contraction &f, int lanes);
void scan_for_nan(family::Contraction &f, int lanes);

// Full panels of columns without guards, then the edge.
void panel_form(family::Contraction &f, const family::ContractionTile &tile, int lanes);

// Operands read in place, for what is over before a copy would pay.
void unpacked_form(family::Contraction &f, const std::vector<family::SmallTile> &tiles, int lanes);

// The form of the shape class.
void register_tile(family::Contraction &f, const family::ContractionTile &tile, int lanes);

} // namespace nitrix
