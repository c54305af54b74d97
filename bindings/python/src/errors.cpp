#include "errors.h"

#include <nanobind/stl/string.h>

#include <cstdio>
#include <new>

namespace nb = nanobind;

namespace nitrix::python {

namespace {

// Kept for the life of the process: an extension is never unloaded.
PyObject *fallback_warning, *fallback_error, *verify_error, *warn;

thread_local WarningCollector *collector = nullptr;

PyObject *keep(const char *module, const char *name) {
    return nb::object(nb::module_::import_(module).attr(name)).release().ptr();
}

// On stderr the category opens the line; Python's warnings write it themselves.
std::string without_category(const std::string &message) {
    const std::string category = "NitrixBackendFallback: ";
    return message.compare(0, category.size(), category) ? message : message.substr(category.size());
}

} // namespace

void on_warning(const nitrix_warning *w, void *) {
    if (!collector) { // another part of this process called nitrix: do as nitrix does without Python
        std::fprintf(stderr, "%s\n", w->message);
        return;
    }
    try {
        collector->warnings_.push_back({w->op, w->shapes, w->dtype, w->wanted, w->got, w->reason, w->message});
    } catch (const std::bad_alloc &) {
        std::fprintf(stderr, "%s\n", w->message); // no exception may cross the C interface
    }
}

WarningCollector::WarningCollector() { collector = this; }

WarningCollector::~WarningCollector() { collector = nullptr; }

void WarningCollector::deliver(int stacklevel) {
    if (warnings_.empty())
        return;
    collector = nullptr; // what warnings.warn runs may call nitrix again
    for (const Warning &w : warnings_) {
        const nb::object warning = nb::borrow(fallback_warning)(without_category(w.message), w.op, w.shapes, w.dtype,
                                                                w.wanted, w.got, w.reason);
        nb::borrow(warn)(warning, nb::arg("stacklevel") = stacklevel);
    }
}

void add_note(const std::string &note) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *done = PyObject_CallMethod(value, "add_note", "s", note.c_str());
    if (!done)
        PyErr_Clear(); // the exception itself matters more
    Py_XDECREF(done);
    PyErr_Restore(type, value, traceback);
}

void raise_status(nitrix_status status, const std::string &message) {
    switch (status) {
    case NITRIX_ERROR_VALUE:
        raise(PyExc_ValueError, message);
    case NITRIX_ERROR_TYPE:
        raise(PyExc_TypeError, message);
    case NITRIX_ERROR_UNSUPPORTED:
        raise(PyExc_NotImplementedError, message);
    case NITRIX_ERROR_FALLBACK:
        raise(fallback_error, message);
    case NITRIX_ERROR_MEMORY:
        raise(PyExc_MemoryError, message);
    case NITRIX_ERROR_VERIFY:
        raise(verify_error, message);
    default:
        raise(PyExc_RuntimeError, nitrix_status_name(status), ": ", message);
    }
}

void import_errors() {
    fallback_warning = keep("nitrix.errors", "NitrixBackendFallback");
    fallback_error = keep("nitrix.errors", "NitrixFallbackError");
    verify_error = keep("nitrix.errors", "NitrixVerifyError");
    warn = keep("warnings", "warn");
    nitrix_set_warning_callback(on_warning, nullptr);
}

} // namespace nitrix::python
