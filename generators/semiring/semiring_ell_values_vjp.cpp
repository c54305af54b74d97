// out[i, k] = sum over j of dC[i, j] w: the gradient of a product in ELL form for its values, 0 at padding. w is
//   REAL B[indices[i, k], j];  LOG exp(values[i, k] + B - C[i, j]), 0 where C is -inf;
//   EUCLIDEAN values[i, k] - B, and dC / C in place of dC;  tropical 1 where winner[i, j] is the entry, else 0.
#include "generators/core/gather_dot.h"
#include "generators/core/gather_operands.h"
#include "generators/core/op.h"
#include "generators/semiring/ell_gradient.h"

namespace nitrix {

class SemiringEllValuesVjp : public Op<SemiringEllValuesVjp> {
public:
    Input<Halide::Buffer<void, 3>> values{"values"}, indices{"indices"}, b{"B"}, c{"C"}, dc{"dC"}, winner{"winner"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        const Expr depth = out.dim(0).extent(), rows = out.dim(1).extent(), batch = out.dim(2).extent();
        constrain_structure(values, depth, rows, batch);
        constrain_structure(indices, depth, rows, batch);
        for (auto *dense : {&b, &c, &dc, &winner})
            constrain_rows(*dense, dc.dim(0).extent(), batch);
        constrain_result(out);
        family::GatherDot f(out.type(), indices, out, b.dim(1).extent(), dc.dim(0).extent());
        if (!algebra().drops_nan()) { // which do not read B
            f.rows = rows;
            f.depth = depth;
            const Expr asks = asks_for_all_named(b, indices, 8 << 20);
            f.hint = [&, asks](const Expr &later) { return ask_for_all_named(asks, b, indices, later, f.batch); };
        }
        f.by_masks = wide_vector() > 0;
        f.define([&](const Expr &sum, const Expr &j, const Expr &source) {
            const ell::Term term = {f.element(dc(j, f.i, f.batch)), values(f.k, f.i, f.batch),
                                    f.element(b(j, source, f.batch)), f.element(c(j, f.i, f.batch)),
                                    f.element(winner(j, f.i, f.batch)) == f.i * depth + f.k};
            return ell::add_for_value(algebra(), sum, term);
        });
        f.contiguous = ell::contiguous(algebra(), b, c, dc, winner);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllValuesVjp, semiring_ell_values_vjp)
