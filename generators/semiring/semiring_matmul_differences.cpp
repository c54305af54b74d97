// out[i, j] = sum over k of weights[i, k] * (at[i, j] - B[k, j]): what EUCLIDEAN's gradient is made of. The difference is
// taken before it is multiplied, as at * sum(weights) - weights B would lose it between near neighbours.
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
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulDifferences, semiring_matmul_differences)
