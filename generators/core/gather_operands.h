// What the kernels over ELL structures ask of their buffers, innermost dimension first: structures (k, row, batch),
// dense arrays (j, row, batch).
#pragma once

#include <Halide.h>

#include "generators/core/gather_product.h"

namespace nitrix {

// An array of the structure's shape, of any strides.
template <typename Buffer> void constrain_structure(const Buffer &buffer, Expr depth, Expr rows, Expr batch) {
    buffer.dim(0).set_min(0).set_extent(depth).set_stride(Expr());
    buffer.dim(1).set_min(0).set_extent(rows);
    buffer.dim(2).set_min(0).set_extent(batch);
}

// Rows of a dense array, of any strides.
template <typename Buffer> void constrain_rows(const Buffer &buffer, Expr columns, Expr batch) {
    buffer.dim(0).set_min(0).set_extent(columns).set_stride(Expr());
    buffer.dim(1).set_min(0);
    buffer.dim(2).set_min(0).set_extent(batch);
}

// The structure's plan: entries (k, r), the rows where the results of r belong, and one row of values.
template <typename Values, typename Entries, typename Rows>
void constrain_plan(const Values &values, const Entries &slots, const Entries &indices, const Rows &rows, Expr batch) {
    const Expr depth = indices.dim(0).extent(), count = indices.dim(1).extent();
    for (const Entries *plan : {&slots, &indices}) {
        plan->dim(0).set_min(0).set_extent(depth);
        plan->dim(1).set_min(0).set_extent(count);
        plan->dim(2).set_min(0).set_extent(batch);
    }
    values.dim(0).set_min(0);
    values.dim(1).set_min(0).set_extent(batch);
    rows.dim(0).set_min(0).set_extent(count);
    rows.dim(1).set_min(0).set_extent(batch);
}

// Entries (k, r) of a plan alone, and the rows where the results of r belong.
template <typename Entries, typename Rows>
void constrain_entries(const Entries &entries, const Rows &rows, const Expr &batch) {
    entries.dim(0).set_min(0);
    entries.dim(1).set_min(0).set_extent(rows.dim(0).extent());
    entries.dim(2).set_min(0).set_extent(batch);
    rows.dim(0).set_min(0);
    rows.dim(1).set_min(0).set_extent(batch);
}

template <typename Out> void constrain_result(const Out &out) {
    for (int d = 0; d < 3; ++d)
        out.dim(d).set_min(0);
}

// An array as the pointer that its kernel has.
template <typename Buffer> Expr pointer(const Buffer &buffer) {
    const Halide::Parameter self = buffer.dim(0).min().template as<Halide::Internal::Variable>()->param;
    return Halide::Internal::Variable::make(Halide::Handle(), self.name(), self);
}

// The distance of element (j, i, batch) from the first one, in bytes.
template <typename Buffer> Expr byte_offset(const Buffer &buffer, const Expr &j, const Expr &i, const Expr &batch) {
    const auto step = [&](int d, const Expr &at) { return Halide::cast<int64_t>(buffer.dim(d).stride()) * at; };
    return (step(0, j) + step(1, i) + step(2, batch)) * buffer.type().bytes();
}

// Asks memory for the rows of `dense` that row r of the structure names: 0.
template <typename Dense, typename Entries>
Expr prefetch_named(const Dense &dense, const Entries &indices, const Expr &r, const Expr &batch) {
    return Halide::Internal::Call::make(Halide::Int(32), "nitrix_prefetch_rows",
                                        {pointer(dense), byte_offset(dense, 0, 0, batch), byte_offset(dense, 0, 1, 0),
                                         dense.dim(1).extent(), dense.dim(0).extent() * dense.type().bytes(),
                                         pointer(indices), byte_offset(indices, 0, r, batch), indices.dim(0).extent()},
                                        Halide::Internal::Call::Extern);
}

// Asks memory for one row of `dense`, to be read or written: 0.
template <typename Dense> Expr prefetch_row(const Dense &dense, const Expr &row, const Expr &batch) {
    return Halide::Internal::Call::make(Halide::Int(32), "nitrix_prefetch_row",
                                        {pointer(dense), byte_offset(dense, 0, row, batch), byte_offset(dense, 0, 1, 0),
                                         dense.dim(1).extent(), dense.dim(0).extent() * dense.type().bytes()},
                                        Halide::Internal::Call::Extern);
}

// Stores the product's rows where they belong.
template <typename Rows, typename Out> void scatter_rows(family::GatherProduct &f, const Rows &rows, Out &out) {
    Halide::RDom r(0, rows.dim(0).extent(), "r");
    const Expr row = Halide::unsafe_promise_clamped(rows(r, f.batch), 0, out.dim(1).extent() - 1);
    out(f.j, f.i, f.batch) = Halide::undef(out.type());
    out(f.j, row, f.batch) = f.product(f.j, r, f.batch);
    f.out = f.product;
    f.scattered = out;
    f.scattered_rows = r;
}

} // namespace nitrix
