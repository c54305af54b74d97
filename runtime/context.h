// What a group of calls shares (nitrix_context), and what one running kernel sees of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

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

// The caller's memory, given out in the first gap that fits: threads take and return their blocks in any order.
class Workspace {
public:
    char *memory = nullptr;
    size_t size = 0;

    char *take(size_t bytes); // nullptr: no gap is large enough
    void give_back(const char *block);

private:
    struct Span {
        size_t begin, end;
    };
    static constexpr int capacity = 64;
    std::mutex lock_;
    Span live_[capacity]; // in the order of their addresses
    int n_ = 0;
};

// Handed to a kernel as Halide's user_context: where its memory, threads and errors go.
struct KernelContext {
    const Context *context;
    int threads;
    Workspace workspace;
    std::atomic<int64_t> bytes{0}, peak_bytes{0};
    char error[512]; // "" until an error is reported

    KernelContext() { error[0] = 0; }
};

} // namespace nitrix

struct nitrix_context : nitrix::Context {};
