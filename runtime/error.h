// How a refusal travels: thrown where it is found, turned into a status and a per-thread message at the C boundary.
#pragma once

#include <string>
#include <utility>

#include "nitrix/nitrix.h"

namespace nitrix {

struct Error {
    nitrix_status status;
    std::string message;
};

[[noreturn]] inline void refuse(nitrix_status status, std::string message) { throw Error{status, std::move(message)}; }
[[noreturn]] inline void refuse_value(std::string message) { refuse(NITRIX_ERROR_VALUE, std::move(message)); }
[[noreturn]] inline void refuse_type(std::string message) { refuse(NITRIX_ERROR_TYPE, std::move(message)); }

void set_last_error(const char *message) noexcept;

// "got 'x', must be one of a, b": the tail of every message about an unknown name.
std::string unknown_name(const char *got, const std::string &known);

// Runs a body that may throw, from a function of the C ABI.
nitrix_status status_of_current_exception() noexcept;
template <typename Body> nitrix_status guarded(Body &&body) noexcept {
    try {
        body();
        return NITRIX_OK;
    } catch (...) {
        return status_of_current_exception();
    }
}

} // namespace nitrix
