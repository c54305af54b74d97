// y[rows[r], j] = reduce over k of act(own[rows[r], j] + source[indices[r, k], j]) in the algebra's monoid, over the k
// whose index is not negative, by a structure's plan. EUCLIDEAN: the root of the sum of squares.
#include "generators/core/gather_operands.h"
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
        const Expr columns = y.dim(0).extent(), batch = y.dim(2).extent();
        constrain_entries(indices, rows, batch);
        slope.dim(0).set_min(0).set_extent(batch).set_stride(Expr()); // the batch, which is all that it has
        constrain_rows(own, columns, batch);
        constrain_rows(source, columns, batch);
        constrain_result(y);
        const auto index = [&](Expr k, Expr r, Expr at) { return indices(k, r, at); };
        family::GatherProduct f(algebra(), y.type(), nullptr, index, source, source.dim(1).extent(), columns,
                                indices.dim(0).extent());
        const Expr row = Halide::unsafe_promise_clamped(rows(f.i, f.batch), 0, own.dim(1).extent() - 1);
        f.edge = [&](const Expr &k) {
            return ell::edge(own(f.j, row, f.batch), source(f.j, f.source(k), f.batch), slope(f.batch));
        };
        f.define();
        scatter_rows(f, rows, y);
        f.b_contiguous = own.dim(0).stride() == 1 && source.dim(0).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllEdgeRows, semiring_ell_edge_rows)
