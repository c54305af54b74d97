// What this machine can do at most: instruction sequences that an inner loop cannot go below, and memory bandwidth.
// A small C interface, so that the benchmarks can interleave a limit with the calls they compare with it.
#pragma once

#include <cstddef>

extern "C" {

// Number of instruction limits, in a fixed order; `nitrix_limit_name(i)` is "<sequence>/<dtype>/<target>", such as
// "add_max/float32/avx512".
int nitrix_limit_count(void);
const char *nitrix_limit_name(int index);

// Whether this CPU and operating system run the limit's instructions.
int nitrix_limit_supported(int index);

// Operations per second in units of 1e9, two per element and step as in 2mnk, from a run of about `seconds` on each of
// `threads` threads at once, summed. 0 if the CPU does not support it.
double nitrix_limit_measure(int index, double seconds, int threads);

// Bytes per second in units of 1e9 over a working set of `bytes` per thread. Copying counts what is read and written.
double nitrix_bandwidth_read(size_t bytes, double seconds, int threads);
double nitrix_bandwidth_copy(size_t bytes, double seconds, int threads);
}
