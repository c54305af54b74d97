// out[i, j] = dC[i, j] * exp(row[i] + column[j] - C[i, j]): with the lowered operands EA and EB of LOG, the weight of k
// is EA[i, k] * exp(row + column - C) * EB[k, j]. 0 where C is the identity, NaN where C is, and a mark where the
// operands may have underflowed (the terms of that entry are then computed one by one).
#include "generators/algebra/log.h"
#include "generators/core/op.h"

namespace nitrix {

class SemiringMatmulLogWeight : public Op<SemiringMatmulLogWeight> {
public:
    Input<Halide::Buffer<void, 3>> dc{"dC"}, c{"C"};
    Input<Halide::Buffer<void, 2>> row{"row"}, column{"column"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        Halide::Var i("i"), j("j"), batch("batch");
        dc.dim(0).set_stride(Expr());
        c.dim(0).set_stride(Expr());
        row.dim(0).set_stride(Expr());
        column.dim(0).set_stride(Expr());
        const Type t = c.type();
        const Expr value = c(j, i, batch), headroom = row(i, batch) + column(j, batch) - value;
        // Below this, what an operand lost to underflow is far below the rounding of the terms that matter.
        const Expr resolved = headroom <= exact::constant(t, t.bits() == 64 ? 460 : 55);
        const Expr weight = dc(j, i, batch) * nitrix::exp(headroom);
        out(j, i, batch) = select(exact::is_nan(value), exact::quiet_nan(t), value == negative_infinity(t), zero(t),
                                  Log::is_finite(value) && resolved, weight, unresolved(t));
        family::Pointwise f{out, j, i, t};
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulLogWeight, semiring_matmul_log_weight)
