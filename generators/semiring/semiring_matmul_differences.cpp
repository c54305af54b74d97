// out[i, j] = sum over k of weights[i, k] * (B[k, j] - at[i, j]): EUCLIDEAN's gradient for A. The difference is taken
// before it is multiplied: weights B - at * sum(weights) would lose it between near neighbours.
#include "generators/core/op.h"

namespace nitrix {

class SemiringMatmulDifferences : public Op<SemiringMatmulDifferences> {
public:
    // Innermost dimension first: weights(k, i, batch), B(j, k, batch), at and out (j, i, batch).
    Input<Halide::Buffer<void, 3>> weights{"weights"}, b{"B"}, at{"at"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        const Expr m = out.dim(1).extent(), n = out.dim(0).extent(), batch = out.dim(2).extent();
        const Expr k = weights.dim(0).extent();
        weights.dim(0).set_min(0).set_stride(Expr());
        weights.dim(1).set_min(0).set_extent(m);
        weights.dim(2).set_min(0).set_extent(batch);
        b.dim(0).set_min(0).set_extent(n).set_stride(Expr());
        b.dim(1).set_min(0).set_extent(k);
        b.dim(2).set_min(0).set_extent(batch);
        for (int d = 0; d < 3; ++d) {
            out.dim(d).set_min(0);
            at.dim(d).set_min(0).set_extent(out.dim(d).extent());
        }
        at.dim(0).set_stride(Expr());
        family::Contraction f(algebra_named("real"), weights, b, out, m, n, k);
        f.at = at;
        f.a_contiguous_in_k = weights.dim(0).stride() == 1;
        f.a_contiguous_in_i = weights.dim(1).stride() == 1;
        f.b_contiguous_in_j = b.dim(0).stride() == 1;
        f.b_contiguous_in_k = b.dim(1).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulDifferences, semiring_matmul_differences)
