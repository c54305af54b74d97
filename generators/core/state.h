// States of a reduction as arrays: what the ops that split one share. Innermost dimension first, (j, i, batch).
#pragma once

#include <Halide.h>

#include <string>

#include "generators/core/algebra.h"
#include "generators/core/pointwise.h"

namespace nitrix {

// One element of a state, any strides. `claimed` is how many arrays the algebra's header gave the plan to pass.
template <typename Buffers>
State read_state(const Algebra &algebra, const Buffers &arrays, size_t claimed, const Halide::Var &j,
                 const Halide::Var &i, const Halide::Var &batch) {
    State state;
    for (size_t c = 0; c < claimed; ++c)
        state.push_back(arrays[c](j, i, batch));
    const size_t size = algebra.init(state[0].type()).size();
    if (size != claimed)
        throw Halide::CompileError(algebra.name() + ": the state has " + std::to_string(size) +
                                   " components; write components = " + std::to_string(size) +
                                   " into its header's front matter");
    // Truth values: any byte but 0 is true.
    if (algebra.bit_packed())
        state[0] = Halide::cast(state[0].type(), state[0] != 0);
    return state;
}

// Lets an array have any strides, and says where its rows are contiguous.
template <typename Buffer> Expr free_strides(Buffer array) {
    array.dim(0).set_stride(Expr());
    return array.dim(0).stride() == 1;
}

} // namespace nitrix
