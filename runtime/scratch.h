// Scratch memory of kernels: the caller's workspace, else the context's allocator, else a per-thread pool.
#pragma once

#include <cstddef>

#include "context.h"

namespace nitrix {

void *scratch_allocate(KernelContext &kernel, size_t bytes);
void scratch_release(KernelContext &kernel, void *memory);

} // namespace nitrix
