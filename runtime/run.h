#pragma once

#include "call.h"

namespace nitrix {

// Runs one variant on a bound call whose sizes are all positive.
void run_variant(const Call &original, const Variant &variant);

// Scratch bytes of the call at most, with the bookkeeping of a caller's workspace; 0 where a size of zero needs none.
size_t workspace_bytes(const Call &call);

} // namespace nitrix
