// How Python's arrays become DLTensors: NumPy arrays through their C structure, everything else through __dlpack__.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <string>

#include "nitrix/dlpack.h"

namespace nitrix::python {

namespace nb = nanobind;

constexpr int max_dims = 64; // NumPy's own limit
constexpr int max_arrays = 16;

// One argument as C sees it. Shape and strides are copies: another thread may assign array.shape while the GIL is free.
struct ArrayView {
    DLTensor tensor;
    int64_t shape[max_dims];
    int64_t strides[max_dims];
};

// The arrays of one call, and the DLPack capsules that keep some of them alive until it returns.
class ArrayList {
public:
    ArrayList() = default;
    ArrayList(const ArrayList &) = delete;
    ArrayList &operator=(const ArrayList &) = delete;
    ~ArrayList();

    // Appends `object` or raises an exception that names the argument. `op` and `name` appear in messages only.
    ArrayView &append_input(PyObject *object, const std::string &op, const std::string &name);
    ArrayView &append_output(PyObject *object, const std::string &op, const std::string &name);
    // Appends an array of this kind and shape that has no memory: what explain and workspace_size need of an output.
    ArrayView &append_shape(DLDataType dtype, int ndim, const int64_t *shape);

    // An optional array that was left out.
    void append_missing();

    int size() const { return size_; }
    ArrayView &operator[](int i) { return views_[i]; }
    DLTensor *const *tensors() const { return tensors_; }

private:
    ArrayView &append(PyObject *object, const std::string &op, const std::string &name, bool written);

    int size_ = 0;
    PyObject *capsules_[max_arrays] = {};
    DLTensor *tensors_[max_arrays];
    ArrayView views_[max_arrays]; // not initialised on purpose: a call touches only what it uses
};

// Loads NumPy's C interface; called once, when the extension is imported.
void import_numpy();

bool is_numpy_array(PyObject *object);

// A new row-major NumPy array of uninitialised memory: of a megabyte or more, nitrix_allocate's.
nb::object new_numpy_array(DLDataType dtype, int ndim, const int64_t *shape, const std::string &op);

// numpy.empty, always in nitrix_allocate's memory.
nb::object empty(nb::handle shape, nb::handle dtype);

// A NumPy array over `tensor`'s memory, which `owner` keeps alive: row-major, not to be written.
nb::object view_numpy_array(const DLTensor &tensor, nb::handle owner);

// Of an array of that shape, sizes of 0 taken for 1; not counted past `enough`, which is below 2^31.
int64_t elements_up_to(int64_t enough, int ndim, const int64_t *shape);

bool same_dtype(DLDataType a, DLDataType b);
std::string dtype_name(DLDataType dtype);
// The dtype of a manifest's name ("float32"); false if there is none.
bool dtype_from_name(const std::string &name, DLDataType *dtype);
std::string shape_text(int ndim, const int64_t *shape);

} // namespace nitrix::python
