// The laws that an algebra claims, tried on samples which binary floating point represents exactly.
#pragma once

#include <optional>
#include <string>

#include "generators/core/algebra.h"

namespace nitrix {

// The first claim that a sample refutes, as a sentence with the counter-example; nothing where all of them hold.
std::optional<std::string> broken_law(const Algebra &algebra);

// finalize(init): what an empty reduction gives.
double identity_of(const Algebra &algebra);

} // namespace nitrix
