// out[i, j] = sum over k of (A[i, k] - at[i, j]) * weights[k, j]: EUCLIDEAN's gradient for B, in
// semiring_matmul_differences the one for A.
#include "generators/core/op.h"
#include "generators/core/product_operands.h"

namespace nitrix {

class SemiringMatmulRightDifferences : public Op<SemiringMatmulRightDifferences> {
public:
    // Innermost dimension first: A(k, i, batch), weights(j, k, batch), at and out (j, i, batch).
    Input<Halide::Buffer<void, 3>> a{"A"}, weights{"weights"}, at{"at"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        const Expr m = out.dim(1).extent(), n = out.dim(0).extent();
        const Expr k = a.dim(0).extent();
        constrain_product(a, weights, out);
        family::Contraction f(algebra_named("real"), a, weights, out, m, n, k);
        f.weights_right = true;
        subtract(f, at, out);
        note_layout(f, a, weights);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulRightDifferences, semiring_matmul_right_differences)
