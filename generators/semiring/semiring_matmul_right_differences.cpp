// out[i, j] = sum over k of (A[i, k] - at[i, j]) * weights[k, j]: EUCLIDEAN's gradient for B, in
// semiring_matmul_differences the one for A.
#include "generators/core/op.h"

namespace nitrix {

class SemiringMatmulRightDifferences : public Op<SemiringMatmulRightDifferences> {
public:
    // Innermost dimension first: A(k, i, batch), weights(j, k, batch), at and out (j, i, batch).
    Input<Halide::Buffer<void, 3>> a{"A"}, weights{"weights"}, at{"at"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        const Expr m = out.dim(1).extent(), n = out.dim(0).extent(), batch = out.dim(2).extent();
        const Expr k = a.dim(0).extent();
        a.dim(0).set_min(0).set_stride(Expr());
        a.dim(1).set_min(0).set_extent(m);
        a.dim(2).set_min(0).set_extent(batch);
        weights.dim(0).set_min(0).set_extent(n).set_stride(Expr());
        weights.dim(1).set_min(0).set_extent(k);
        weights.dim(2).set_min(0).set_extent(batch);
        for (int d = 0; d < 3; ++d) {
            out.dim(d).set_min(0);
            at.dim(d).set_min(0).set_extent(out.dim(d).extent());
        }
        at.dim(0).set_stride(Expr());
        family::Contraction f(algebra_named("real"), a, weights, out, m, n, k);
        f.at = at;
        f.weights_right = true;
        f.a_contiguous_in_k = a.dim(0).stride() == 1;
        f.a_contiguous_in_i = a.dim(1).stride() == 1;
        f.b_contiguous_in_j = weights.dim(0).stride() == 1;
        f.b_contiguous_in_k = weights.dim(1).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulRightDifferences, semiring_matmul_right_differences)
