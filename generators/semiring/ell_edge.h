// Edges of a graph whose value is an activation of what its two ends add up to: e(i, k) = act(own[i] + source[n]) with
// n = indices[i, k], and act(x) = x where x > 0, slope * x elsewhere (1: no activation, 0: ReLU).
#pragma once

#include <initializer_list>

#include "generators/core/gather_operands.h"

namespace nitrix::ell {

// A NaN fails the comparison and stays. A slope of 0 gives 0 whatever x is: 0 * -inf would be NaN.
inline Expr edge(const Expr &own, const Expr &source, const Expr &slope) {
    const Expr x = own + source, none = zero(x.type());
    return Halide::select(x <= none, Halide::select(slope == none, none, x * slope), x);
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

} // namespace nitrix::ell
