// What a group of calls shares (nitrix_context), and what one running kernel sees of it.
#pragma once

#include <atomic>
#include <cstdint>

#include "nitrix/nitrix.h"

namespace nitrix {

struct Context {
    void *(*allocate)(size_t, void *) = nullptr;
    void (*release)(void *, void *) = nullptr;
    void (*parallel_for)(int, void (*)(int, void *), void *, void *) = nullptr;
    void *user = nullptr;
    int threads = 1;
    uint64_t memory_budget = 0;
};

const Context &default_context();

// How many threads the library's own pool gives one call, the caller's included; 1 in the child of a fork.
int pool_threads();
bool is_forked_child();
void note_forks(); // from now on; idempotent

// Handed to a kernel as Halide's user_context: where its memory, threads and errors go.
struct KernelContext {
    const Context *context;
    int threads;
    char *workspace;
    size_t workspace_size;
    std::atomic<size_t> workspace_used{0};
    std::atomic<int64_t> bytes{0}, peak_bytes{0};
    char error[512]; // "" until an error is reported

    KernelContext() { error[0] = 0; }
};

} // namespace nitrix

struct nitrix_context : nitrix::Context {};
