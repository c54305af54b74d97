// out[rows[r], j] = sum over entries of dC[i, j] w with i = indices[r, k]: the gradient of a product in ELL form for B,
// by the plan of the transposed structure. w is, with v = values[slots[r, k]] and b = B[rows[r], j],
//   LOG exp(v + b - C[i, j]), 0 where C is -inf;  EUCLIDEAN b - v, and dC / C in place of dC;
//   tropical 1 where winner[i, j] is slots[r, k], else 0.  (REAL's is a product: semiring_ell_rows.)
#include "generators/core/gather_operands.h"
#include "generators/core/op.h"
#include "generators/semiring/ell_gradient.h"

namespace nitrix {

class SemiringEllRowsVjp : public Op<SemiringEllRowsVjp> {
public:
    Input<Halide::Buffer<void, 2>> values{"values"};
    Input<Halide::Buffer<void, 3>> slots{"slots"}, indices{"indices"};
    Input<Halide::Buffer<void, 2>> rows{"rows"};
    Input<Halide::Buffer<void, 3>> b{"B"}, c{"C"}, dc{"dC"}, winner{"winner"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        const Expr columns = out.dim(0).extent(), batch = out.dim(2).extent();
        constrain_plan(values, slots, indices, rows, batch);
        for (auto *dense : {&b, &c, &dc, &winner})
            constrain_rows(*dense, columns, batch);
        constrain_result(out);
        const Expr last_value = values.dim(0).extent() - 1;
        const auto value = [&](Expr k, Expr r, Expr at) {
            return values(Halide::unsafe_promise_clamped(slot_of(slots, k, r, at), 0, last_value), at);
        };
        family::GatherProduct f(
            algebra(), out.type(), value, [&](Expr k, Expr r, Expr at) { return indices(k, r, at); }, dc,
            dc.dim(1).extent(), columns, indices.dim(0).extent());
        const Expr own = Halide::unsafe_promise_clamped(rows(f.i, f.batch), 0, b.dim(1).extent() - 1);
        f.by_masks = wide_vector() > 0;
        f.reduction = f.sum([&](const Expr &so_far, const Expr &k) {
            const Expr i = f.source(k);
            const ell::Term term = {f.column(dc, i, f.batch), value(k, f.i, f.batch), f.column(b, own, f.batch),
                                    f.column(c, i, f.batch),
                                    f.column(winner, i, f.batch) == slot_of(slots, k, f.i, f.batch)};
            return ell::add_for_source(algebra(), so_far, term);
        });
        if (algebra().drops_nan()) {
            f.rows = rows.dim(0).extent();
            f.asked_bytes = (bytes_of_row(dc, columns) + bytes_of_row(winner, columns)) * Named(indices).count();
            f.hints = {[&](const auto &g, const auto &r) { return ask_for_named(g, dc, indices, r); },
                       [&](const auto &g, const auto &r) { return ask_for_values(g, dc, values, slots, r); },
                       [&](const auto &g, const auto &r) { return ask_for_row(g, out, rows(r, g.batch)); },
                       [&](const auto &g, const auto &r) { return ask_for_named(g, winner, indices, r); }};
        }
        f.define();
        scatter_rows(f, rows, out);
        f.b_contiguous = ell::contiguous(algebra(), b, c, dc, winner);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllRowsVjp, semiring_ell_rows_vjp)
