// Index arrays of a call: checked before anything is written, and handed to kernels as int32.
#pragma once

#include "call.h"

namespace nitrix {

// Refuses an index that is not below the size of the dimension that it points into. A negative one is padding.
void check_indices(const Call &call);

// From here on the call's 64-bit indices are their lower halves: the same numbers, once they have been checked.
void narrow_indices(Call &call);

} // namespace nitrix
