// The schedule of Contraction::panelled(): full panels of columns without a guard, then the edge panel, each a loop
// nest of its own.
#include <algorithm>

#include "schedules/common/contraction.h"

namespace nitrix {

using namespace Halide;
using family::Contraction;
using family::ContractionPanel;
using family::ContractionTile;

static const auto guard = TailStrategy::GuardWithIf;

// Rows of A that are packed at once for all columns: read 4 KiB apart, they take a tenth of a product of 1024^3, and
// once for each block of columns two.
static constexpr int packed_rows = 4096;

static int tiles_of_block(const ContractionTile &tile, int rows) { return std::max(1, tile.row_block / rows); }
static int rows_of_block(const ContractionTile &tile, int rows) { return tiles_of_block(tile, rows) * rows; }
static int panels_of_block(const ContractionTile &tile, int width) { return std::max(1, tile.column_block / width); }

static void pack_left(Contraction &f, ContractionPanel &p, const LoopLevel &at, const ContractionTile &tile,
                      int lanes) {
    p.a.compute_at(at);
    if (f.lowering) { // an exp for each element: once for all columns, on all threads
        p.a.vectorize(f.k, lanes, guard).align_storage(f.k, 16);
        p.a.parallel(f.i, 16, guard); // shifted inwards, few rows would start below 0
        p.a.specialize(f.a_contiguous_in_k);
        p.a.specialize(f.a_contiguous_in_i).reorder(f.i, f.k);
    } else {
        Var outer("packed_io"), inner("packed_ii");
        p.a.bound(f.ii, 0, p.rows).reorder_storage(f.ii, f.k, f.io, f.batch);
        // As many tiles at a time as the first-level cache has ways for: their places lie multiples of 4 KiB apart.
        p.a.split(f.io, outer, inner, tiles_of_block(tile, p.rows), guard).reorder(f.ii, f.k, inner, outer, f.batch);
        if (!p.edge)
            p.a.parallel(outer);
        p.a.specialize(f.a_contiguous_in_i).reorder(f.ii, inner, f.k, outer, f.batch).vectorize(f.ii);
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
    c.split(f.i, f.io, f.ii, p.rows, guard).split(f.io, row_block, f.io, tiles_of_block(tile, p.rows), guard);
    LoopLevel reduced_at, b_at, a_at; // where a tile's block of k is reduced, where the operands are packed
    const auto read_in_place = [&] { return c.specialize(f.a_contiguous_in_k); };
    const auto parallel_blocks = [&] {
        c.partition(row_block, Partition::Never).partition(f.io, Partition::Never).parallel(row_block);
    };
    if (p.edge) {
        const RVar column = p.tiles[0], k_block = p.tiles[1];
        RVar outer("edge_outer"), inner("edge_inner");
        c.split(column, outer, inner, width, guard)
            .reorder(inner, f.ii, f.io, row_block, outer, k_block, f.batch)
            .vectorize(inner, lanes, guard)
            .unroll(inner)
            .partition(outer, Partition::Never)
            .partition(k_block, Partition::Never);
        parallel_blocks();
        if (!f.lowering)
            read_in_place();
        reduced_at = LoopLevel(f.c, f.io);
        b_at = LoopLevel(f.c, k_block);
        a_at = f.lowering ? b_at : LoopLevel(f.c, row_block);
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
        reduced_at = LoopLevel(f.c, k_block);
        b_at = LoopLevel(f.c, group);
        a_at = LoopLevel(f.c, k_panel);
        if (!f.lowering) {
            Var row_group("row_group");
            c.split(row_block, row_group, row_block, packed_rows / rows_of_block(tile, p.rows), guard)
                .partition(row_group, Partition::Never);
            parallel_blocks();
            read_in_place().reorder(f.io, row_block, row_group, group, k_panel);
            c.reorder(f.io, row_block, group, row_group, k_panel);
            a_at = LoopLevel(f.c, row_group);
        } else {
            parallel_blocks();
        }
    }
    pack_left(f, p, a_at, tile, lanes);
    pack_right(f, p, b_at, lanes);
    const auto steps = [&](Stage stage, const RVar &inner, const RVar &outer) {
        stage.reorder(f.ji, f.ii, inner, outer).partition(outer, Partition::Never);
        stage.vectorize(f.ji, lanes).unroll(f.ji).unroll(f.ii);
        return stage;
    };
    for (family::ContractionRun &run : p.runs) {
        run.partial.bound(f.ji, 0, width)
            .bound(f.ii, 0, p.rows)
            .bound_extent(f.jo, 1)
            .bound_extent(f.io, 1)
            .bound_extent(f.ko, 1)
            .bound_extent(f.batch, 1)
            .compute_at(reduced_at)
            .vectorize(f.ji, lanes)
            .unroll(f.ji)
            .unroll(f.ii);
        steps(run.partial.update(), run.groups[0], run.groups[1]).unroll(run.groups[0]);
        if (tile.unroll_k > 1)
            run.partial.update(1)
                .reorder(f.ji, f.ii, run.rest)
                .vectorize(f.ji, lanes)
                .unroll(f.ji)
                .unroll(f.ii)
                .partition(run.rest, Partition::Never);
    }
}

// What one panel's operands hold at once: 0 where it has no columns.
static Expr packed_bytes(const Contraction &f, const ContractionPanel &p, const ContractionTile &tile, int lanes) {
    const Expr m = f.shape_rows(), n = f.shape_columns(), k = f.shape_depth(), threads = f.shape_threads();
    const int width = p.vectors * lanes, full_width = tile.vectors * lanes, row_block = rows_of_block(tile, p.rows);
    const auto if_true = [](const Expr &condition) { return cast<int64_t>(condition); }; // the registry has no select
    const Expr depth = min(k, p.edge ? p.block : f.panel_depth());
    const Expr rows = (m + (p.rows - 1)) / p.rows * p.rows;
    const Expr exists = p.edge ? if_true((n % full_width + (lanes - 1)) / lanes == p.vectors) : if_true(n >= width);
    const Expr columns = p.edge ? cast<int64_t>(width) : min(n / width, panels_of_block(tile, width)) * width;
    // At an edge each thread packs its own block of rows, elsewhere all threads pack the same.
    constexpr int padding = 512; // that Halide adds where it stages strided loads
    const Expr copies = p.edge ? min(threads, (rows + (row_block - 1)) / row_block) : cast<int64_t>(1);
    const int most_rows = p.edge ? row_block : packed_rows / row_block * row_block;
    const Expr left = f.lowering ? (depth + 15) / 16 * 16 * rows
                                 : (depth * min(rows, most_rows) + padding) * copies * f.first_is_strided();
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
        f.c.update(f.finalize_stage).vectorize(f.finished, lanes, guard).parallel(f.i);
    if (f.poison_stage >= 0)
        scan_for_nan(f, lanes);
    f.scratch_bytes = simplify(max(packed, nan_scan_bytes(f)) + maxima_bytes(f));
}

} // namespace nitrix
