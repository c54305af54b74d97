#include "direct.h"

#include <exception>
#include <new>

#include "errors.h"

namespace nitrix::python {

namespace {

PyObject *interned(const char *text) {
    PyObject *const string = PyUnicode_InternFromString(text);
    if (!string)
        throw nb::python_error();
    return string;
}

// Kept for the life of the process: an extension is never unloaded.
struct Names {
    PyObject *const semiring = interned("semiring"), *const out = interned("out"), *const threads = interned("threads"),
                    *const name = interned("name"), *const automatic = interned("auto"),
                    *const wrapped = interned("__wrapped__"), *const zero = PyLong_FromLong(0);
};

const Names &names() {
    static const Names all;
    return all;
}

} // namespace

Direct::Direct(const Op &op, nb::handle semiring)
    : op_(op), attributes_(nb::make_tuple(semiring.attr("name"))), semiring_type_(Py_TYPE(semiring.ptr())) {
    if (op.attributes() != std::vector<std::string>{"semiring"})
        raise(PyExc_ValueError, op.name(), ": its attributes must be its semiring alone");
    names();
}

bool Direct::is_plain(PyObject *args, PyObject *keywords, nb::object *attributes, nb::handle *out,
                      nb::handle *threads) const {
    if (PyTuple_GET_SIZE(args) != static_cast<Py_ssize_t>(op_.n_inputs()))
        return false;
    PyObject *key, *value;
    for (Py_ssize_t at = 0; keywords && PyDict_Next(keywords, &at, &key, &value);) {
        if (key == names().out) { // the names of keywords are interned
            *out = value;
        } else if (key == names().threads) {
            *threads = value;
        } else if (key == names().semiring && Py_TYPE(value) == semiring_type_) {
            *attributes = nb::make_tuple(nb::getattr(value, names().name));
        } else {
            return false;
        }
    }
    return true;
}

PyObject *Direct::call(PyObject *self, PyObject *args, PyObject *keywords) noexcept {
    try {
        const Direct &direct = *nb::inst_ptr<Direct>(self);
        nb::object attributes = direct.attributes_;
        nb::handle out = Py_None, threads = names().zero;
        if (direct.is_plain(args, keywords, &attributes, &out, &threads))
            return direct.op_
                .call(nb::borrow<nb::tuple>(args), nb::borrow<nb::tuple>(attributes), out, names().automatic, threads,
                      nb::none(), nb::none(), 1)
                .release()
                .ptr();
        return PyObject_Call(nb::getattr(self, names().wrapped).ptr(), args, keywords);
    } catch (nb::python_error &error) {
        error.restore();
    } catch (const std::bad_alloc &) {
        PyErr_NoMemory();
    } catch (const std::exception &error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

// As a function in a class becomes a method: inspect and help take what has this for a routine.
PyObject *Direct::bind(PyObject *self, PyObject *object, PyObject *) noexcept {
    if (!object || object == Py_None)
        return Py_NewRef(self);
    return PyMethod_New(self, object);
}

void Direct::define(nb::module_ &m) {
    static PyType_Slot slots[] = {{Py_tp_call, reinterpret_cast<void *>(&Direct::call)},
                                  {Py_tp_descr_get, reinterpret_cast<void *>(&Direct::bind)},
                                  {0, nullptr}};
    using namespace nb::literals;
    nb::class_<Direct>(m, "Direct", nb::type_slots(slots), nb::dynamic_attr())
        .def(nb::init<const Op &, nb::handle>(), "op"_a, "semiring"_a, nb::keep_alive<1, 2>())
        .def("__reduce__", [](nb::handle self) { return self.attr("__qualname__"); }); // pickled by name
}

} // namespace nitrix::python
