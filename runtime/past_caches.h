// Stores past the caches: kernels call for them by name (past_caches.cpp).
#pragma once

namespace nitrix {

// Before another thread is told that they are done.
void end_stores_past_caches();

} // namespace nitrix
