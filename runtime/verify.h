// Mode verify: a variant beside its reference, bit for bit.
#pragma once

#include "call.h"

namespace nitrix {

// The plain form of the variant's rounding class that serves this call; nullptr where this build has none.
const Variant *reference_of(const Variant &variant, const Call &call);

// Runs the variant into the outputs and its reference beside them. Throws NITRIX_ERROR_VERIFY where they differ.
void run_verified(const Call &call, const Variant &variant);

} // namespace nitrix
