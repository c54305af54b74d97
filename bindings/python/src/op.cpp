#include "op.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "errors.h"
#include "json.h"
#include "options.h"

namespace nitrix::python {

namespace {

constexpr int max_core_dims = 16;
constexpr int max_type_variables = 4;

int index_of(std::vector<std::string> *names, const std::string &name) {
    const auto found = std::find(names->begin(), names->end(), name);
    if (found != names->end())
        return static_cast<int>(found - names->begin());
    names->push_back(name);
    return static_cast<int>(names->size()) - 1;
}

// Giving up the GIL and taking it again costs 0.03 us, a product of 8 x 8 0.2.
bool is_soon_done(ArrayList &arrays) {
    constexpr int64_t few = 1024;
    int64_t elements = 0;
    for (int i = 0; i < arrays.size() && elements < few; ++i)
        elements += elements_up_to(few, arrays[i].tensor.ndim, arrays[i].tensor.shape);
    return elements < few;
}

std::string plural(size_t n, const char *noun) { return text(n, " ", noun, n == 1 ? "" : "s"); }

} // namespace

// What the inputs of a call say about its outputs.
struct Op::Inference {
    int64_t extent[max_core_dims];
    const Operand *extent_from[max_core_dims] = {};
    DLDataType dtype[max_type_variables];
    const Operand *dtype_from[max_type_variables] = {};
    int batch_ndim = 0;
    int64_t batch[max_dims]; // last dimension first: broadcasting aligns the ends
};

Op::Op(std::string name, const std::vector<Argument> &inputs, const std::vector<Argument> &outputs,
       std::vector<std::string> attributes, const std::vector<std::string> &optional,
       const std::map<std::string, std::string> &like, bool shape_by_library,
       const std::map<std::string, std::vector<std::string>> &algebras, bool free_outputs)
    : name_(std::move(name)), attributes_(std::move(attributes)), shape_by_library_(shape_by_library) {
    std::vector<std::string> type_variables;
    for (const Argument &argument : inputs)
        inputs_.push_back(operand(argument, &type_variables));
    const size_t input_dims = dim_names_.size(), input_types = type_variables.size();
    for (const Argument &argument : outputs)
        outputs_.push_back(operand(argument, &type_variables));
    const bool dims_known = dim_names_.size() == input_dims || shape_by_library || free_outputs;
    if (!dims_known || type_variables.size() > input_types)
        raise(PyExc_ValueError, name_, ": an output has a dimension or a dtype that no input has");
    if (inputs_.empty() || outputs_.empty() || inputs_.size() + outputs_.size() > max_arrays ||
        dim_names_.size() > max_core_dims || type_variables.size() > max_type_variables)
        raise(PyExc_ValueError, name_, ": too few or too many arrays, dimensions or type variables");
    for (size_t i = 0; i < inputs_.size(); ++i) {
        inputs_[i].optional = std::find(optional.begin(), optional.end(), inputs_[i].name) != optional.end() ||
                              algebras.count(inputs_[i].name);
        for (Operand &output : outputs_)
            if (like.count(output.name) && like.at(output.name) == inputs_[i].name)
                output.like = static_cast<int>(i);
    }
    for (Operand &output : outputs_)
        if (const auto named = algebras.find(output.name); named != algebras.end())
            output.algebras = named->second;
}

bool Op::has(const Operand &operand, const AttributeList &attributes) {
    if (operand.algebras.empty())
        return true;
    const char *semiring = "real";
    for (int i = 0; i < attributes.size(); ++i)
        if (!std::strcmp(attributes.data()[i].name, "semiring") && attributes.data()[i].s)
            semiring = attributes.data()[i].s;
    return std::find(operand.algebras.begin(), operand.algebras.end(), semiring) != operand.algebras.end();
}

Op::Operand Op::operand(const Argument &argument, std::vector<std::string> *type_variables) {
    const auto &[name, dims, dtype] = argument;
    Operand operand{name, {}, -1, {}, false, -1};
    for (const std::string &dim : dims)
        operand.dims.push_back(index_of(&dim_names_, dim));
    if (!dtype_from_name(dtype, &operand.dtype))
        operand.type_variable = index_of(type_variables, dtype);
    return operand;
}

void Op::bind_dtype(const Operand &operand, DLDataType dtype, Inference *found) const {
    const int variable = operand.type_variable;
    if (variable < 0) {
        if (!same_dtype(dtype, operand.dtype))
            raise(PyExc_TypeError, name_, ": ", operand.name, " is ", dtype_name(dtype), " but must be ",
                  dtype_name(operand.dtype), ": convert it");
    } else if (!found->dtype_from[variable]) {
        found->dtype_from[variable] = &operand;
        found->dtype[variable] = dtype;
    } else if (!same_dtype(dtype, found->dtype[variable])) {
        raise(PyExc_TypeError, name_, ": ", operand.name, " is ", dtype_name(dtype), " but ",
              found->dtype_from[variable]->name, " is ", dtype_name(found->dtype[variable]),
              "; nitrix does not promote dtypes: convert one of them");
    }
}

void Op::bind_shape(const Operand &operand, const DLTensor &tensor, Inference *found) const {
    const int core = static_cast<int>(operand.dims.size());
    if (tensor.ndim < core)
        raise(PyExc_ValueError, name_, ": ", operand.name, " has shape ", shape_text(tensor.ndim, tensor.shape),
              " but must have at least ", plural(core, "dimension"), ": ", signature());
    const int64_t *shape = tensor.shape + (tensor.ndim - core);
    for (int d = 0; d < core; ++d) {
        const int dim = operand.dims[d];
        if (!found->extent_from[dim]) {
            found->extent_from[dim] = &operand;
            found->extent[dim] = shape[d];
        } else if (shape[d] != found->extent[dim]) {
            raise(PyExc_ValueError, name_, ": ", operand.name, " has shape ", shape_text(tensor.ndim, tensor.shape),
                  ", so ", dim_names_[dim], " = ", shape[d], ", but ", found->extent_from[dim]->name, " has ",
                  dim_names_[dim], " = ", found->extent[dim], ": ", signature());
        }
    }
    if (tensor.ndim > core)
        broadcast(operand, tensor, core, found);
}

void Op::broadcast(const Operand &operand, const DLTensor &tensor, int core, Inference *found) const {
    const int batch = tensor.ndim - core;
    const auto extent = [&](int d) { return tensor.shape[batch - 1 - d]; };
    const int shared = std::min(batch, found->batch_ndim);
    for (int d = 0; d < shared; ++d)
        if (extent(d) != 1 && found->batch[d] != 1 && extent(d) != found->batch[d]) {
            int64_t others[max_dims];
            std::reverse_copy(found->batch, found->batch + found->batch_ndim, others);
            raise(PyExc_ValueError, name_, ": the leading dimensions of ", operand.name, ", ",
                  shape_text(batch, tensor.shape), ", do not broadcast with those of the arrays before it, ",
                  shape_text(found->batch_ndim, others));
        }
    for (int d = 0; d < batch; ++d)
        if (d >= shared || found->batch[d] == 1)
            found->batch[d] = extent(d);
    found->batch_ndim = std::max(found->batch_ndim, batch);
}

void Op::read_inputs(nb::tuple inputs, ArrayList *arrays, Inference *found) const {
    if (inputs.size() != inputs_.size())
        raise(PyExc_TypeError, name_, ": takes ", plural(inputs_.size(), "array"), ", got ", inputs.size());
    for (size_t i = 0; i < inputs_.size(); ++i) {
        const Operand &operand = inputs_[i];
        if (operand.optional && PyTuple_GET_ITEM(inputs.ptr(), i) == Py_None) {
            arrays->append_missing();
            continue;
        }
        const DLTensor &tensor = arrays->append_input(PyTuple_GET_ITEM(inputs.ptr(), i), name_, operand.name).tensor;
        bind_dtype(operand, tensor.dtype, found);
        if (!shape_by_library_)
            bind_shape(operand, tensor, found);
    }
}

void Op::shape_of(size_t i, const Inference &found, const AttributeList &attributes, ArrayList *arrays,
                  DLDataType *dtype, int *ndim, int64_t *shape, const DLTensor *given) const {
    const Operand &output = outputs_[i];
    const int core = static_cast<int>(output.dims.size());
    *dtype = output.type_variable < 0 ? output.dtype : found.dtype[output.type_variable];
    if (output.like >= 0) {
        const DLTensor &tensor = (*arrays)[output.like].tensor;
        *ndim = tensor.ndim;
        std::copy(tensor.shape, tensor.shape + tensor.ndim, shape);
        return;
    }
    if (shape_by_library_) {
        const nitrix_status status = nitrix_output_shape(
            name_.c_str(), arrays->tensors(), static_cast<int32_t>(inputs_.size() + outputs_.size()), attributes.data(),
            attributes.size(), static_cast<int32_t>(i), shape, ndim);
        if (status != NITRIX_OK)
            raise_status(status, nitrix_last_error(), arrays);
        return;
    }
    *ndim = found.batch_ndim + core;
    if (*ndim > max_dims)
        raise(PyExc_ValueError, name_, ": ", output.name, " would have ", *ndim, " dimensions; nitrix takes at most ",
              max_dims);
    std::reverse_copy(found.batch, found.batch + found.batch_ndim, shape);
    for (int d = 0; d < core; ++d) {
        const bool known = found.extent_from[output.dims[d]];
        if (!known && !(given && given->ndim == *ndim))
            raise(PyExc_ValueError, name_, ": no input says how large the dimension ", dim_names_[output.dims[d]],
                  " of ", output.name, " is: pass out=");
        shape[found.batch_ndim + d] = known ? found.extent[output.dims[d]] : given->shape[found.batch_ndim + d];
    }
}

void Op::read_out(nb::handle out, const std::string &name, size_t output, const Inference &found,
                  const AttributeList &attributes, ArrayList *arrays) const {
    const DLTensor &tensor = arrays->append_output(out.ptr(), name_, name).tensor;
    DLDataType dtype;
    int ndim;
    int64_t shape[max_dims];
    shape_of(output, found, attributes, arrays, &dtype, &ndim, shape, &tensor);
    if (!same_dtype(tensor.dtype, dtype))
        raise(PyExc_TypeError, name_, ": ", name, " is ", dtype_name(tensor.dtype), " but the result is ",
              dtype_name(dtype));
    if (tensor.ndim != ndim || !std::equal(shape, shape + ndim, tensor.shape))
        raise(PyExc_ValueError, name_, ": ", name, " has shape ", shape_text(tensor.ndim, tensor.shape),
              " but the result has shape ", shape_text(ndim, shape));
}

nb::object Op::call(nb::tuple inputs, nb::tuple attributes, nb::handle out, nb::handle backend, nb::handle threads,
                    nb::handle variant, nb::handle mode, int stacklevel) const {
    const nitrix_options options = read_options(name_, backend, threads, variant, mode);
    const AttributeList attribute_list(name_, attributes_, attributes);
    ArrayList arrays;
    Inference found;
    read_inputs(inputs, &arrays, &found);

    size_t n = 0; // outputs of this call
    for (const Operand &output : outputs_)
        n += has(output, attribute_list);
    nb::object result = nb::borrow(out);
    if (!out.is_none() && n > 1 && !(PyTuple_Check(out.ptr()) && nb::len(out) == n))
        raise(PyExc_TypeError, name_, ": out must be a tuple of ", plural(n, "array"));
    if (out.is_none() && n > 1)
        result = nb::steal(PyTuple_New(n));
    size_t i = 0;
    for (size_t o = 0; o < outputs_.size(); ++o) {
        const Operand &output = outputs_[o];
        if (!has(output, attribute_list)) {
            arrays.append_missing();
            continue;
        }
        if (!out.is_none()) {
            read_out(n == 1 ? out : nb::handle(PyTuple_GET_ITEM(out.ptr(), i)), n == 1 ? "out" : text("out[", i, "]"),
                     o, found, attribute_list, &arrays);
        } else {
            DLDataType dtype;
            int ndim;
            int64_t shape[max_dims];
            shape_of(o, found, attribute_list, &arrays, &dtype, &ndim, shape);
            nb::object array = new_numpy_array(dtype, ndim, shape, name_);
            arrays.append_output(array.ptr(), name_, output.name).tensor.dtype = dtype;
            if (n == 1)
                result = std::move(array);
            else
                PyTuple_SET_ITEM(result.ptr(), i, array.release().ptr());
        }
        ++i;
    }

    WarningCollector warnings;
    nitrix_status status;
    {
        std::optional<nb::gil_scoped_release> release;
        if (!is_soon_done(arrays))
            release.emplace();
        status = nitrix_call(name_.c_str(), arrays.tensors(), arrays.size(), attribute_list.data(),
                             attribute_list.size(), &options);
    }
    if (status != NITRIX_OK) {
        const std::string message = nitrix_last_error(); // a warning's filter may call nitrix
        warnings.deliver(stacklevel);
        raise_status(status, message, &arrays);
    }
    warnings.deliver(stacklevel);
    // Only now: the memory of an immutable kind (JAX) must not change once it has been handed over.
    if (out.is_none() &&
        (!is_numpy_array(PyTuple_GET_ITEM(inputs.ptr(), 0)) || arrays[0].tensor.dtype.code == kDLBfloat))
        return nb::module_::import_("nitrix._kinds").attr("as_kind_of")(inputs[0], result);
    return result;
}

void Op::describe(nb::tuple inputs, const AttributeList &attributes, ArrayList *arrays) const {
    Inference found;
    read_inputs(inputs, arrays, &found);
    for (size_t i = 0; i < outputs_.size(); ++i) {
        if (!has(outputs_[i], attributes)) {
            arrays->append_missing();
            continue;
        }
        DLDataType dtype;
        int ndim;
        int64_t shape[max_dims];
        shape_of(i, found, attributes, arrays, &dtype, &ndim, shape);
        arrays->append_shape(dtype, ndim, shape);
    }
}

nb::tuple Op::output_shape(nb::tuple inputs, nb::tuple attributes) const {
    ArrayList arrays;
    describe(inputs, AttributeList(name_, attributes_, attributes), &arrays);
    const DLTensor &output = arrays[static_cast<int>(inputs_.size())].tensor;
    nb::list shape;
    for (int d = 0; d < output.ndim; ++d)
        shape.append(output.shape[d]);
    return nb::tuple(shape);
}

std::string Op::explain(nb::tuple inputs, nb::tuple attributes, nb::handle backend, nb::handle threads,
                        nb::handle variant, nb::handle mode) const {
    const nitrix_options options = read_options(name_, backend, threads, variant, mode);
    const AttributeList attribute_list(name_, attributes_, attributes);
    ArrayList arrays;
    describe(inputs, attribute_list, &arrays);
    return read_json([&](char *buffer, size_t capacity, size_t *needed) {
        return nitrix_explain(name_.c_str(), arrays.tensors(), arrays.size(), attribute_list.data(),
                              attribute_list.size(), &options, buffer, capacity, needed);
    });
}

size_t Op::workspace_size(nb::tuple inputs, nb::tuple attributes, nb::handle backend, nb::handle threads,
                          nb::handle variant, nb::handle mode) const {
    const nitrix_options options = read_options(name_, backend, threads, variant, mode);
    const AttributeList attribute_list(name_, attributes_, attributes);
    ArrayList arrays;
    describe(inputs, attribute_list, &arrays);
    size_t bytes = 0;
    const nitrix_status status = nitrix_workspace_size(name_.c_str(), arrays.tensors(), arrays.size(),
                                                       attribute_list.data(), attribute_list.size(), &options, &bytes);
    if (status != NITRIX_OK)
        raise_status(status, nitrix_last_error(), &arrays);
    return bytes;
}

// nitrix says which dtypes the op takes; the hint says how to get there from Python.
void Op::raise_status(nitrix_status status, const std::string &message, ArrayList *arrays) const {
    if (status == NITRIX_ERROR_TYPE)
        for (size_t i = 0; i < inputs_.size(); ++i) {
            const DLDataType dtype = (*arrays)[static_cast<int>(i)].tensor.dtype;
            const bool given = dtype.bits > 0;
            if (given && (dtype.code == kDLInt || dtype.code == kDLUInt || dtype.code == kDLBool))
                python::raise_status(status, text(message, " (", inputs_[i].name, " is ", dtype_name(dtype),
                                                  "; nitrix does not promote dtypes: convert it, as in ",
                                                  inputs_[i].name, ".astype(numpy.float32))"));
        }
    python::raise_status(status, message);
}

std::string Op::signature() const {
    std::string result;
    const auto append = [&](const std::vector<Operand> &operands) {
        for (size_t i = 0; i < operands.size(); ++i) {
            result += i ? ",(" : "(";
            for (size_t d = 0; d < operands[i].dims.size(); ++d)
                result += (d ? "," : "") + dim_names_[operands[i].dims[d]];
            result += ")";
        }
    };
    append(inputs_);
    result += "->";
    append(outputs_);
    return result;
}

} // namespace nitrix::python
