// The arrays of a problem for one row of the registry: inputs filled, outputs of the shape that the library gives.
#pragma once

#include <gtest/gtest.h>

#include "problems.h"
#include "samples.h"

namespace problems {

struct Layout {
    bool transposed;
    std::vector<int64_t> batch;
};

inline const char *semiring_of(const nitrix::Variant &v) {
    return v.algebra < 0 ? nullptr : nitrix::algebras[v.algebra].name;
}

// Whether a call over that algebra has the argument.
inline bool has(const nitrix::Argument &a, int algebra) {
    return !a.algebras || (algebra >= 0 && a.algebras >> algebra & 1);
}

inline std::vector<samples::Tensor> make_arguments(const nitrix::Variant &v, const Problem &problem,
                                                   const Layout &layout, samples::Kind kind) {
    const nitrix::Op &op = nitrix::ops[v.op];
    std::mt19937_64 rng(7);
    std::vector<samples::Tensor> tensors;
    std::vector<DLTensor> views;
    std::vector<DLTensor *> pointers(op.n_arguments);
    for (int i = 0; i < op.n_arguments; ++i) {
        const nitrix::Argument &a = op.arguments[i];
        std::vector<int64_t> shape = layout.batch;
        if (i == 1)
            for (int64_t &s : shape)
                s = 1; // the second operand is broadcast
        if (i < op.n_inputs) {
            shape.insert(shape.end(), problem.inputs[i].begin(), problem.inputs[i].end());
        } else {
            views.clear();
            for (int n = 0; n < op.n_inputs; ++n)
                views.push_back(tensors[n].view());
            for (int n = 0; n < op.n_inputs; ++n)
                pointers[n] = has(op.arguments[n], v.algebra) ? &views[n] : nullptr;
            shape.resize(16);
            int32_t rank = 0;
            const auto attributes = problem.attributes(semiring_of(v));
            EXPECT_EQ(nitrix_output_shape(op.name, pointers.data(), op.n_arguments, attributes.data(),
                                          static_cast<int32_t>(attributes.size()), i - op.n_inputs, shape.data(),
                                          &rank),
                      NITRIX_OK)
                << nitrix_last_error();
            shape.resize(rank);
        }
        // Both widths of indices: the wide ones in a transposed layout too.
        const nitrix::DType index =
            layout.transposed || !layout.batch.empty() ? nitrix::DType::i64 : nitrix::DType::i32;
        tensors.emplace_back(a.dtype == nitrix::any_dtype     ? v.dtype
                             : a.dtype == nitrix::index_dtype ? index
                                                              : static_cast<nitrix::DType>(a.dtype),
                             shape);
        if (a.role == nitrix::Role::input || a.role == nitrix::Role::structure) {
            if (a.role == nitrix::Role::structure)
                tensors.back().fill_indices(indexed(op, problem), rng);
            else
                tensors.back().fill(kind, rng);
            if (layout.transposed && shape.size() >= 2)
                tensors.back().store_transposed();
        }
    }
    return tensors;
}

} // namespace problems
