// slot[rows[r], j] = the slot of the first edge of row r whose value is y[rows[r], j]; 2^31 - 1, which
// is no slot, where y is the identity or NaN.
#include "generators/core/op.h"
#include "generators/semiring/ell_edge.h"

namespace nitrix {

class SemiringEllEdgeWinner : public Op<SemiringEllEdgeWinner> {
public:
    Input<Halide::Buffer<void, 3>> own{"own"}, source{"source"}, y{"y"};
    Input<Halide::Buffer<void, 3>> slots{"slots"}, indices{"indices"};
    Input<Halide::Buffer<void, 2>> rows{"rows"};
    Input<Halide::Buffer<void, 1>> slope{"slope"};
    Output<Halide::Buffer<void, 3>> slot{"slot"};

    void generate() {
        const Expr columns = slot.dim(0).extent(), batch = slot.dim(2).extent();
        ell::constrain_edges<decltype(own), decltype(indices)>({&own, &source, &y}, {&indices, &slots}, rows, slope,
                                                               columns, batch);
        constrain_result(slot);
        const auto index = [&](Expr k, Expr r, Expr at) { return indices(k, r, at); };
        family::GatherProduct f(algebra(), Halide::Int(32), nullptr, index, source, source.dim(1).extent(), columns,
                                indices.dim(0).extent());
        const Expr row = Halide::unsafe_promise_clamped(rows(f.i, f.batch), 0, own.dim(1).extent() - 1);
        const Expr none = 0x7fffffff, result = y(f.j, row, f.batch);
        const Expr found = result != algebra().init(y.type())[0];
        f.reduction = {none,
                       [&](const Expr &so_far, const Expr &k) {
                           const Expr e =
                               ell::edge(own(f.j, row, f.batch), source(f.j, f.source(k), f.batch), slope(f.batch));
                           const Expr own_slot = slot_of(slots, k, f.i, f.batch); // ascends with k
                           return Halide::min(so_far, Halide::select(found && e == result, own_slot, none));
                       },
                       [](const Expr &a, const Expr &b) { return Halide::min(a, b); }};
        f.rows = rows.dim(0).extent();
        f.asked_bytes = bytes_of_row(source, columns) * Named(indices).count();
        f.hints = {[&](const auto &g, const auto &r) { return ask_for_named(g, source, indices, r); },
                   [&](const auto &g, const auto &r) { return ask_for_row(g, own, rows(r, g.batch)); },
                   [&](const auto &g, const auto &r) { return ask_for_row(g, y, rows(r, g.batch)); },
                   [&](const auto &g, const auto &r) { return ask_for_row(g, slot, rows(r, g.batch)); }};
        f.define();
        scatter_rows(f, rows, slot);
        f.b_contiguous = own.dim(0).stride() == 1 && source.dim(0).stride() == 1 && y.dim(0).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllEdgeWinner, semiring_ell_edge_winner)
