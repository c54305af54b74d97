#include "array.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstring>
#include <optional>

#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION // handlers of memory
#include <numpy/arrayobject.h>

#include "errors.h"
#include "nitrix/nitrix.h"

namespace nitrix::python {

namespace {

static_assert(sizeof(npy_intp) == sizeof(int64_t), "nitrix supports 64-bit platforms only");
static_assert(NPY_MAXDIMS <= max_dims, "NumPy arrays may have more dimensions than an ArrayView");

struct NamedDtype {
    const char *name;
    DLDataType dtype;
    int numpy_type;
};

constexpr NamedDtype named_dtypes[] = {
    {"bool", {kDLBool, 8, 1}, NPY_BOOL},
    {"uint8", {kDLUInt, 8, 1}, NPY_UINT8},
    {"uint16", {kDLUInt, 16, 1}, NPY_UINT16},
    {"uint32", {kDLUInt, 32, 1}, NPY_UINT32},
    {"uint64", {kDLUInt, 64, 1}, NPY_UINT64},
    {"int8", {kDLInt, 8, 1}, NPY_INT8},
    {"int16", {kDLInt, 16, 1}, NPY_INT16},
    {"int32", {kDLInt, 32, 1}, NPY_INT32},
    {"int64", {kDLInt, 64, 1}, NPY_INT64},
    {"float16", {kDLFloat, 16, 1}, NPY_FLOAT16},
    {"float32", {kDLFloat, 32, 1}, NPY_FLOAT32},
    {"float64", {kDLFloat, 64, 1}, NPY_FLOAT64},
    {"bfloat16", {kDLBfloat, 16, 1}, NPY_UINT16}, // its bits: bindings/python/nitrix/_kinds.py says what they are
    {"complex64", {kDLComplex, 64, 1}, NPY_COMPLEX64},
    {"complex128", {kDLComplex, 128, 1}, NPY_COMPLEX128},
};

// False for what DLPack has no name for: strings, dates, objects, records, long double.
bool dlpack_dtype(PyArrayObject *array, DLDataType *dtype) {
    const int type = PyArray_TYPE(array);
    // ml_dtypes registers it; its type's name is all that is known of it here.
    if (PyTypeNum_ISUSERDEF(type) && PyArray_ITEMSIZE(array) == 2 &&
        std::strstr(PyArray_DESCR(array)->typeobj->tp_name, "bfloat16")) {
        *dtype = {kDLBfloat, 16, 1};
        return true;
    }
    uint8_t code;
    if (type == NPY_FLOAT32 || type == NPY_FLOAT64 || type == NPY_FLOAT16)
        code = kDLFloat;
    else if (type == NPY_BOOL)
        code = kDLBool;
    else if (PyTypeNum_ISSIGNED(type))
        code = kDLInt;
    else if (PyTypeNum_ISUNSIGNED(type))
        code = kDLUInt;
    else if (type == NPY_COMPLEX64 || type == NPY_COMPLEX128)
        code = kDLComplex;
    else
        return false;
    *dtype = {code, static_cast<uint8_t>(8 * PyArray_ITEMSIZE(array)), 1};
    return true;
}

std::string type_name(PyObject *object) { return Py_TYPE(object)->tp_name; }

std::string numpy_dtype_text(PyArrayObject *array) {
    nb::object text = nb::steal(PyObject_Str(reinterpret_cast<PyObject *>(PyArray_DESCR(array))));
    return text.is_valid() ? nb::cast<std::string>(text) : (PyErr_Clear(), std::string("?"));
}

void view_numpy(PyArrayObject *array, const std::string &op, const std::string &name, bool written, ArrayView &view) {
    DLTensor &t = view.tensor;
    if (!dlpack_dtype(array, &t.dtype))
        raise(PyExc_TypeError, op, ": ", name, " has dtype ", numpy_dtype_text(array), ", which nitrix does not know");
    if (!PyArray_ISNOTSWAPPED(array))
        raise(PyExc_TypeError, op, ": ", name, " has dtype ", numpy_dtype_text(array),
              ", whose bytes are not in this machine's order: convert it with ", name, ".astype(", name,
              ".dtype.newbyteorder('='))");
    if (written && !PyArray_ISWRITEABLE(array))
        raise(PyExc_ValueError, op, ": ", name, " is read-only");
    t.data = PyArray_DATA(array);
    t.device = {kDLCPU, 0};
    t.ndim = PyArray_NDIM(array);
    t.shape = view.shape;
    t.strides = view.strides;
    t.byte_offset = 0;
    const npy_intp *shape = PyArray_DIMS(array), *strides = PyArray_STRIDES(array);
    const npy_intp item = PyArray_ITEMSIZE(array);
    for (int d = 0; d < t.ndim; ++d) {
        view.shape[d] = shape[d];
        view.strides[d] = strides[d] / item;
        if (view.strides[d] * item != strides[d] && shape[d] > 1)
            raise(PyExc_ValueError, op, ": ", name, " has a stride of ", strides[d],
                  " bytes, which is not a multiple of ", "its item size ", item,
                  ": copy it with numpy.ascontiguousarray(", name, ")");
    }
}

// x.__dlpack__(), asking for a versioned capsule first: only that one says whether the memory may be written.
nb::object export_capsule(PyObject *object, const std::string &op, const std::string &name) {
    static PyObject *const method = PyUnicode_InternFromString("__dlpack__");
    static PyObject *const keywords = Py_BuildValue("(s)", "max_version");
    static PyObject *const version = Py_BuildValue("(ii)", DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION);
    if (!PyObject_HasAttr(object, method))
        raise(PyExc_TypeError, op, ": ", name, " is of type ", type_name(object),
              "; nitrix takes NumPy arrays and objects with __dlpack__ (PyTorch, JAX, CuPy, ...): convert it with "
              "numpy.asarray(",
              name, ", dtype=...)");
    PyObject *const arguments[] = {object, version};
    nb::object capsule = nb::steal(PyObject_VectorcallMethod(method, arguments, 1, keywords));
    if (!capsule.is_valid() && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear(); // a producer from before DLPack 1.0 does not know max_version
        capsule = nb::steal(PyObject_VectorcallMethod(method, arguments, 1, nullptr));
    }
    if (!capsule.is_valid()) {
        add_note("nitrix called __dlpack__ on argument " + name + " of " + op);
        throw nb::python_error();
    }
    return capsule;
}

// The capsule is never marked as consumed: it stays the owner, and frees the tensor when the call drops it.
PyObject *view_dlpack(PyObject *object, const std::string &op, const std::string &name, bool written, ArrayView &view) {
    nb::object capsule = export_capsule(object, op, name);
    const DLTensor *tensor;
    if (PyCapsule_IsValid(capsule.ptr(), "dltensor_versioned")) {
        const auto *managed =
            static_cast<DLManagedTensorVersioned *>(PyCapsule_GetPointer(capsule.ptr(), "dltensor_versioned"));
        if (managed->version.major != DLPACK_MAJOR_VERSION)
            raise(PyExc_TypeError, op, ": ", name, " (", type_name(object), ") speaks DLPack ", managed->version.major,
                  ".", managed->version.minor, "; nitrix speaks ", DLPACK_MAJOR_VERSION, ".", DLPACK_MINOR_VERSION);
        if (written && (managed->flags & DLPACK_FLAG_BITMASK_READ_ONLY))
            raise(PyExc_ValueError, op, ": ", name, " is read-only");
        if (written && (managed->flags & DLPACK_FLAG_BITMASK_IS_COPIED))
            raise(PyExc_ValueError, op, ": ", name, " (", type_name(object),
                  ") gave a copy of its memory, so nothing can be written to it");
        tensor = &managed->dl_tensor;
    } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor")) {
        tensor = &static_cast<DLManagedTensor *>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"))->dl_tensor;
    } else {
        raise(PyExc_TypeError, op, ": ", name, " (", type_name(object), ") returned no DLPack capsule from __dlpack__");
    }
    if (tensor->device.device_type != kDLCPU && tensor->device.device_type != kDLCUDAHost)
        raise(PyExc_TypeError, op, ": ", name, " (", type_name(object), ") is not in CPU memory (DLPack device type ",
              static_cast<int>(tensor->device.device_type), "): move it to the CPU first");
    if (tensor->ndim < 0 || tensor->ndim > max_dims)
        raise(PyExc_ValueError, op, ": ", name, " has ", tensor->ndim, " dimensions; nitrix takes at most ", max_dims);
    view.tensor = *tensor;
    view.tensor.device = {kDLCPU, 0}; // pinned memory (CUDAHost) is ordinary memory to the CPU
    view.tensor.shape = view.shape;
    std::memcpy(view.shape, tensor->shape, sizeof(int64_t) * tensor->ndim);
    if (tensor->strides) {
        view.tensor.strides = view.strides;
        std::memcpy(view.strides, tensor->strides, sizeof(int64_t) * tensor->ndim);
    }
    return capsule.release().ptr();
}

} // namespace

void import_numpy() {
    if (PyArray_ImportNumPyAPI() < 0)
        throw nb::python_error();
}

bool is_numpy_array(PyObject *object) { return PyArray_Check(object); }

ArrayList::~ArrayList() {
    for (int i = 0; i < size_; ++i)
        Py_XDECREF(capsules_[i]);
}

ArrayView &ArrayList::append(PyObject *object, const std::string &op, const std::string &name, bool written) {
    ArrayView &view = views_[size_];
    if (PyArray_CheckExact(object)) {
        view_numpy(reinterpret_cast<PyArrayObject *>(object), op, name, written, view);
    } else if (PyArray_Check(object)) {
        if (PyObject_HasAttrString(object, "mask"))
            raise(PyExc_TypeError, op, ": ", name,
                  " is a masked array, and nitrix would not see its mask: fill it with ", name, ".filled(...)");
        view_numpy(reinterpret_cast<PyArrayObject *>(object), op, name, written, view);
    } else {
        capsules_[size_] = view_dlpack(object, op, name, written, view);
    }
    tensors_[size_++] = &view.tensor;
    return view;
}

ArrayView &ArrayList::append_input(PyObject *object, const std::string &op, const std::string &name) {
    return append(object, op, name, false);
}

ArrayView &ArrayList::append_output(PyObject *object, const std::string &op, const std::string &name) {
    return append(object, op, name, true);
}

ArrayView &ArrayList::append_shape(DLDataType dtype, int ndim, const int64_t *shape) {
    ArrayView &view = views_[size_];
    std::memcpy(view.shape, shape, sizeof(int64_t) * ndim);
    view.tensor = {nullptr, {kDLCPU, 0}, ndim, dtype, view.shape, nullptr, 0};
    tensors_[size_++] = &view.tensor;
    return view;
}

void ArrayList::append_missing() {
    views_[size_].tensor = {};
    tensors_[size_++] = nullptr;
}

namespace {

// NumPy's view of nitrix_allocate (NEP 49).
void *allocate(void *, size_t bytes) { return nitrix_allocate(bytes); }

void *allocate_zeros(void *, size_t n, size_t size) {
    void *const memory = size && n > SIZE_MAX / size ? nullptr : nitrix_allocate(n * size);
    return memory ? std::memset(memory, 0, n * size) : nullptr;
}

void release(void *, void *memory, size_t) { nitrix_release(memory); }

void *reallocate(void *, void *memory, size_t bytes) {
    void *const moved = nitrix_allocate(bytes);
    if (moved && memory) {
        std::memcpy(moved, memory, std::min(bytes, nitrix_allocated_size(memory)));
        nitrix_release(memory);
    }
    return moved;
}

PyDataMem_Handler memory_handler = {"nitrix", 1, {nullptr, allocate, allocate_zeros, reallocate, release}};

// Arrays that NumPy makes while it lives have their memory from nitrix_allocate.
class OwnMemory {
public:
    OwnMemory() {
        const nb::object own = nb::steal(PyCapsule_New(&memory_handler, "mem_handler", nullptr));
        before_ = own.is_valid() ? PyDataMem_SetHandler(own.ptr()) : nullptr;
        if (!before_)
            throw nb::python_error();
    }
    ~OwnMemory() {
        PyObject *const own = PyDataMem_SetHandler(before_);
        if (!own)
            PyErr_Clear();
        Py_XDECREF(own);
        Py_DECREF(before_);
    }
    OwnMemory(const OwnMemory &) = delete;
    OwnMemory &operator=(const OwnMemory &) = delete;

private:
    PyObject *before_;
};

} // namespace

nb::object new_numpy_array(DLDataType dtype, int ndim, const int64_t *shape, const std::string &op) {
    int type = NPY_NOTYPE;
    for (const NamedDtype &named : named_dtypes)
        if (same_dtype(named.dtype, dtype))
            type = named.numpy_type;
    if (type == NPY_NOTYPE)
        raise(PyExc_TypeError, op, ": NumPy has no dtype ", dtype_name(dtype), " for the result: pass out=");
    if (ndim > NPY_MAXDIMS)
        raise(PyExc_ValueError, op, ": the result has ", ndim, " dimensions; NumPy takes at most ", NPY_MAXDIMS);
    constexpr int64_t large = NITRIX_LEAST_KEPT;
    std::optional<OwnMemory> memory;
    if (elements_up_to(large, ndim, shape) * dtype.bits / 8 >= large)
        memory.emplace();
    // EMPTY only reads its shape.
    PyObject *array = PyArray_EMPTY(ndim, const_cast<npy_intp *>(reinterpret_cast<const npy_intp *>(shape)), type, 0);
    if (!array)
        throw nb::python_error();
    return nb::steal(array);
}

nb::object empty(nb::handle shape, nb::handle dtype) {
    PyArray_Dims dims{};
    PyArray_Descr *descriptor = nullptr;
    if (!PyArray_IntpConverter(shape.ptr(), &dims))
        throw nb::python_error();
    PyObject *array = nullptr;
    if (PyArray_DescrConverter(dtype.ptr(), &descriptor)) {
        const OwnMemory memory;
        array = PyArray_Empty(dims.len, dims.ptr, descriptor, 0);
    }
    PyDimMem_FREE(dims.ptr);
    if (!array)
        throw nb::python_error();
    return nb::steal(array);
}

nb::object view_numpy_array(const DLTensor &tensor, nb::handle owner) {
    int type = NPY_NOTYPE;
    for (const NamedDtype &named : named_dtypes)
        if (same_dtype(named.dtype, tensor.dtype))
            type = named.numpy_type;
    nb::object array =
        nb::steal(PyArray_New(&PyArray_Type, tensor.ndim, reinterpret_cast<const npy_intp *>(tensor.shape), type,
                              nullptr, tensor.data, 0, NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED, nullptr));
    if (!array)
        throw nb::python_error();
    // NumPy lets nobody make an array writable whose memory is another object's and was never writable.
    if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject *>(array.ptr()), owner.inc_ref().ptr()) < 0)
        throw nb::python_error();
    return array;
}

int64_t elements_up_to(int64_t enough, int ndim, const int64_t *shape) {
    int64_t n = 1;
    for (int d = 0; d < ndim && n < enough; ++d)
        n *= std::clamp<int64_t>(shape[d], 1, enough);
    return n;
}

bool same_dtype(DLDataType a, DLDataType b) { return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes; }

std::string dtype_name(DLDataType dtype) {
    for (const NamedDtype &named : named_dtypes)
        if (same_dtype(named.dtype, dtype))
            return named.name;
    return text("DLPack dtype (code ", int(dtype.code), ", bits ", int(dtype.bits), ", lanes ", dtype.lanes, ")");
}

bool dtype_from_name(const std::string &name, DLDataType *dtype) {
    for (const NamedDtype &named : named_dtypes)
        if (name == named.name) {
            *dtype = named.dtype;
            return true;
        }
    return false;
}

std::string shape_text(int ndim, const int64_t *shape) {
    std::string result = "(";
    for (int d = 0; d < ndim; ++d)
        result += (d ? ", " : "") + std::to_string(shape[d]);
    return result + (ndim == 1 ? ",)" : ")");
}

} // namespace nitrix::python
