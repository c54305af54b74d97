#include "schedules/common/stencil.h"

#include <algorithm>

#include "schedules/common/register_tile.h"
#include "schedules/common/round_up.h"

namespace nitrix {

using namespace Halide;

static constexpr auto tail = TailStrategy::GuardWithIf;

static Expr size_of(const std::string &name) { return family::Stencil::shape(name); }

// Channels that are read where they lie start anywhere.
static Func fix(family::Stencil &f, Func g, Var vector, int width) {
    return f.by_channel ? g.bound_extent(vector, width) : g.bound(vector, 0, width);
}

// One zone's reduction: the accumulators of a tile in registers over a block of taps and channels.
static void accumulate(family::Stencil &f, family::Stencil::Zone &zone, Var vector, int width, int lanes,
                       int unroll_c) {
    Stage merge = zone.total.update(zone.merge_stage);
    Stage step = zone.partial.update();
    fix(f, zone.partial, vector, width)
        .compute_at(zone.total, zone.blocks[0])
        .vectorize(vector, lanes)
        .unroll(vector)
        .bound_extent(f.cb, 1)
        .bound_extent(f.tb, 1);
    if (f.plane && !f.by_channel) {
        merge.reorder(vector, zone.blocks[0], zone.blocks[1]);
        step.reorder(vector, zone.inside[0], zone.inside[1], zone.inside[2], zone.inside[3]);
    } else {
        merge.reorder(vector, f.wi, zone.blocks[0], zone.blocks[1]).unroll(f.wi);
        step.reorder(vector, f.wi, zone.inside[0], zone.inside[1], zone.inside[2], zone.inside[3]).unroll(f.wi);
        zone.partial.unroll(f.wi);
    }
    merge.vectorize(vector, lanes).unroll(vector);
    step.vectorize(vector, lanes).unroll(vector);
    for (int level = 0; level < 4; ++level)
        step.partition(zone.inside[level], Partition::Never);
    merge.partition(zone.blocks[0], Partition::Never).partition(zone.blocks[1], Partition::Never);
    if (unroll_c > 1)
        step.unroll(zone.inside[0], unroll_c);
    if (zone.one_block) // straight code for the kernels met most: loops cost as much as a third of the taps
        step.specialize(f.axes[0].taps == 3 && f.axes[1].taps == 3 && f.axes[0].dilation == 1)
            .unroll(zone.inside[1])
            .unroll(zone.inside[2]);
}

static void find_nan(family::Stencil &f, Var vector, int width, int lanes, Var row, Var tile) {
    f.nan_lane.compute_at(f.nan_row, f.h).vectorize(f.c, lanes, tail);
    std::vector<VarOrRVar> order = {f.c};
    for (int i = 0; i < f.nan_in_row.dimensions(); ++i)
        order.emplace_back(f.nan_in_row[i]);
    order.insert(order.end(), {f.h, f.d});
    f.nan_lane.update().reorder(order).vectorize(f.c, lanes, tail);
    f.nan_k.compute_at(f.y, f.batch);
    f.nan_near.compute_at(f.y, row);
    // The test for a near NaN stays in the innermost loop: as few passes through it as can be.
    fix(f, f.hits, vector, width)
        .bound_extent(f.wo, 1)
        .bound_extent(f.h, 1)
        .bound_extent(f.d, 1)
        .bound_extent(f.batch, 1)
        .compute_at(f.y, tile)
        .vectorize(vector, lanes);
    Stage search = f.hits.update();
    if (f.plane && !f.by_channel)
        search.reorder(vector, f.hit[0], f.hit[1], f.hit[2], f.hit[3]);
    else
        search.reorder(vector, f.wi, f.hit[0], f.hit[1], f.hit[2], f.hit[3]).unroll(f.wi);
    search.vectorize(vector, width);
}

static void channels(family::Stencil &f, const family::StencilTile &tile, int lanes) {
    const int width = tile.vectors * lanes;
    f.channels(tile, lanes);
    Var row("row"), wc("wc");
    f.y.split(f.o, f.oo, f.oi, width, tail)
        .split(f.w, f.wo, f.wi, tile.positions, tail)
        .split(f.wo, wc, f.wo, 64, tail) // what a thread of a call with one row takes
        .fuse(f.h, f.d, row)
        .reorder(f.oi, f.wi, f.wo, f.oo, wc, row, f.batch)
        .vectorize(f.oi, lanes, tail)
        .unroll(f.oi)
        .parallel(wc)
        .parallel(row)
        .partition(f.wo, Partition::Never)
        .partition(wc, Partition::Never)
        .partition(row, Partition::Never)
        .partition(f.oo, Partition::Never);
    f.k_panel.bound(f.oi, 0, width)
        .reorder_storage(f.oi, f.c, f.kw, f.kh, f.kd, f.oo, f.batch)
        .reorder(f.oi, f.c, f.kw, f.kh, f.kd, f.oo, f.batch)
        .vectorize(f.oi, lanes)
        .unroll(f.oi)
        .compute_at(f.y, f.batch)
        .partition(f.oo, Partition::Always);
    for (family::Stencil::Pass &pass : f.passes)
        RegisterTile{f.oi, f.wi, width, tile.positions, lanes}.hold(pass.total.compute_at(f.y, f.wo),
                                                                    {f.oo, f.wo, f.h, f.d, f.batch});
    for (family::Stencil::Zone &zone : f.zones) {
        zone.partial.bound(f.wi, 0, tile.positions)
            .bound_extent(f.oo, 1)
            .bound_extent(f.wo, 1)
            .bound_extent(f.h, 1)
            .bound_extent(f.d, 1)
            .bound_extent(f.batch, 1);
        accumulate(f, zone, f.oi, width, lanes, zone.merge_stage == 0 ? tile.unroll_c : 1);
    }
    const Expr c_in = size_of("c_in"), c_out = size_of("c_out");
    const Expr taps = size_of("window0") * size_of("window1") * size_of("window2");
    const Expr size = cast<int64_t>(f.type.bytes());
    Expr bytes = size * taps * c_in * round_up(c_out, width);
    if (f.poisons()) {
        f.nan_row.compute_at(f.y, f.batch);
        f.hits.bound(f.wi, 0, tile.positions).bound_extent(f.oo, 1);
        find_nan(f, f.oi, width, lanes, row, f.wo);
        bytes += size * (size_of("spatial0") * size_of("spatial1") + c_in + 64);
    }
    f.scratch_bytes = simplify(bytes);
}

static Expr reach(const std::string &taps, const std::string &dilation) {
    return (size_of(taps) - 1) * size_of(dilation) + 1;
}

// The most positions of x along an axis that a block of y reads: the first block, which reads none before x, or the
// second.
static Expr span(int block, const std::string &axis) {
    const Expr made = size_of("out" + axis), stride = size_of("stride" + axis), before = size_of("before" + axis);
    const Expr size = size_of("spatial" + axis), reached = reach("window" + axis, "dilation" + axis);
    const Expr first = min((min(made, block) - 1) * stride + reached - before, size);
    const Expr second = min((min(made - block, block) - 1) * stride + reached, size - max(block * stride - before, 0));
    return max(max(first, cast<int64_t>(made > block) * second), 1);
}

// Vectors of channels, the last of which shifts inwards; single channels where there are fewer.
static void depthwise(family::Stencil &f, int positions, int lanes) {
    constexpr int rows = 8; // of y, for which rows of x are searched for NaN just before they are read
    const int width = f.narrow ? 1 : std::min(lanes, 16);
    f.depthwise(positions);
    Var ho("ho"), hi("hi"), block("block"), wc("wc");
    f.y.split(f.o, f.oo, f.oi, width, TailStrategy::ShiftInwards)
        .split(f.w, f.wo, f.wi, positions, tail)
        .split(f.wo, wc, f.wo, 64, tail)
        .split(f.h, ho, hi, rows, tail)
        .fuse(ho, f.d, block)
        .reorder(f.oi, f.wi, f.oo, f.wo, wc, hi, block, f.batch)
        .vectorize(f.oi)
        .parallel(wc)
        .parallel(block)
        .partition(f.wo, Partition::Never)
        .partition(wc, Partition::Never)
        .partition(hi, Partition::Never)
        .partition(block, Partition::Never)
        .partition(f.oo, Partition::Never);
    f.k_panel.compute_at(f.y, f.batch).reorder_storage(f.o, f.kw, f.kh, f.kd, f.batch);
    const auto one_tile = [&](Func g) {
        g.bound_extent(f.o, width).bound(f.wi, 0, positions).bound_extent(f.wo, 1);
        g.bound_extent(f.h, 1).bound_extent(f.d, 1).bound_extent(f.batch, 1);
        return g;
    };
    for (family::Stencil::Pass &pass : f.passes)
        one_tile(pass.total).compute_at(f.y, f.oo).vectorize(f.o, width).unroll(f.wi);
    for (family::Stencil::Zone &zone : f.zones) {
        one_tile(zone.partial);
        accumulate(f, zone, f.o, width, width, 1);
    }
    const Expr size = cast<int64_t>(f.type.bytes()), channels = size_of("c");
    Expr bytes = size * channels * size_of("window0") * size_of("window1") * size_of("window2");
    if (f.poisons()) {
        f.nan_row.compute_at(f.y, block);
        one_tile(f.hits);
        find_nan(f, f.o, width, width, hi, f.oo);
        bytes += size * size_of("threads") * (span(rows, "1") * span(1, "0") + channels + 64);
    }
    f.scratch_bytes = simplify(bytes);
}

static void plane(family::Stencil &f, const family::StencilTile &tile, int lanes) {
    const int rows = tile.rows, slices = tile.slices, width = tile.vectors * lanes;
    f.rows(tile, lanes);
    Var ho("ho"), hi("hi"), d_o("do"), di("di"), block("block");
    f.y.split(f.w, f.wo, f.wi, width, tail)
        .split(f.h, ho, hi, rows, tail)
        .split(f.d, d_o, di, slices, tail)
        .fuse(ho, d_o, block)
        .reorder(f.o, f.wi, f.wo, hi, di, block, f.batch)
        .vectorize(f.wi, lanes, tail)
        .unroll(f.wi)
        .parallel(block)
        .partition(f.wo, Partition::Never)
        .partition(hi, Partition::Never)
        .partition(di, Partition::Never)
        .partition(block, Partition::Never);
    f.k_panel.compute_at(f.y, f.batch);
    if (f.k_is_odd.defined())
        f.k_is_odd.compute_at(f.y, f.batch);
    f.x_rows.compute_at(f.y, block).align_storage(f.w, lanes);
    f.x_rows.update(0).reorder(f.before_row, f.h, f.d).vectorize(f.before_row, lanes, tail);
    f.x_rows.update(1).reorder(f.after_row, f.h, f.d).vectorize(f.after_row, lanes, tail);
    f.x_rows.update(2).reorder(f.x_row, f.h, f.d).specialize(f.x_is_dense).vectorize(f.x_row, lanes, tail);
    for (family::Stencil::Pass &pass : f.passes)
        pass.total.bound(f.wi, 0, width)
            .bound_extent(f.wo, 1)
            .bound_extent(f.h, 1)
            .bound_extent(f.d, 1)
            .bound_extent(f.batch, 1)
            .compute_at(f.y, f.wo)
            .vectorize(f.wi, lanes)
            .unroll(f.wi);
    for (family::Stencil::Zone &zone : f.zones) {
        zone.partial.bound_extent(f.wo, 1).bound_extent(f.h, 1).bound_extent(f.d, 1).bound_extent(f.batch, 1);
        accumulate(f, zone, f.wi, width, lanes, 1);
    }
    const Expr size = cast<int64_t>(f.type.bytes());
    const Expr taps = size_of("window0") * size_of("window1") * size_of("window2");
    const Expr copied = span(rows, "1") * span(slices, "0");
    // What x fills, in whole vectors where they are scanned, and what the last tile reads. Without an annihilator tiles
    // are told apart by whether they need a test, and Halide has room for one that needs none after those before x.
    const Expr filled = size_of("before2") + (f.poisons() ? round_up(size_of("spatial2"), lanes) : size_of("spatial2"));
    const Expr tiled =
        round_up(f.algebra.annihilator() ? size_of("out2") : max(size_of("out2"), size_of("before2") + width), width);
    const Expr row_length = round_up(max(filled, tiled + reach("window2", "dilation2") - 1), lanes);
    // Each thread copies the rows of a block of its own.
    const Expr blocks = (size_of("out1") + rows - 1) / rows * ((size_of("out0") + slices - 1) / slices);
    const Expr copies = min(size_of("threads"), blocks);
    Expr bytes = size * copied * row_length * copies + size * taps + 64;
    if (f.poisons()) {
        f.nan_row.compute_at(f.y, block).bound_extent(f.h, 1).bound_extent(f.d, 1).bound_extent(f.batch, 1);
        f.nan_lane.bound_extent(f.h, 1).bound_extent(f.d, 1).bound_extent(f.batch, 1);
        find_nan(f, f.wi, width, lanes, hi, f.wo);
    }
    f.scratch_bytes = simplify(bytes);
}

void stencil_tile(family::Stencil &f, family::StencilTile channel_tile, family::StencilTile plane_tile, int lanes) {
    if (f.narrow) {
        // Each position has an address of its own: with 20 of them that left too few registers, a fifth of the speed.
        channel_tile.positions = std::min(channel_tile.positions * channel_tile.vectors, 12);
        channel_tile.vectors = 1;
    }
    if (f.passes.size() > 1) { // exp wants the registers: its coefficients and temporaries
        channel_tile.positions = plane_tile.vectors = 2;
        channel_tile.vectors = channel_tile.unroll_c = 1;
    }
    if (f.by_channel)
        depthwise(f, f.passes.size() > 1 ? 2 : 8, lanes);
    else if (f.plane)
        plane(f, plane_tile, lanes);
    else
        channels(f, channel_tile, lanes);
}

} // namespace nitrix
