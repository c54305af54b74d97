#include "options.h"

#include <cstdint>
#include <cstring>
#include <limits>

#include "errors.h"

namespace nb = nanobind;

namespace nitrix::python {

namespace {

const char *utf8(PyObject *string) {
    const char *text = PyUnicode_AsUTF8(string);
    if (!text)
        throw nb::python_error();
    return text;
}

const char *optional_string(const std::string &op, const char *name, nb::handle value) {
    if (value.is_none())
        return nullptr;
    if (!PyUnicode_Check(value.ptr()))
        raise(PyExc_TypeError, op, ": ", name, " must be a string or None, got ", Py_TYPE(value.ptr())->tp_name);
    return utf8(value.ptr());
}

int64_t integer(PyObject *value) {
    const Py_ssize_t i = PyNumber_AsSsize_t(value, PyExc_OverflowError);
    if (i == -1 && PyErr_Occurred())
        throw nb::python_error();
    return i;
}

nitrix_mode read_mode(const std::string &op, nb::handle value) {
    const char *mode = optional_string(op, "mode", value);
    if (!mode)
        return NITRIX_MODE_DEFAULT;
    if (!std::strcmp(mode, "off"))
        return NITRIX_MODE_OFF;
    if (!std::strcmp(mode, "on"))
        return NITRIX_MODE_ON;
    if (!std::strcmp(mode, "verify"))
        return NITRIX_MODE_VERIFY;
    raise(PyExc_ValueError, op, ": mode must be None, 'off', 'on' or 'verify', got '", mode, "'");
}

int32_t read_threads(const std::string &op, nb::handle value) {
    if (!PyIndex_Check(value.ptr()))
        raise(PyExc_TypeError, op, ": threads must be an integer, got ", Py_TYPE(value.ptr())->tp_name);
    const Py_ssize_t threads = PyNumber_AsSsize_t(value.ptr(), nullptr); // clips what does not fit
    if (threads == -1 && PyErr_Occurred())
        throw nb::python_error();
    if (threads < 0 || threads > std::numeric_limits<int32_t>::max())
        raise(PyExc_ValueError, op, ": threads must be 0 (as configured) or a positive 32-bit number, got ",
              nb::str(value).c_str());
    return static_cast<int32_t>(threads);
}

} // namespace

nitrix_options read_options(const std::string &op, nb::handle backend, nb::handle threads, nb::handle variant,
                            nb::handle mode) {
    nitrix_options options = NITRIX_OPTIONS_INIT;
    options.backend = optional_string(op, "backend", backend);
    options.threads = read_threads(op, threads);
    options.variant = optional_string(op, "variant", variant);
    options.mode = read_mode(op, mode);
    return options;
}

AttributeList::AttributeList(const std::string &op, const std::vector<std::string> &names, nb::tuple values) {
    if (values.size() != names.size() || names.size() > max_attributes)
        raise(PyExc_ValueError, op, ": takes ", names.size(), " attributes, got ", values.size());
    for (size_t i = 0; i < names.size(); ++i) {
        PyObject *value = PyTuple_GET_ITEM(values.ptr(), i);
        if (value == Py_None)
            continue;
        nitrix_attribute &attribute = attributes_[size_++];
        attribute = {names[i].c_str(), NITRIX_ATTRIBUTE_INT, 0, 0, nullptr, nullptr};
        if (PyUnicode_Check(value)) {
            attribute.kind = NITRIX_ATTRIBUTE_STRING;
            attribute.s = utf8(value);
        } else if (PyFloat_Check(value)) {
            attribute.kind = NITRIX_ATTRIBUTE_FLOAT;
            attribute.f = PyFloat_AS_DOUBLE(value);
        } else if (PyIndex_Check(value)) {
            attribute.i = integer(value);
        } else if (PyTuple_Check(value) || PyList_Check(value)) {
            attribute.kind = NITRIX_ATTRIBUTE_INTS;
            std::vector<int64_t> &list = lists_.emplace_back();
            for (nb::handle entry : nb::borrow<nb::sequence>(value)) {
                if (!PyIndex_Check(entry.ptr()))
                    raise(PyExc_TypeError, op, ": ", names[i], " must hold integers, got ",
                          Py_TYPE(entry.ptr())->tp_name);
                list.push_back(integer(entry.ptr()));
            }
            attribute.i = static_cast<int64_t>(list.size());
            attribute.ints = list.data(); // survives a growing lists_: a moved vector keeps its memory
        } else {
            raise(PyExc_TypeError, op, ": ", names[i], " must be a string, a number or a sequence of integers, got ",
                  Py_TYPE(value)->tp_name);
        }
    }
}

} // namespace nitrix::python
