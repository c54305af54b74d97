#include "schedules/common/stencil_gradient.h"

#include <algorithm>

namespace nitrix {

using namespace Halide;

constexpr auto tail = TailStrategy::GuardWithIf;

static void make_copies(family::StencilGradient &f, int lanes) {
    for (family::StencilGradient::Copy &copy : f.copies) {
        // A padded row has room behind it; another copy reads its operand up to the end and no further.
        const auto end = copy.row.defined() ? TailStrategy::RoundUp : tail;
        copy.of.compute_at(f.out, f.rest.back()).vectorize(copy.of.args()[0], lanes, end);
        if (copy.row.defined())
            copy.of.update().reorder(copy.row, copy.of.args()[1]).vectorize(copy.row, lanes, tail);
    }
}

// Sums of a vector of rows at a time, merged row by row.
static void sum_across(family::StencilGradient &f, int lanes) {
    constexpr int taps = 3;
    f.tiled(taps, 1);
    f.scratch_bytes = simplify(f.scratch(taps, 1, lanes));
    Var vi("vi"), ti("ti"), vo("vo"), to("to");
    f.out.split(f.v, vo, vi, taps, tail).split(f.t, to, ti, 1, tail);
    std::vector<VarOrRVar> order = {vi, ti};
    order.insert(order.end(), f.lead.begin(), f.lead.end());
    order.insert(order.end(), {vo, to});
    order.insert(order.end(), f.rest.begin(), f.rest.end());
    f.out.reorder(order).parallel(to).parallel(f.rest[0]);
    f.out.partition(vo, Partition::Never).partition(to, Partition::Never).partition(f.rest[0], Partition::Never);
    const auto inside = [&](Func &part) {
        part.bound(f.vi, 0, taps).bound(f.ti, 0, 1).bound_extent(f.vo, 1).bound_extent(f.to, 1);
        for (const Var &d : f.rest)
            part.bound_extent(d, 1);
    };
    inside(f.total);
    const Var rows = f.of[1];
    const RVar block = f.outer[0], row = f.outer[1];
    RVar group("group"), lane("lane");
    f.total.compute_at(f.out, vo).unroll(f.vi);
    f.total.update()
        .split(row, group, lane, lanes, tail)
        .reorder(f.vi, f.ti, block, lane, group, f.outer[2])
        .unroll(f.vi)
        .partition(block, Partition::Never)
        .partition(lane, Partition::Never)
        .partition(group, Partition::Never)
        .partition(f.outer[2], Partition::Never);
    inside(f.partial);
    f.partial.bound_extent(rows, lanes).bound_extent(f.of[2], 1);
    f.partial.compute_at(f.total, group).reorder_storage(rows, f.vi, f.ti).reorder(rows, f.vi).vectorize(rows, lanes);
    f.partial.unroll(f.vi);
    f.partial.update()
        .reorder(rows, f.vi, f.ti, f.inner)
        .vectorize(rows, lanes)
        .unroll(f.vi)
        .partition(f.inner, Partition::Never);
    make_copies(f, lanes);
}

void gradient_tile(family::StencilGradient &f, int accumulators, int lanes) {
    using Tile = family::StencilGradient::Tile;
    if (f.tile == Tile::across)
        return sum_across(f, lanes);
    const int vectors = f.tile == Tile::square ? 2 : 1;
    const int tile = f.tile == Tile::square   ? accumulators / 2
                     : f.tile == Tile::column ? accumulators
                                              : std::min(accumulators, 8);
    const int width = vectors * lanes;
    f.tiled(width, tile);
    f.scratch_bytes = simplify(f.scratch(width, tile, lanes));

    Var vi("vi"), ti("ti"), vo("vo"), to("to");
    f.out.split(f.v, vo, vi, width, tail).split(f.t, to, ti, tile, tail);
    std::vector<VarOrRVar> order = {vi, ti};
    order.insert(order.end(), f.lead.begin(), f.lead.end());
    order.insert(order.end(), {vo, to});
    order.insert(order.end(), f.rest.begin(), f.rest.end());
    f.out.reorder(order).vectorize(vi, lanes, tail);
    // Loops nest and are not fused: of a fused index Halide 21 does not see that it is one point.
    if (!f.all_tiles_at_once) {
        Var chunk("chunk");
        f.out.split(to, chunk, to, 32, tail).parallel(chunk).partition(chunk, Partition::Never);
    }
    for (size_t d = f.all_tiles_at_once; d <= f.all_tiles_at_once * 2; ++d)
        f.out.parallel(f.rest[d]).partition(f.rest[d], Partition::Never);

    const auto inside = [&](Func &part, bool one_tile) {
        part.bound(f.vi, 0, width).bound(f.ti, 0, tile);
        if (one_tile)
            part.bound_extent(f.vo, 1).bound_extent(f.to, 1);
        for (size_t d = one_tile ? 0 : 1; d < f.rest.size(); ++d)
            part.bound_extent(f.rest[d], 1);
        part.vectorize(f.vi, lanes).unroll(f.vi).unroll(f.ti);
    };
    const auto over = [&](Stage stage, const RDom &domain, bool one_tile) {
        std::vector<VarOrRVar> loops = {f.vi, f.ti};
        for (int d = 0; d < domain.dimensions(); ++d) {
            loops.push_back(domain[d]);
            if (!one_tile && d == 0) {
                loops.insert(loops.end(), {f.vo, f.to, f.rest[0]});
                stage.partition(f.vo, Partition::Never).partition(f.to, Partition::Never);
            }
        }
        stage.reorder(loops).vectorize(f.vi, lanes).unroll(f.vi).unroll(f.ti);
        for (int d = 0; d < domain.dimensions(); ++d)
            stage.partition(domain[d], Partition::Never);
    };
    const bool one_tile = !f.all_tiles_at_once;
    inside(f.total, one_tile);
    f.total.compute_at(f.out, one_tile ? vo : f.rest[1]);
    over(f.total.update(), f.outer, one_tile);
    inside(f.partial, true);
    for (const Var &d : f.of)
        f.partial.bound_extent(d, 1);
    f.partial.compute_at(f.total, f.outer[0]);
    over(f.partial.update(), f.inner, true);
    make_copies(f, lanes);
}

} // namespace nitrix
