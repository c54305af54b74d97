// One call of one op: arrays bound to the op's signature, options resolved. Built and validated before any write.
#pragma once

#include <algorithm>

#include "array.h"
#include "context.h"
#include "registry.h"

namespace nitrix {

struct Options {
    const Context *context;
    const char *backend;    // nullptr: automatic
    const Variant *variant; // nullptr: the best
    nitrix_mode mode;
    bool reproducible;
    int threads;
    int threads_asked; // of which the library's own pool may have fewer
    uint64_t budget;   // most scratch bytes that a kernel of this call may hold; 0: no limit
    char *workspace;
    size_t workspace_size;
};

// Kilobytes of room for the worst case, of which a call writes only what it uses: no member initialisers.
struct Call {
    const Op *op;
    int op_index;
    int algebra; // -1: the op has none
    DType dtype;
    bool has_data;
    int batch_rank;
    int64_t dims[max_dims]; // the op's core dimensions and what its shape rule derives
    AttributeValue attributes[max_attributes];
    int core_rank[max_arguments]; // of the arrays as given; bind_call then pads views of them to the arguments' ranks
    int64_t batch[max_rank];      // broadcast leading dimensions
    Array arrays[max_arguments];
    Options options;

    int64_t batch_size() const {
        int64_t n = 1;
        for (int d = 0; d < batch_rank; ++d)
            if (__builtin_mul_overflow(n, batch[d], &n))
                return 0; // only beside a size of zero: bind_call refuses the rest
        return n;
    }
    bool has_empty_core() const { return std::find(dims, dims + op->n_dims, 0) != dims + op->n_dims; }
    // Whether there is nothing to compute, or nothing to compute it from.
    bool is_empty() const { return batch_size() == 0 || has_empty_core(); }
    const char *algebra_name() const { return algebra < 0 ? "" : algebras[algebra].name; }
};

// The attribute of that name, which the op has.
const AttributeValue &attribute(const Call &call, const char *name);

// "semiring_conv: argument 'x': "
std::string where(const Op &op, const char *argument);

// What a caller of the C ABI hands over.
struct Request {
    int op; // an index into ops
    DLTensor *const *arrays;
    int n_arrays;
    const nitrix_attribute *attributes;
    int n_attributes;
    const nitrix_options *options;
};

int op_named(const char *name); // refuses what is no op
void bind_call(const Request &request, bool has_data, Call &call);

// The shape of one output from inputs and attributes alone: what the arrays of outputs hold is ignored.
void infer_shape(const Request &request, int output, int64_t *shape, int *rank);

// What the generated functions of nitrix_ops.h are made of.
nitrix_status call_op(const Request &request) noexcept;
nitrix_status workspace_of_op(const Request &request, size_t *bytes) noexcept;

// The core and leading dimensions of a call from its arrays, or a refusal.
void bind_shapes(Call &call);

// An array of the call without the axes that bind_call padded it with.
Array as_given(const Call &call, int argument);

// "(1000,333),(333,777)": the inputs' shapes, for warnings and reproducers.
std::string signature_text(const Call &call);

// Computes the call: chooses a variant, warns of a fallback, runs it.
void run(const Call &call);

} // namespace nitrix
