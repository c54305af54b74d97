// semiring_matmul that remembers, for each C[i, j], in which block of k its winner lies: what the backward needs.
#include "generators/core/op.h"
#include "generators/core/product_operands.h"

namespace nitrix {

class SemiringMatmulCarry : public Op<SemiringMatmulCarry> {
public:
    // Innermost dimension first: A(k, i, batch), B(j, k, batch), C(j, i, batch), of which the second is the winner.
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"};
    Output<Halide::Func> c{"C", 3};

    void generate() {
        family::Contraction f(algebra(), a, b, c, a.dim(1).extent(), b.dim(0).extent(), a.dim(0).extent(), true);
        note_layout(f, a, b);
        schedule_with(f);
        constrain_product(a, b, Halide::Func(c).output_buffers()[0]);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulCarry, semiring_matmul_carry)
