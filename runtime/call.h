// One call of one op: arrays bound to the op's signature, options resolved. Built and validated before any write.
#pragma once

#include "array.h"
#include "context.h"
#include "registry.h"

namespace nitrix {

struct Options {
    const Context *context;
    const char *backend; // nullptr: automatic
    const Variant *variant = nullptr;
    nitrix_mode mode = NITRIX_MODE_ON;
    bool reproducible = false;
    int threads = 1;
    char *workspace = nullptr;
    size_t workspace_size = 0;
};

struct Call {
    const Op *op;
    int op_index;
    int algebra = -1;
    DType dtype = DType::f32;
    Array arrays[max_arguments];
    int64_t dims[max_dims]; // the op's core dimensions and what its shape rule derives
    AttributeValue attributes[max_attributes];
    int core_rank[max_arguments]; // of the arrays as given; bind_call then pads views of them to the arguments' ranks
    int batch_rank = 0;
    int64_t batch[max_rank]; // broadcast leading dimensions
    Options options;
    bool has_data = true;

    int64_t batch_size() const {
        int64_t n = 1;
        for (int d = 0; d < batch_rank; ++d)
            n *= batch[d];
        return n;
    }
    const char *algebra_name() const { return algebra < 0 ? "" : algebras[algebra].name; }
};

// The attribute of that name, which the op has.
const AttributeValue &attribute(const Call &call, const char *name);

// "semiring_conv: argument 'x': "
std::string where(const Op &op, const char *argument);

// The shape of one output from inputs and attributes alone: what the arrays and data pointers of outputs hold is
// ignored.
void infer_shape(const char *op, DLTensor *const *arrays, int n_arrays, const nitrix_attribute *attributes,
                 int n_attributes, int output, int64_t *shape, int *rank);

Call bind_call(const char *op, DLTensor *const *arrays, int n_arrays, const nitrix_attribute *attributes,
               int n_attributes, const nitrix_options *options, bool has_data);

// "(1000,333),(333,777)": the inputs' shapes, for warnings and reproducers.
std::string signature_text(const Call &call);

// Computes the call: chooses a variant, warns of a fallback, runs it.
void run(const Call &call);

} // namespace nitrix
