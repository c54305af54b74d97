// C[i, j] = finalize( merge over blocks of k ( update over k ( combine(values[i, k], B[indices[i, k], j]) ) ) ), over
// the k whose index is not negative; one product per batch.
#include "generators/core/gather_product.h"
#include "generators/core/op.h"

namespace nitrix {

class SemiringEllMatmul : public Op<SemiringEllMatmul> {
public:
    // Innermost dimension first: values and indices (k, i, batch), B(j, row, batch), C(j, i, batch).
    Input<Halide::Buffer<void, 3>> values{"values"}, indices{"indices"}, b{"B"};
    Output<Halide::Buffer<void, 3>> c{"C"};

    void generate() {
        const Expr rows = c.dim(1).extent(), columns = c.dim(0).extent(), batch = c.dim(2).extent();
        const Expr depth = values.dim(0).extent();
        for (auto *of_rows : {&values, &indices}) {
            of_rows->dim(0).set_min(0).set_extent(depth).set_stride(Expr());
            of_rows->dim(1).set_min(0).set_extent(rows);
            of_rows->dim(2).set_min(0).set_extent(batch);
        }
        b.dim(0).set_min(0).set_extent(columns).set_stride(Expr());
        b.dim(1).set_min(0);
        b.dim(2).set_min(0).set_extent(batch);
        for (int d = 0; d < 3; ++d)
            c.dim(d).set_min(0);
        const auto value = [&](const Expr &k, const Expr &i, const Expr &at) { return values(k, i, at); };
        const auto index = [&](const Expr &k, const Expr &i, const Expr &at) { return indices(k, i, at); };
        family::GatherProduct f(algebra(), c.type(), value, index, b, b.dim(1).extent(), columns, depth);
        f.define();
        c(f.j, f.i, f.batch) = f.product(f.j, f.i, f.batch);
        f.out = c;
        f.b_contiguous = b.dim(0).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllMatmul, semiring_ell_matmul)
