// Edges of a graph whose value is an activation of what its two ends add up to: e(i, k) = act(own[i] + source[n]) with
// n = indices[i, k], and act(x) = x where x > 0, slope * x elsewhere (1: no activation, 0: ReLU).
#pragma once

#include <initializer_list>

#include "generators/core/gather_operands.h"

namespace nitrix::ell {

// A NaN fails the comparison and stays (Halide makes !(0 < x) of x <= 0, which it would pass). A slope of 0 gives 0
// whatever x is: 0 * -inf would be NaN.
inline Expr edge(const Expr &own, const Expr &source, const Expr &slope) {
    const Expr x = own + source, none = zero(x.type());
    return Halide::select(x < none, Halide::select(slope == none, none, x * slope), x);
}

struct EdgeTerm {
    Expr own, source, slope;
    Expr y, dy; // the result and its gradient; EUCLIDEAN: dy divided by y
    Expr won;   // tropical: whether the edge is what the result is
};

// sum + dy * (dy / de) * act': what an edge passes on to both of its ends. dy / de is that of a term combine(e, b) with
// the b that leaves e as it is: 1 where 0 would annihilate it, else 0.
inline Expr add_edge(const Algebra &algebra, const Expr &sum, const EdgeTerm &t) {
    const Expr x = t.own + t.source, one = exact::constant(x.type(), 1), none = zero(x.type());
    const Expr g = t.dy * Halide::select(x > none, one, t.slope);
    if (algebra.drops_nan())
        return Halide::select(t.won, sum + g, sum);
    const Expr beside = algebra.annihilator() == 0 ? one : none;
    return fma(g, algebra.derivative()->left(edge(t.own, t.source, t.slope), beside, t.y), sum);
}

// What the kernels over a plan's edges ask of their buffers: own, source and others of their shape are rows of
// `columns`.
template <typename Dense, typename Entries, typename Rows, typename Slope>
void constrain_edges(std::initializer_list<const Dense *> dense, std::initializer_list<const Entries *> entries,
                     const Rows &rows, Slope &slope, const Expr &columns, const Expr &batch) {
    const Expr depth = (*entries.begin())->dim(0).extent();
    for (const Entries *plan : entries) {
        constrain_entries(*plan, rows, batch);
        plan->dim(0).set_extent(depth);
    }
    slope.dim(0).set_min(0).set_extent(batch).set_stride(Expr()); // the batch, which is all that it has
    for (const Dense *array : dense)
        constrain_rows(*array, columns, batch);
}

// The reduction of an op's edges row by row, but for what an edge is: of own, source, indices, rows and y.
template <typename Edges> family::GatherProduct edges_by_row(const Algebra &algebra, Edges &op) {
    const Expr columns = op.y.dim(0).extent(), batch = op.y.dim(2).extent();
    constrain_edges<decltype(op.own), decltype(op.indices)>({&op.own, &op.source}, {&op.indices}, op.rows, op.slope,
                                                            columns, batch);
    constrain_result(op.y);
    const auto index = [&op](const Expr &k, const Expr &r, const Expr &at) -> Expr { return op.indices(k, r, at); };
    family::GatherProduct f(algebra, op.y.type(), nullptr, index, op.source, op.source.dim(1).extent(), columns,
                            op.indices.dim(0).extent());
    const Halide::Var at = f.batch;
    f.rows = op.rows.dim(0).extent();
    f.row_bytes = columns * op.source.type().bytes();
    f.hints = {[&op, at](const Expr &r) { return prefetch_named(op.source, op.indices, r, at); },
               [&op, at](const Expr &r) { return prefetch_row(op.own, op.rows(r, at), at); },
               [&op, at](const Expr &r) { return prefetch_row(op.y, op.rows(r, at), at); }};
    f.b_contiguous = op.own.dim(0).stride() == 1 && op.source.dim(0).stride() == 1;
    return f;
}

} // namespace nitrix::ell
