// out[i, k] = dC[i] * exp(A[i, k] + B[i, k] - C[i]): the terms of LOG's gradient for a list of entries, by definition.
#include "generators/core/op.h"

namespace nitrix {

class SemiringMatmulLogTerms : public Op<SemiringMatmulLogTerms> {
public:
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"};
    Input<Halide::Buffer<void, 2>> c{"C"}, dc{"dC"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        Halide::Var i("i"), k("k"), batch("batch");
        a.dim(0).set_stride(Expr());
        b.dim(0).set_stride(Expr());
        c.dim(0).set_stride(Expr());
        dc.dim(0).set_stride(Expr());
        out(k, i, batch) = dc(i, batch) * nitrix::exp(a(k, i, batch) + b(k, i, batch) - c(i, batch));
        family::Pointwise f{out, k, i, a.type()};
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulLogTerms, semiring_matmul_log_terms)
