// C[i, j] = finalize( merge over blocks of k ( update over k ( combine(A[i, k], B[k, j]) ) ) ), one product per batch.
#include "generators/core/op.h"

namespace nitrix {

class SemiringMatmul : public Op<SemiringMatmul> {
public:
    // Innermost dimension first: A(k, i, batch), B(j, k, batch), C(j, i, batch).
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"};
    Output<Halide::Buffer<void, 3>> c{"C"};

    void generate() {
        const Expr m = c.dim(1).extent(), n = c.dim(0).extent(), batch = c.dim(2).extent(), k = a.dim(0).extent();
        a.dim(0).set_min(0).set_stride(Expr());
        a.dim(1).set_min(0).set_extent(m);
        a.dim(2).set_min(0).set_extent(batch);
        b.dim(0).set_min(0).set_extent(n).set_stride(Expr());
        b.dim(1).set_min(0).set_extent(k);
        b.dim(2).set_min(0).set_extent(batch);
        for (int d = 0; d < 3; ++d)
            c.dim(d).set_min(0);
        family::Contraction f(algebra(), a, b, c, m, n, k);
        f.a_contiguous_in_k = a.dim(0).stride() == 1;
        f.b_contiguous_in_j = b.dim(0).stride() == 1;
        f.b_contiguous_in_k = b.dim(1).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmul, semiring_matmul)
