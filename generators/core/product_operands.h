// What every kernel over the operands of a matrix product asks of its buffers, innermost dimension first:
// left(k, i, batch), right(j, k, batch), out(j, i, batch). Operands may have any strides, results a unit inner one.
#pragma once

#include <Halide.h>

#include "generators/core/contraction.h"

namespace nitrix {

template <typename Left, typename Right, typename Out>
void constrain_product(const Left &left, const Right &right, const Out &out) {
    const Expr rows = out.dim(1).extent(), columns = out.dim(0).extent(), batch = out.dim(2).extent();
    left.dim(0).set_min(0).set_stride(Expr());
    left.dim(1).set_min(0).set_extent(rows);
    left.dim(2).set_min(0).set_extent(batch);
    right.dim(0).set_min(0).set_extent(columns).set_stride(Expr());
    right.dim(1).set_min(0).set_extent(left.dim(0).extent());
    right.dim(2).set_min(0).set_extent(batch);
    for (int d = 0; d < 3; ++d)
        out.dim(d).set_min(0);
}

// An array of the shape of `out`.
template <typename Buffer, typename Out> void constrain_like(const Buffer &buffer, const Out &out) {
    for (int d = 0; d < 3; ++d)
        buffer.dim(d).set_min(0).set_extent(out.dim(d).extent());
}

template <typename Left, typename Right>
void note_strides(family::Contraction &f, const Left &left, const Right &right) {
    f.a_contiguous_in_k = left.dim(0).stride() == 1;
    f.a_contiguous_in_i = left.dim(1).stride() == 1;
    f.b_contiguous_in_j = right.dim(0).stride() == 1;
    f.b_contiguous_in_k = right.dim(1).stride() == 1;
}

} // namespace nitrix
