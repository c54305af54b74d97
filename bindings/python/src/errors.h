// Statuses as exceptions, and the C callback's warnings as Python warnings.
#pragma once

#include <nanobind/nanobind.h>

#include <sstream>
#include <string>
#include <vector>

#include "nitrix/nitrix.h"

namespace nitrix::python {

template <typename... Parts> std::string text(const Parts &...parts) {
    std::ostringstream stream;
    (stream << ... << parts);
    return stream.str();
}

template <typename... Parts> [[noreturn]] void raise(PyObject *type, const Parts &...parts) {
    PyErr_SetString(type, text(parts...).c_str());
    throw nanobind::python_error();
}

// Adds a line to the exception that is set.
void add_note(const std::string &note);

// Collects the warnings that nitrix emits on this thread while it lives, because the callback runs without the GIL.
class WarningCollector {
public:
    struct Warning {
        std::string op, shapes, dtype, wanted, got, reason, message;
    };

    WarningCollector();
    WarningCollector(const WarningCollector &) = delete;
    WarningCollector &operator=(const WarningCollector &) = delete;
    ~WarningCollector();

    // Hands them to Python's warnings module; needs the GIL. Raises where a filter makes an error of one.
    // stacklevel: as in warnings.warn, seen from the function that called the extension.
    void deliver(int stacklevel);

private:
    friend void on_warning(const nitrix_warning *warning, void *user);
    std::vector<Warning> warnings_;
};

// Raises the exception of a status other than NITRIX_OK, with nitrix's own words.
[[noreturn]] void raise_status(nitrix_status status, const std::string &message);

// Finds the exception classes of nitrix.errors and installs the callback; called once, when the extension is imported.
void import_errors();

} // namespace nitrix::python
