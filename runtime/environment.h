// The environment variables, read once, at the first call.
#pragma once

#include <string>
#include <vector>

#include "nitrix/nitrix.h"

namespace nitrix {

struct Environment {
    const char *backend = nullptr;     // NITRIX_BACKEND: auto, cpu, cuda, naive
    int target = -1;                   // NITRIX_TARGET: the highest target to use, an index into targets; -1: no limit
    bool silence_fallback = false;     // NITRIX_SILENCE_FALLBACK=1
    bool strict_backend = false;       // NITRIX_STRICT_BACKEND=1
    bool reproducible = false;         // NITRIX_REPRODUCIBLE=1
    nitrix_mode mode = NITRIX_MODE_ON; // NITRIX_MODE: off, on, verify
    bool strict_check = false;         // NITRIX_CHECK=strict: mode on becomes verify
    int threads = 0;                   // NITRIX_NUM_THREADS; 0: all cores
    size_t kept_memory = 256 << 20;    // NITRIX_KEPT_MEMORY: bytes of released arrays that nitrix_release keeps at most
    std::vector<std::string> disabled; // NITRIX_DISABLE: ids, or parts of them, of variants to leave alone
    std::string error;                 // what is wrong with one of them; every call reports it
};

const Environment &environment();

} // namespace nitrix
