// Scratch memory of kernels: the caller's workspace, else the context's allocator, else a per-thread pool.
#pragma once

#include <cstddef>

#include "context.h"

namespace nitrix {

// What a block of a workspace takes beside its bytes: header, alignment, slack.
constexpr size_t scratch_overhead = 256;

// Blocks that a kernel may hold at once: some for the call and some for each thread.
constexpr size_t scratch_blocks(int threads) { return 8 + 4 * static_cast<size_t>(threads); }

void *scratch_allocate(KernelContext &kernel, size_t bytes);
void scratch_release(KernelContext &kernel, void *memory);

} // namespace nitrix
