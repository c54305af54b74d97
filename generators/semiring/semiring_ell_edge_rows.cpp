// y[rows[r], j] = reduce over k of act(own[rows[r], j] + source[indices[r, k], j]) in the algebra's monoid, over the k
// whose index is not negative, by a structure's plan. EUCLIDEAN: the root of the sum of squares.
#include "generators/core/op.h"
#include "generators/semiring/ell_edge.h"

namespace nitrix {

class SemiringEllEdgeRows : public Op<SemiringEllEdgeRows> {
public:
    Input<Halide::Buffer<void, 3>> own{"own"}, source{"source"};
    Input<Halide::Buffer<void, 3>> indices{"indices"};
    Input<Halide::Buffer<void, 2>> rows{"rows"};
    Input<Halide::Buffer<void, 1>> slope{"slope"};
    Output<Halide::Buffer<void, 3>> y{"y"};

    void generate() {
        family::GatherProduct f = ell::edges_by_row(algebra(), *this);
        const Expr row = Halide::unsafe_promise_clamped(rows(f.i, f.batch), 0, own.dim(1).extent() - 1);
        f.by_masks = wide_vector() > 0;
        f.edge = [&](const Expr &k) {
            return ell::edge(f.column(own, row, f.batch), f.column(source, f.source(k), f.batch), slope(f.batch));
        };
        f.define();
        scatter_rows(f, rows, y);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllEdgeRows, semiring_ell_edge_rows)
