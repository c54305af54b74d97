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
        f.b_contiguous = b.dim(0).stride() == 1;
        if (!algebra().bit_packed() && !algebra().lowering()) {
            f.rows = c.dim(1).extent();
            f.asked_bytes = bytes_of_row(b, columns) * Halide::min(depth, most_entries);
            // Most of what a row names earlier ones have named: what a third-level cache holds takes up to 1.3 times as
            // long with requests.
            f.asks = asks_for_all_named(b, indices, 12 << 20);
            f.hints = {[&](const auto &g, const auto &r) { return ask_for_all_named(g.asks, b, indices, r, g.batch); }};
        }
        f.define();
        c(f.j, f.i, f.batch) = f.product(f.j, f.i, f.batch);
        f.out = c;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllMatmul, semiring_ell_matmul)
