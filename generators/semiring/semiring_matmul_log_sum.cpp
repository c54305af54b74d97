// sum[i, j] = exp(C[i, j] - maximum[i, j]): the second component of LOG's state from the product and from its first,
// the largest term. 0 where nothing was summed, 1 where the largest term is +inf, NaN where C is.
#include "generators/algebra/log.h"
#include "generators/core/op.h"
#include "generators/core/state.h"

namespace nitrix {

class SemiringMatmulLogSum : public Op<SemiringMatmulLogSum> {
public:
    Input<Halide::Buffer<void, 3>> c{"C"}, maximum{"maximum"};
    Output<Halide::Buffer<void, 3>> sum{"sum"};

    void generate() {
        Halide::Var i("i"), j("j"), batch("batch");
        const Expr contiguous = free_strides<Halide::ImageParam>(c) && free_strides<Halide::ImageParam>(maximum);
        const Expr value = c(j, i, batch), top = maximum(j, i, batch);
        const Type t = value.type();
        // The largest term is one of the sum, so rounding alone can make this less than 1.
        const Expr above = exact::ordered_max(value - top, zero(t));
        sum(j, i, batch) = select(exact::is_nan(value), exact::quiet_nan(t), value == negative_infinity(t), zero(t),
                                  Log::is_finite(top), nitrix::exp(above), exact::constant(t, 1));
        family::Pointwise f{sum, j, i, t, contiguous};
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulLogSum, semiring_matmul_log_sum)
