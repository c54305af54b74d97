// C[i, j] = whether any of the words A[i, w] & B[w, j] has a bit: BOOLEAN's product over 32 steps of k in a word.
#include "generators/core/op.h"
#include "generators/core/product_operands.h"

namespace nitrix {

class SemiringMatmulBits : public Op<SemiringMatmulBits> {
public:
    // Innermost dimension first: A(w, i, batch), B(j, w, batch), C(j, i, batch).
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"};
    Output<Halide::Buffer<void, 3>> c{"C"};

    void generate() {
        constrain_product(a, b, c);
        family::Contraction f(algebra(), a, b, c, c.dim(1).extent(), c.dim(0).extent(), a.dim(0).extent());
        note_layout(f, a, b);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulBits, semiring_matmul_bits)
