// The schedule of Contraction::panelled(): full panels of columns without a guard, then the edge panel, each a loop
// nest of its own.
#include <algorithm>

#include "schedules/common/contraction.h"

namespace nitrix {

using namespace Halide;
using family::Contraction;
using family::ContractionPanel;
using family::ContractionTile;
using family::LeftOperand;

static const auto guard = TailStrategy::GuardWithIf;

static int rows_of_block(const ContractionTile &tile, int rows) { return std::max(1, tile.row_block / rows) * rows; }
static int panels_of_block(const ContractionTile &tile, int width) { return std::max(1, tile.column_block / width); }

static void pack_left(Contraction &f, ContractionPanel &p, const LoopLevel &row_block, const LoopLevel &depth_panel,
                      int lanes) {
    if (f.lowering) { // an exp for each element: once for all columns, on all threads
        p.a.compute_at(depth_panel).vectorize(f.k, lanes, guard).align_storage(f.k, 16);
        p.a.parallel(f.i, 16, guard); // shifted inwards, few rows would start below 0
        p.a.specialize(f.a_contiguous_in_k);
        p.a.specialize(f.a_contiguous_in_i).reorder(f.i, f.k);
    } else {
        p.a.compute_at(row_block).bound(f.ii, 0, p.rows).reorder_storage(f.ii, f.k, f.io, f.batch);
        p.a.reorder(f.ii, f.k, f.io, f.batch);
        p.a.specialize(f.a_contiguous_in_i).reorder(f.ii, f.io, f.k, f.batch).vectorize(f.ii);
        if (p.left == LeftOperand::copied) {
            Var outer("packed_ko"), inner("packed_ki");
            p.a.specialize(f.a_contiguous_in_k)
                .split(f.k, outer, inner, lanes, guard)
                .reorder(f.ii, inner, outer, f.io, f.batch)
                .unroll(f.ii)
                .vectorize(inner);
        }
    }
}

static void pack_right(Contraction &f, ContractionPanel &p, const LoopLevel &at, int lanes) {
    const int width = p.vectors * lanes;
    p.b.bound(f.ji, 0, width)
        .reorder_storage(f.ji, f.k, f.jo, f.batch)
        .reorder(f.ji, f.k, f.jo, f.batch)
        .vectorize(f.ji, lanes)
        .unroll(f.ji)
        .compute_at(at);
    if (!p.edge || f.lowering)
        p.b.parallel(f.jo);
    Func raw = p.b;
    if (f.lowering) {
        raw = p.b_inside;
        p.maximum.bound(f.ji, 0, width).compute_at(p.b, f.jo).vectorize(f.ji, lanes);
        raw.bound(f.ji, 0, width).reorder_storage(f.ji, f.k, f.jo, f.batch).vectorize(f.ji, lanes).unroll(f.ji);
        raw.compute_at(p.b, f.k);
    }
    if (p.edge) {
        RVar outer("packed_jo"), inner("packed_ji");
        auto copy = raw.update();
        copy.allow_race_conditions();
        copy.split(p.columns, outer, inner, width, guard)
            .reorder(inner, f.k, outer, f.batch)
            .vectorize(inner, lanes, guard)
            .unroll(inner)
            .partition(outer, Partition::Never);
        copy.specialize(f.b_contiguous_in_j);
    } else {
        raw.specialize(f.b_contiguous_in_j);
        if (!f.lowering) {
            Var outer("packed_ko"), inner("packed_ki");
            raw.specialize(f.b_contiguous_in_k)
                .split(f.k, outer, inner, lanes, guard)
                .reorder(f.ji, inner, outer, f.jo, f.batch);
        }
    }
}

static void multiply(Contraction &f, ContractionPanel &p, const ContractionTile &tile, int lanes) {
    const int width = p.vectors * lanes;
    Var row_block("row_block");
    Stage c = f.c.update(p.merge_stage);
    c.allow_race_conditions(); // each vector of columns is written by one tile
    c.split(f.i, f.io, f.ii, p.rows, guard).split(f.io, row_block, f.io, std::max(1, tile.row_block / p.rows), guard);
    LoopLevel block, packing, depth_panel;
    if (p.edge) {
        const RVar column = p.tiles[0], k_block = p.tiles[1];
        RVar outer("edge_outer"), inner("edge_inner");
        c.split(column, outer, inner, width, guard)
            .reorder(inner, f.ii, f.io, row_block, outer, k_block, f.batch)
            .vectorize(inner, lanes, guard)
            .unroll(inner)
            .partition(outer, Partition::Never)
            .partition(k_block, Partition::Never);
        block = LoopLevel(f.c, f.io);
        packing = depth_panel = LoopLevel(f.c, k_block);
    } else {
        // From the inside: a tile meets the blocks of a panel of k while its part of C is in the first-level cache; a
        // row tile of A meets every panel of B that the second-level cache holds.
        const RVar column = p.tiles[0], k_block = p.tiles[1], panel = p.tiles[2], k_panel = p.tiles[3];
        RVar group("column_block"), in_group("panel");
        c.split(panel, group, in_group, panels_of_block(tile, width), guard)
            .reorder(column, f.ii, k_block, in_group, f.io, row_block, group, k_panel, f.batch)
            .vectorize(column, lanes, guard)
            .unroll(column)
            .partition(k_block, Partition::Never)
            .partition(in_group, Partition::Never)
            .partition(group, Partition::Never)
            .partition(k_panel, Partition::Never);
        block = LoopLevel(f.c, k_block);
        packing = LoopLevel(f.c, group);
        depth_panel = LoopLevel(f.c, k_panel);
    }
    c.partition(row_block, Partition::Never).partition(f.io, Partition::Never).parallel(row_block);
    if (!f.lowering && p.left == LeftOperand::in_place)
        c.specialize(f.a_contiguous_in_k);
    pack_left(f, p, LoopLevel(f.c, row_block), depth_panel, lanes);
    pack_right(f, p, packing, lanes);
    p.partial.bound(f.ji, 0, width)
        .bound(f.ii, 0, p.rows)
        .bound_extent(f.jo, 1)
        .bound_extent(f.io, 1)
        .bound_extent(f.ko, 1)
        .bound_extent(f.batch, 1)
        .compute_at(block)
        .vectorize(f.ji, lanes)
        .unroll(f.ji)
        .unroll(f.ii);
    const auto steps = [&](Stage stage, const RVar &inner, const RVar &outer) {
        stage.reorder(f.ji, f.ii, inner, outer).partition(outer, Partition::Never);
        stage.vectorize(f.ji, lanes).unroll(f.ji).unroll(f.ii);
        return stage;
    };
    steps(p.partial.update(), p.groups[0], p.groups[1]).unroll(p.groups[0]);
    if (tile.unroll_k > 1)
        p.partial.update(1)
            .reorder(f.ji, f.ii, p.rest)
            .vectorize(f.ji, lanes)
            .unroll(f.ji)
            .unroll(f.ii)
            .partition(p.rest, Partition::Never);
}

// What one panel's operands hold at once: 0 where it has no columns.
static Expr packed_bytes(const Contraction &f, const ContractionPanel &p, const ContractionTile &tile, int lanes) {
    const Expr m = f.shape_rows(), n = f.shape_columns(), k = f.shape_depth(), threads = f.shape_threads();
    const int width = p.vectors * lanes, full_width = tile.vectors * lanes, row_block = rows_of_block(tile, p.rows);
    const auto if_true = [](const Expr &condition) { return cast<int64_t>(condition); }; // the registry has no select
    const Expr depth = min(k, p.edge ? f.block : f.panel_depth());
    const Expr rows = (m + (p.rows - 1)) / p.rows * p.rows;
    const Expr exists = p.edge ? if_true((n % full_width + (lanes - 1)) / lanes == p.vectors) : if_true(n >= width);
    const Expr columns = p.edge ? cast<int64_t>(width) : min(n / width, panels_of_block(tile, width)) * width;
    // Each thread packs its own block of rows; where packing is costly, all threads pack all rows once.
    constexpr int padding = 512; // that Halide adds where it stages strided loads
    const Expr copies = min(threads, (rows + (row_block - 1)) / row_block);
    const Expr left = f.lowering ? (depth + 15) / 16 * 16 * rows : (depth * min(rows, row_block) + padding) * copies;
    const Expr inside = f.lowering ? threads * (4 * width) : cast<int64_t>(0);
    return exists * f.type.bytes() * (depth * columns + left + inside);
}

void panel_form(Contraction &f, const ContractionTile &tile, int lanes) {
    f.panelled(tile, lanes);
    if (f.lowering)
        scan_for_maxima(f, lanes);
    Expr packed = cast<int64_t>(0);
    for (ContractionPanel &p : f.panels) {
        multiply(f, p, tile, lanes);
        packed = max(packed, packed_bytes(f, p, tile, lanes));
    }
    if (f.finalize_stage >= 0)
        f.c.update(f.finalize_stage).vectorize(f.j, lanes, guard).parallel(f.i);
    if (f.poison_stage >= 0)
        scan_for_nan(f, lanes);
    f.scratch_bytes = simplify(max(packed, nan_scan_bytes(f)) + maxima_bytes(f));
}

} // namespace nitrix
