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
