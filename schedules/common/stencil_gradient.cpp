#include "schedules/common/stencil_gradient.h"

#include <algorithm>

#include "schedules/common/register_tile.h"

namespace nitrix {

using namespace Halide;

constexpr auto tail = TailStrategy::GuardWithIf;

static void make_copies(family::StencilGradient &f, int lanes, const RVar &rows) {
    for (family::StencilGradient::Copy &copy : f.copies) {
        // A padded row has room behind it; another copy reads its operand up to the end and no further.
        const auto end = copy.row.defined() ? TailStrategy::RoundUp : tail;
        if (copy.of_rows)
            copy.of.compute_at(f.total, rows);
        else
            copy.of.compute_at(f.out, f.rest.back());
        copy.of.vectorize(copy.of.args()[0], lanes, end);
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
    make_copies(f, lanes, RVar());
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
    if (!f.all_at_once) {
        Var chunk("chunk");
        f.out.split(to, chunk, to, 32, tail).parallel(chunk).partition(chunk, Partition::Never);
        f.out.parallel(f.rest[0]).partition(f.rest[0], Partition::Never);
    }

    const RegisterTile registers = {f.vi, f.ti, width, tile, lanes};
    const auto inside = [&](Func &part, bool one_tile) {
        std::vector<Var> points(one_tile ? f.rest : std::vector<Var>{f.rest.back()});
        if (one_tile)
            points.insert(points.end(), {f.vo, f.to});
        registers.hold(part, points);
    };
    const auto all_of = [](const RDom &domain) {
        std::vector<VarOrRVar> loops;
        for (int d = 0; d < domain.dimensions(); ++d)
            loops.emplace_back(domain[d]);
        return loops;
    };
    inside(f.total, !f.all_at_once);
    RVar chunk("chunk"), row("row");
    if (f.all_at_once) {
        f.total.compute_at(f.out, f.rest.back());
        Stage stage = f.total.update();
        stage.split(f.outer[1], chunk, row, family::StencilGradient::rows_at_hand, tail);
        stage.parallel(f.rest[1]).parallel(f.rest[2]);
        registers.compute(stage,
                          {f.vo, f.to, f.rest[0], f.outer[0], row, f.rest[1], f.rest[2], chunk, f.outer[2], f.rest[3]});
    } else {
        f.total.compute_at(f.out, vo);
        registers.compute(f.total.update(), all_of(f.outer));
    }
    inside(f.partial, true);
    for (const Var &d : f.of)
        f.partial.bound_extent(d, 1);
    if (f.all_at_once)
        f.partial.compute_at(f.total, f.vo);
    else
        f.partial.compute_at(f.total, f.outer[0]);
    registers.compute(f.partial.update(), all_of(f.inner));
    make_copies(f, lanes, chunk);
}

} // namespace nitrix
