// index[i, j] = the smallest k of the block winner[i, j] with combine(A[i, k], B[k, j]) = C[i, j], -1 without one.
#include "generators/core/op.h"
#include "generators/core/product_operands.h"

namespace nitrix {

class SemiringMatmulRefine : public Op<SemiringMatmulRefine> {
public:
    // Innermost dimension first: A(k, i, batch), B(j, k, batch), the others (j, i, batch).
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"}, c{"C"}, winner{"winner"};
    Output<Halide::Buffer<void, 3>> index{"index"};

    void generate() {
        const Expr m = index.dim(1).extent(), n = index.dim(0).extent();
        const Expr k = a.dim(0).extent();
        constrain_product(a, b, index);
        constrain_like(c, index);
        constrain_like(winner, index);
        c.dim(0).set_stride(Expr());
        winner.dim(0).set_stride(Expr());
        family::Refinement f(algebra(), a, b, c, winner, index, m, n, k);
        f.a_is_dense = a.dim(0).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulRefine, semiring_matmul_refine)
