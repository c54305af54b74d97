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
    for (const Entries *plan : entries)
        constrain_entries(*plan, rows, batch);
    slope.dim(0).set_min(0).set_extent(batch).set_stride(Expr()); // the batch, which is all that it has
    for (const Dense *array : dense)
        constrain_rows(*array, columns, batch);
}

// What the reductions of edges row by row share: all but what a row adds and what an edge is. Of source, indices, rows,
// slope and y.
template <typename Edges> family::GatherProduct reduce_edges(const Algebra &algebra, Edges &op) {
    const Expr columns = op.y.dim(0).extent(), batch = op.y.dim(2).extent();
    constrain_edges<decltype(op.source), decltype(op.indices)>({&op.source}, {&op.indices}, op.rows, op.slope, columns,
                                                               batch);
    constrain_result(op.y);
    const auto index = [&op](const Expr &k, const Expr &r, const Expr &at) -> Expr { return op.indices(k, r, at); };
    family::GatherProduct f(algebra, op.y.type(), nullptr, index, op.source, op.source.dim(1).extent(), columns,
                            op.indices.dim(0).extent());
    f.rows = op.rows.dim(0).extent();
    f.asked_bytes = bytes_of_row(op.source, columns) * Named(op.indices).count();
    f.hints = {[&op](const auto &g, const auto &r) { return ask_for_named(g, op.source, op.indices, r); },
               [&op](const auto &g, const auto &r) { return ask_for_row(g, op.y, op.rows(r, g.batch)); }};
    f.b_contiguous = op.source.dim(0).stride() == 1;
    return f;
}

// What a row adds is one of `own`.
template <typename Edges> family::GatherProduct edges_by_row(const Algebra &algebra, Edges &op) {
    family::GatherProduct f = reduce_edges(algebra, op);
    constrain_rows(op.own, op.y.dim(0).extent(), op.y.dim(2).extent());
    f.hints.emplace_back([&op](const auto &g, const auto &r) { return ask_for_row(g, op.own, op.rows(r, g.batch)); });
    f.b_contiguous = f.b_contiguous && op.own.dim(0).stride() == 1;
    return f;
}

// What a row adds is a product that is made here, x[rows[r]] weight.
template <typename Layer> family::GatherProduct layer_by_row(const Algebra &algebra, Layer &op) {
    family::GatherProduct f = reduce_edges(algebra, op);
    const Expr width = op.weight.dim(0).extent(), depth = op.weight.dim(1).extent(), batch = op.y.dim(2).extent();
    constrain_rows(op.x, depth, batch);
    constrain_rows(op.weight, width, batch);
    op.weight.dim(0).set_stride(1);
    op.bias.dim(0).set_min(0).set_extent(op.y.dim(0).extent());
    op.bias.dim(1).set_min(0).set_extent(batch);

    // A tile of rows asks for those of the next. The last one may be met several times: what is made of it beyond the
    // rows that there are is not read.
    constexpr int next_tile = 6;
    const auto row = [&](const Expr &r) {
        const Expr inside = Halide::min(r, f.rows - 1);
        return Halide::unsafe_promise_clamped(op.rows(inside, f.batch), 0, op.y.dim(1).extent() - 1);
    };
    f.own_row(f.i, f.batch) = row(f.i) | ask_for_row(f, op.x, row(f.i + next_tile));
    Halide::Func features("features"), weight("weight_inside");
    const Halide::Var k("k");
    const Expr of_row = Halide::unsafe_promise_clamped(f.own_row(f.i, f.batch), 0, op.x.dim(1).extent() - 1);
    features(k, f.i, f.batch) = op.x(k, of_row, f.batch);
    weight(f.j, k, f.batch) = op.weight(Halide::unsafe_promise_clamped(f.j, 0, width - 1), k, f.batch);
    f.own.emplace(algebra_named("real"), features, weight, Halide::Func("own"), f.rows, width, depth);
    // 0, but no constant: LLVM would keep that in the register of one accumulator, and this one in memory.
    f.own->start = Halide::cast(op.y.type(), Halide::min(f.own_row(f.i, f.batch), 0));
    f.own->whole();
    return f;
}

} // namespace nitrix::ell
