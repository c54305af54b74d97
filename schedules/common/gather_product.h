// The schedules of the gather_product family.
#pragma once

#include "generators/core/gather_product.h"

namespace nitrix {

// One accumulator at a time: the reference.
void gather_one_by_one(family::GatherProduct &f);

// Columns in vectors, as many accumulators as registers allow; rows on threads.
// tile: of a contraction, for what rows add.
void gather_rows(family::GatherProduct &f, const family::ContractionTile &tile, int lanes);

} // namespace nitrix
