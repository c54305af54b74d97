// semiring_matmul that remembers, for each C[i, j], in which block of k its winner lies: what the backward needs.
#include "generators/core/op.h"
#include "generators/core/product_operands.h"

namespace nitrix {

class SemiringMatmulCarry : public Op<SemiringMatmulCarry> {
public:
    // Innermost dimension first: A(k, i, batch), B(j, k, batch), C(j, i, batch), winner(j, i, batch).
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"};
    Output<Halide::Buffer<void, 3>> c{"C"}, winner{"winner"};

    void generate() {
        const Expr m = c.dim(1).extent(), n = c.dim(0).extent(), k = a.dim(0).extent();
        constrain_product(a, b, c);
        constrain_like(winner, c);
        family::Contraction f(algebra(), a, b, c, m, n, k, winner);
        note_strides(f, a, b);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulCarry, semiring_matmul_carry)
