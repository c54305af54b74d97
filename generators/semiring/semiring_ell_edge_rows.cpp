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
        const Expr columns = y.dim(0).extent(), batch = y.dim(2).extent();
        ell::constrain_edges<decltype(own), decltype(indices)>({&own, &source}, {&indices}, rows, slope, columns,
                                                               batch);
        constrain_result(y);
        const auto index = [&](Expr k, Expr r, Expr at) { return indices(k, r, at); };
        family::GatherProduct f(algebra(), y.type(), nullptr, index, source, source.dim(1).extent(), columns,
                                indices.dim(0).extent());
        const Expr row = Halide::unsafe_promise_clamped(rows(f.i, f.batch), 0, own.dim(1).extent() - 1);
        f.edge = [&](const Expr &k) {
            return ell::edge(own(f.j, row, f.batch), source(f.j, f.source(k), f.batch), slope(f.batch));
        };
        f.rows = rows.dim(0).extent();
        f.row_bytes = columns * source.type().bytes();
        f.hints = {[&](const Expr &r) { return prefetch_named(source, indices, r, f.batch); },
                   [&](const Expr &r) { return prefetch_written(own, rows(r, f.batch), f.batch); },
                   [&](const Expr &r) { return prefetch_written(y, rows(r, f.batch), f.batch); }};
        f.define();
        scatter_rows(f, rows, y);
        f.b_contiguous = own.dim(0).stride() == 1 && source.dim(0).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllEdgeRows, semiring_ell_edge_rows)
