#include "schedules/common/stencil_gradient.h"

#include <algorithm>

namespace nitrix {

using namespace Halide;

void gradient_tile(family::StencilGradient &f, int accumulators, int lanes) {
    using Tile = family::StencilGradient::Tile;
    const int vectors = f.tile == Tile::square ? 2 : 1;
    const int tile = f.tile == Tile::flat     ? 4
                     : f.tile == Tile::square ? accumulators / 2
                     : f.tile == Tile::column ? accumulators
                                              : std::min(accumulators, 8);
    constexpr auto tail = TailStrategy::GuardWithIf;
    const int width = vectors * lanes;
    f.tiled(width, tile);

    Var vi("vi"), ti("ti"), vo("vo"), to("to");
    f.out.split(f.v, vo, vi, width, tail).split(f.t, to, ti, tile, tail);
    std::vector<VarOrRVar> order = {vi, ti};
    order.insert(order.end(), f.lead.begin(), f.lead.end());
    order.insert(order.end(), {vo, to});
    order.insert(order.end(), f.rest.begin(), f.rest.end());
    f.out.reorder(order).vectorize(vi, lanes, tail);
    // Loops nest and are not fused: of a fused index Halide 21 does not see that it is one point.
    Var chunk("chunk");
    f.out.split(to, chunk, to, 32, tail).parallel(chunk).partition(chunk, Partition::Never);
    f.out.parallel(f.rest[0]).partition(f.rest[0], Partition::Never);

    const auto inside = [&](Func &part) {
        part.bound(f.vi, 0, width).bound(f.ti, 0, tile).bound_extent(f.vo, 1).bound_extent(f.to, 1);
        for (const Var &d : f.rest)
            part.bound_extent(d, 1);
        part.vectorize(f.vi, lanes).unroll(f.vi).unroll(f.ti);
    };
    const auto over = [&](Stage stage, const RDom &domain) {
        std::vector<VarOrRVar> loops = {f.vi, f.ti};
        for (int d = 0; d < domain.dimensions(); ++d)
            loops.push_back(domain[d]);
        stage.reorder(loops).vectorize(f.vi, lanes).unroll(f.vi).unroll(f.ti);
        for (int d = 0; d < domain.dimensions(); ++d)
            stage.partition(domain[d], Partition::Never);
    };
    inside(f.total);
    f.total.compute_at(f.out, vo);
    over(f.total.update(), f.outer);
    inside(f.partial);
    for (const Var &d : f.of)
        f.partial.bound_extent(d, 1);
    f.partial.compute_at(f.total, f.outer[0]);
    over(f.partial.update(), f.inner);
    for (family::StencilGradient::Copy &copy : f.copies) {
        // A padded row has room behind it; another copy reads its operand up to the end and no further.
        const auto end = copy.row.defined() ? TailStrategy::RoundUp : tail;
        copy.of.compute_at(f.out, f.rest.back()).vectorize(copy.of.args()[0], lanes, end);
        if (copy.row.defined())
            copy.of.update().reorder(copy.row, copy.of.args()[1]).vectorize(copy.row, lanes, tail);
    }
}

} // namespace nitrix
