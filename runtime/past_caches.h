// Stores past the caches: kernels call for them by name (past_caches.cpp).
#pragma once

#include "array.h"

namespace nitrix {

// Whether kernels that can store the rows of this matrix past the caches do.
bool goes_past_caches(const Array &matrix);

// Before another thread is told that they are done.
void end_stores_past_caches();

} // namespace nitrix
