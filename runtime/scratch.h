// Scratch memory of kernels: the caller's workspace, else the context's allocator, else a per-thread pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "context.h"

namespace nitrix {

// What a block of a workspace takes beside its bytes: header, alignment, slack.
constexpr size_t scratch_overhead = 256;

// Blocks that a kernel may hold at once: some for the call and some for each thread.
constexpr size_t scratch_blocks(int threads) { return 8 + 4 * static_cast<size_t>(threads); }

void *scratch_allocate(KernelContext &kernel, size_t bytes);
void scratch_release(KernelContext &kernel, void *memory);

// A block that is given back at the end of a scope. Throws std::bad_alloc.
class Scratch {
public:
    Scratch(KernelContext &kernel, int64_t bytes)
        : kernel_(kernel), memory_(scratch_allocate(kernel, static_cast<size_t>(bytes))) {
        if (!memory_)
            throw std::bad_alloc();
    }
    ~Scratch() { scratch_release(kernel_, memory_); }
    Scratch(const Scratch &) = delete;
    Scratch &operator=(const Scratch &) = delete;
    char *data() const { return static_cast<char *>(memory_); }

private:
    KernelContext &kernel_;
    void *memory_;
};

} // namespace nitrix
