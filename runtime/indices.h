// Index arrays of a call: checked before anything is written, and handed to kernels as int32.
#pragma once

#include "call.h"

namespace nitrix {

// Refuses an index that is not below the size of the dimension that it points into. A negative one is padding.
void check_indices(const Call &call);

// Refuses an index of one array that is `limit` or more; `where` opens the message, `dimension` is what limits.
void check_index_array(const Array &a, const std::string &where, int64_t limit, const std::string &dimension);

// 64-bit indices that have been checked, as their lower halves.
Array narrowed(Array a);

// From here on the call's 64-bit indices are their lower halves: the same numbers, once they have been checked.
void narrow_indices(Call &call);

} // namespace nitrix
