// C[i, j] = finalize( merge over blocks of k ( update over k ( combine(A[i, k], B[k, j]) ) ) ), one product per batch.
#include "generators/core/op.h"
#include "generators/core/product_operands.h"

namespace nitrix {

class SemiringMatmul : public Op<SemiringMatmul> {
public:
    // Innermost dimension first: A(k, i, batch), B(j, k, batch), C(j, i, batch).
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"};
    Output<Halide::Buffer<void, 3>> c{"C"};

    void generate() {
        const Expr m = c.dim(1).extent(), n = c.dim(0).extent(), k = a.dim(0).extent();
        constrain_product(a, b, c);
        family::Contraction f(algebra(), a, b, c, m, n, k);
        note_layout(f, a, b);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmul, semiring_matmul)
