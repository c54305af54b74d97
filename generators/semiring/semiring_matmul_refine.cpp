// index[i, j] = the smallest k of the block winner[i, j] with combine(A[i, k], B[k, j]) = C[i, j], -1 without one.
#include "generators/core/op.h"

namespace nitrix {

class SemiringMatmulRefine : public Op<SemiringMatmulRefine> {
public:
    // Innermost dimension first: A(k, i, batch), B(j, k, batch), the others (j, i, batch).
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"}, c{"C"}, winner{"winner"};
    Output<Halide::Buffer<void, 3>> index{"index"};

    void generate() {
        const Expr m = index.dim(1).extent(), n = index.dim(0).extent(), batch = index.dim(2).extent();
        const Expr k = a.dim(0).extent();
        a.dim(0).set_min(0).set_stride(Expr());
        a.dim(1).set_min(0).set_extent(m);
        a.dim(2).set_min(0).set_extent(batch);
        b.dim(0).set_min(0).set_extent(n).set_stride(Expr());
        b.dim(1).set_min(0).set_extent(k);
        b.dim(2).set_min(0).set_extent(batch);
        for (int d = 0; d < 3; ++d) {
            index.dim(d).set_min(0);
            c.dim(d).set_min(0).set_extent(index.dim(d).extent());
            winner.dim(d).set_min(0).set_extent(index.dim(d).extent());
        }
        c.dim(0).set_stride(Expr());
        winner.dim(0).set_stride(Expr());
        family::Refinement f(algebra(), a, b, c, winner, index, m, n, k);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulRefine, semiring_matmul_refine)
