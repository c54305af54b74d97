// y[rows[r], j] = act(own[rows[r], j] + bias[j] + the largest (MIN_PLUS: smallest) of source[indices[r, k], j] over k),
// over the k whose index is not negative; the identity where there is none. Where act does not decrease, that is the
// largest of act(own + bias + source): neither it nor a rounded sum turns the order of two numbers round.
#include "generators/core/op.h"
#include "generators/semiring/ell_edge.h"

namespace nitrix {

class SemiringEllEdgeExtreme : public Op<SemiringEllEdgeExtreme> {
public:
    Input<Halide::Buffer<void, 3>> own{"own"}, source{"source"};
    Input<Halide::Buffer<void, 3>> indices{"indices"};
    Input<Halide::Buffer<void, 2>> rows{"rows"};
    Input<Halide::Buffer<void, 2>> bias{"bias"};
    Input<Halide::Buffer<void, 1>> slope{"slope"};
    Output<Halide::Buffer<void, 3>> y{"y"};

    void generate() {
        family::GatherProduct f = ell::edges_by_row(algebra(), *this);
        const Expr row = Halide::unsafe_promise_clamped(rows(f.i, f.batch), 0, own.dim(1).extent() - 1);
        f.by_masks = wide_vector() > 0;
        f.edge = [&](const Expr &k) { return f.column(source, f.source(k), f.batch); };
        bias.dim(0).set_min(0).set_extent(y.dim(0).extent());
        bias.dim(1).set_min(0).set_extent(y.dim(2).extent());
        f.finish = [&](const Expr &reduced) {
            return ell::edge(f.column(own, row, f.batch) + f.column(bias, f.batch), reduced, slope(f.batch));
        };
        f.define();
        scatter_rows(f, rows, y);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllEdgeExtreme, semiring_ell_edge_extreme)
