// C[i, j] = finalize( merge over blocks of k ( update over k ( combine(values[i, k], B[indices[i, k], j]) ) ) ), over
// the k whose index is not negative; one product per batch.
#include "generators/core/gather_operands.h"
#include "generators/core/op.h"

namespace nitrix {

class SemiringEllMatmul : public Op<SemiringEllMatmul> {
public:
    Input<Halide::Buffer<void, 3>> values{"values"}, indices{"indices"}, b{"B"};
    Output<Halide::Buffer<void, 3>> c{"C"};

    void generate() {
        const Expr columns = c.dim(0).extent(), batch = c.dim(2).extent(), depth = values.dim(0).extent();
        constrain_structure(values, depth, c.dim(1).extent(), batch);
        constrain_structure(indices, depth, c.dim(1).extent(), batch);
        constrain_rows(b, columns, batch);
        constrain_result(c);
        family::GatherProduct f(
            algebra(), c.type(), [&](Expr k, Expr i, Expr at) { return values(k, i, at); },
            [&](Expr k, Expr i, Expr at) { return indices(k, i, at); }, b, b.dim(1).extent(), columns, depth);
        f.define();
        c(f.j, f.i, f.batch) = f.product(f.j, f.i, f.batch);
        f.out = c;
        f.b_contiguous = b.dim(0).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllMatmul, semiring_ell_matmul)
