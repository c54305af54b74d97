// y[rows[r], j] = act((x[rows[r]] weight)[j] + bias[j] + the largest (MIN_PLUS: smallest) of source[indices[r, k], j]
// over k): semiring_ell_edge_extreme where what a row adds is a product that is not stored.
#include "generators/core/op.h"
#include "generators/semiring/ell_edge.h"

namespace nitrix {

class SemiringEllEdgeLayerExtreme : public Op<SemiringEllEdgeLayerExtreme> {
public:
    Input<Halide::Buffer<void, 3>> x{"x"}, weight{"weight"}, source{"source"};
    Input<Halide::Buffer<void, 3>> indices{"indices"};
    Input<Halide::Buffer<void, 2>> rows{"rows"};
    Input<Halide::Buffer<void, 2>> bias{"bias"};
    Input<Halide::Buffer<void, 1>> slope{"slope"};
    Output<Halide::Buffer<void, 3>> y{"y"};

    void generate() {
        family::GatherProduct f = ell::layer_by_row(algebra(), *this);
        const Expr own = f.own->c(f.j, f.i, f.batch) + bias(f.j, f.batch);
        f.edge = [&](const Expr &k) { return source(f.j, f.source(k), f.batch); };
        f.finish = [&](const Expr &reduced) { return ell::edge(own, reduced, slope(f.batch)); };
        f.define();
        scatter_rows(f, rows, y);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllEdgeLayerExtreme, semiring_ell_edge_layer_extreme)
