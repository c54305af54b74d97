// One op of the manifest, callable with Python's arrays through nitrix's generic entry points.
#pragma once

#include <nanobind/nanobind.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "array.h"
#include "nitrix/nitrix.h"
#include "options.h"

namespace nitrix::python {

class Op {
public:
    // An argument: its name, its core dimensions by name, and its dtype: "float32", or a type variable such as "T"
    // that stands for one dtype per call.
    using Argument = std::tuple<std::string, std::vector<std::string>, std::string>;

    Op(std::string name, const std::vector<Argument> &inputs, const std::vector<Argument> &outputs,
       std::vector<std::string> attributes, const std::vector<std::string> &optional,
       const std::map<std::string, std::string> &like, bool shape_by_library,
       const std::map<std::string, std::vector<std::string>> &algebras, bool free_outputs);

    // `attributes` holds one value per attribute name, None for the default. `out` is None, an array, or for ops with
    // several outputs a tuple of them. Gives back what the first input is: a NumPy array, or its library's kind.
    // Warnings are those of the caller so many frames of Python up, as in warnings.warn.
    nb::object call(nb::tuple inputs, nb::tuple attributes, nb::handle out, nb::handle backend, nb::handle threads,
                    nb::handle variant, nb::handle mode, int stacklevel) const;
    nb::object call_from_python(nb::tuple inputs, nb::tuple attributes, nb::handle out, nb::handle backend,
                                nb::handle threads, nb::handle variant, nb::handle mode) const {
        return call(inputs, attributes, out, backend, threads, variant, mode, 2); // by a function of nitrix
    }

    // nitrix_explain's JSON for that call.
    std::string explain(nb::tuple inputs, nb::tuple attributes, nb::handle backend, nb::handle threads,
                        nb::handle variant, nb::handle mode) const;

    size_t workspace_size(nb::tuple inputs, nb::tuple attributes, nb::handle backend, nb::handle threads,
                          nb::handle variant, nb::handle mode) const;

    // Of the first output.
    nb::tuple output_shape(nb::tuple inputs, nb::tuple attributes) const;

    const std::string &name() const { return name_; }
    size_t n_inputs() const { return inputs_.size(); }
    const std::vector<std::string> &attributes() const { return attributes_; }

private:
    struct Operand {
        std::string name;
        std::vector<int> dims; // indices into dim_names_
        int type_variable;     // index into a call's bindings, or -1: `dtype` it is
        DLDataType dtype;
        bool optional = false;                  // an input that may be None
        int like = -1;                          // of an output: the input whose leading dimensions it has
        std::vector<std::string> algebras = {}; // that have it; none: all
    };
    struct Inference;

    Operand operand(const Argument &argument, std::vector<std::string> *type_variables);
    void read_inputs(nb::tuple inputs, ArrayList *arrays, Inference *found) const;
    void bind_dtype(const Operand &operand, DLDataType dtype, Inference *found) const;
    void bind_shape(const Operand &operand, const DLTensor &tensor, Inference *found) const;
    void broadcast(const Operand &operand, const DLTensor &tensor, int core, Inference *found) const;
    // given: an output of the caller's, which says what a dimension is that no input has.
    void shape_of(size_t output, const Inference &found, const AttributeList &attributes, ArrayList *arrays,
                  DLDataType *dtype, int *ndim, int64_t *shape, const DLTensor *given = nullptr) const;
    // Whether a call with these attributes has that argument.
    static bool has(const Operand &operand, const AttributeList &attributes);
    void read_out(nb::handle out, const std::string &name, size_t output, const Inference &found,
                  const AttributeList &attributes, ArrayList *arrays) const;
    // All that explain and workspace_size have in common: inputs, and outputs without memory.
    void describe(nb::tuple inputs, const AttributeList &attributes, ArrayList *arrays) const;
    [[noreturn]] void raise_status(nitrix_status status, const std::string &message, ArrayList *arrays) const;
    std::string signature() const;

    std::string name_;
    std::vector<Operand> inputs_, outputs_;
    std::vector<std::string> attributes_, dim_names_;
    bool shape_by_library_; // no gufunc signature: nitrix_output_shape knows the rule
};

} // namespace nitrix::python
