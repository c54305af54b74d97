// The one Halide runtime of the library, told to use a KernelContext's memory, threads and error buffer.
#pragma once

#include <cstdint>

#include "context.h"

namespace nitrix {

void install_halide_hooks(); // idempotent, thread-safe

// body(i, closure) for every i below count, on the threads that a kernel would have.
void parallel_tasks(KernelContext &kernel, int64_t count, void (*body)(int64_t, const void *), const void *closure);

// body(i) for every i below count. What a body writes must be its own.
template <typename Body> void parallel_for(KernelContext &kernel, int64_t count, const Body &body) {
    parallel_tasks(
        kernel, count, [](int64_t i, const void *closure) { (*static_cast<const Body *>(closure))(i); }, &body);
}

// Saves the calling thread's floating-point mode, keeps denormals (no flush to zero, round to nearest), and restores.
class KeepDenormals {
public:
    KeepDenormals();
    ~KeepDenormals();
    KeepDenormals(const KeepDenormals &) = delete;
    KeepDenormals &operator=(const KeepDenormals &) = delete;

private:
    unsigned long saved_;
};

} // namespace nitrix
