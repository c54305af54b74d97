// The vectorised schedule of the pointwise family.
#pragma once

#include "generators/core/pointwise.h"

namespace nitrix {

void whole_vectors(family::Pointwise &f, int lanes);

} // namespace nitrix
