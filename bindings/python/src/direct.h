// A public function whose plain calls need no Python.
#pragma once

#include <nanobind/nanobind.h>

#include "op.h"

namespace nitrix::python {

// Stands for the Python function that is its `__wrapped__`, of an op whose one attribute is its semiring: a call with
// the op's arrays, and with semiring, out and threads at most, goes to the op at once; any other to that function.
// Python's frame, its defaults and tuples take as long as a product of 8 x 8.
class Direct {
public:
    // `semiring`: the default, whose `name` is the attribute, as that of all of its type.
    Direct(const Op &op, nb::handle semiring);

    static void define(nb::module_ &m);

private:
    static PyObject *call(PyObject *self, PyObject *args, PyObject *keywords) noexcept;
    static PyObject *bind(PyObject *self, PyObject *object, PyObject *type) noexcept;
    // Reads the keywords; false where Python has to see to them.
    bool is_plain(PyObject *args, PyObject *keywords, nb::object *attributes, nb::handle *out,
                  nb::handle *threads) const;

    const Op &op_;
    nb::object attributes_;
    const PyTypeObject *semiring_type_; // to compare with: a reference would be one of a cycle
};

} // namespace nitrix::python
