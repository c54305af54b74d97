// out[i, j] = sum over k of weights[i, k] * (B[k, j] - at[i, j]): EUCLIDEAN's gradient for A. The difference is taken
// before it is multiplied: weights B - at * sum(weights) would lose it between near neighbours.
#include "generators/core/op.h"
#include "generators/core/product_operands.h"

namespace nitrix {

class SemiringMatmulDifferences : public Op<SemiringMatmulDifferences> {
public:
    // Innermost dimension first: weights(k, i, batch), B(j, k, batch), at and out (j, i, batch).
    Input<Halide::Buffer<void, 3>> weights{"weights"}, b{"B"}, at{"at"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        const Expr m = out.dim(1).extent(), n = out.dim(0).extent();
        const Expr k = weights.dim(0).extent();
        constrain_product(weights, b, out);
        family::Contraction f(algebra_named("real"), weights, b, out, m, n, k);
        subtract(f, at, out);
        note_layout(f, weights, b);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulDifferences, semiring_matmul_differences)
