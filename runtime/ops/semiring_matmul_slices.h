// A long REAL product is summed in slices of k, each a product of its own: the error of a sum grows with the number of
// terms on every level, so three short levels (steps, blocks, slices) beat two.
#pragma once

#include "call.h"

namespace nitrix {

// Bytes of one slice's product beside the sum; 0 where the reduction stays whole.
int64_t slice_bytes(const Call &call);

} // namespace nitrix
