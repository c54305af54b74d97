// Python that repeats a call, for the message of a failed verification.
#pragma once

#include <string>

#include "call.h"

namespace nitrix {

// Saves the inputs as .npy files in a new folder below TMPDIR (or /tmp) and returns the lines that load them, in the
// strides they had, and call the op with that variant in mode verify.
std::string reproducer(const Call &call, const Variant &variant);

} // namespace nitrix
