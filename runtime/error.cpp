#include "error.h"

#include <cstdio>
#include <exception>
#include <new>

namespace nitrix {

// A fixed buffer, so that reporting an exhausted memory allocates nothing.
static thread_local char last_error[4096];

void set_last_error(const char *message) noexcept { std::snprintf(last_error, sizeof last_error, "%s", message); }

std::string unknown_name(const char *got, const std::string &known) {
    return std::string("got '") + (got ? got : "NULL") + "', must be one of " + known;
}

nitrix_status status_of_current_exception() noexcept {
    try {
        throw;
    } catch (const Error &error) {
        set_last_error(error.message.c_str());
        return error.status;
    } catch (const std::bad_alloc &) {
        set_last_error("out of memory");
        return NITRIX_ERROR_MEMORY;
    } catch (const std::exception &error) {
        set_last_error(error.what());
        return NITRIX_ERROR_INTERNAL;
    } catch (...) {
        set_last_error("unknown exception");
        return NITRIX_ERROR_INTERNAL;
    }
}

} // namespace nitrix

extern "C" const char *nitrix_last_error(void) { return nitrix::last_error; }

extern "C" const char *nitrix_status_name(nitrix_status status) {
    switch (status) {
    case NITRIX_OK:
        return "NITRIX_OK";
    case NITRIX_ERROR_VALUE:
        return "NITRIX_ERROR_VALUE";
    case NITRIX_ERROR_TYPE:
        return "NITRIX_ERROR_TYPE";
    case NITRIX_ERROR_UNSUPPORTED:
        return "NITRIX_ERROR_UNSUPPORTED";
    case NITRIX_ERROR_FALLBACK:
        return "NITRIX_ERROR_FALLBACK";
    case NITRIX_ERROR_MEMORY:
        return "NITRIX_ERROR_MEMORY";
    case NITRIX_ERROR_VERIFY:
        return "NITRIX_ERROR_VERIFY";
    case NITRIX_ERROR_INTERNAL:
        return "NITRIX_ERROR_INTERNAL";
    }
    return "unknown status";
}

extern "C" int nitrix_version(void) { return NITRIX_VERSION; }
