// value[i, j] = finalize(maximum, sum) with maximum = max over k of v and sum = sum over k of exp(v - maximum), where
// v = combine(A[i, k], B[k, j]): a product in the streaming form, whatever its operands.
#include "generators/core/log_sum_exp.h"
#include "generators/core/op.h"
#include "generators/core/product_operands.h"

namespace nitrix {

class SemiringMatmulStreamed : public Op<SemiringMatmulStreamed> {
public:
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"};
    Output<Halide::Buffer<void, 3>> value{"value"}, maximum{"maximum"}, sum{"sum"};

    void generate() {
        constrain_product(a, b, value);
        constrain_like(maximum, value);
        constrain_like(sum, value);
        const Expr m = value.dim(1).extent(), n = value.dim(0).extent();
        family::LogSumExp f(
            algebra(), a, b, [](Expr, Expr y) { return y; }, [](Expr x, Expr) { return x; }, n, m, a.dim(0).extent());
        f.b_contiguous = b.dim(0).stride() == 1;
        schedule_with(f);
        value(f.x, f.y, f.batch) = algebra().finalize({f.maximum(f.x, f.y, f.batch), f.sum(f.x, f.y, f.batch)});
        maximum(f.x, f.y, f.batch) = f.maximum(f.x, f.y, f.batch);
        sum(f.x, f.y, f.batch) = f.sum(f.x, f.y, f.batch);
        for (Halide::Func out : {Halide::Func(value), Halide::Func(maximum), Halide::Func(sum)})
            out.vectorize(f.x, lanes(f.type), Halide::TailStrategy::GuardWithIf);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulStreamed, semiring_matmul_streamed)
