// out[rows[r], j] = sum over the edges of row r of what each passes on: the gradient of an aggregation for `own`.
#include "generators/core/op.h"
#include "generators/semiring/ell_edge.h"

namespace nitrix {

class SemiringEllEdgeOwnVjp : public Op<SemiringEllEdgeOwnVjp> {
public:
    Input<Halide::Buffer<void, 3>> own{"own"}, source{"source"}, y{"y"}, dy{"dy"}, winner{"winner"};
    Input<Halide::Buffer<void, 3>> slots{"slots"}, indices{"indices"};
    Input<Halide::Buffer<void, 2>> rows{"rows"};
    Input<Halide::Buffer<void, 1>> slope{"slope"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        const Expr columns = out.dim(0).extent(), batch = out.dim(2).extent();
        ell::constrain_edges<decltype(own), decltype(indices)>({&own, &source, &y, &dy, &winner}, {&indices, &slots},
                                                               rows, slope, columns, batch);
        constrain_result(out);
        const auto index = [&](Expr k, Expr r, Expr at) { return indices(k, r, at); };
        family::GatherProduct f(algebra(), out.type(), nullptr, index, source, source.dim(1).extent(), columns,
                                indices.dim(0).extent());
        const Expr row = Halide::unsafe_promise_clamped(rows(f.i, f.batch), 0, own.dim(1).extent() - 1);
        f.by_masks = wide_vector() > 0;
        f.reduction = f.sum([&](const Expr &so_far, const Expr &k) {
            const ell::EdgeTerm term = {f.column(own, row, f.batch),
                                        f.column(source, f.source(k), f.batch),
                                        slope(f.batch),
                                        f.column(y, row, f.batch),
                                        f.column(dy, row, f.batch),
                                        f.column(winner, row, f.batch) == slot_of(slots, k, f.i, f.batch)};
            return ell::add_edge(algebra(), so_far, term);
        });
        f.rows = rows.dim(0).extent();
        f.asked_bytes = bytes_of_row(source, columns) * Named(indices).count();
        f.hints = {[&](const auto &g, const auto &r) { return ask_for_named(g, source, indices, r); },
                   [&](const auto &g, const auto &r) { return ask_for_row(g, own, rows(r, g.batch)); },
                   [&](const auto &g, const auto &r) { return ask_for_row(g, y, rows(r, g.batch)); },
                   [&](const auto &g, const auto &r) { return ask_for_row(g, dy, rows(r, g.batch)); },
                   [&](const auto &g, const auto &r) { return ask_for_row(g, out, rows(r, g.batch)); }};
        f.define();
        scatter_rows(f, rows, out);
        f.b_contiguous = own.dim(0).stride() == 1 && source.dim(0).stride() == 1 && y.dim(0).stride() == 1 &&
                         dy.dim(0).stride() == 1;
        if (algebra().drops_nan())
            f.b_contiguous = f.b_contiguous && winner.dim(0).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllEdgeOwnVjp, semiring_ell_edge_own_vjp)
