// The one Halide runtime of the library, told to use a KernelContext's memory, threads and error buffer.
#pragma once

namespace nitrix {

void install_halide_hooks(); // idempotent, thread-safe

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
