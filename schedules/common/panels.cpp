// The schedule of Contraction::panelled(): full panels of columns without a guard, then the edge panel, each a loop
// nest of its own.
#include <algorithm>

#include "schedules/common/contraction.h"
#include "schedules/common/register_tile.h"
#include "schedules/common/round_up.h"

namespace nitrix {

using namespace Halide;
using family::Contraction;
using family::ContractionPanel;
using family::ContractionTile;

static const auto guard = TailStrategy::GuardWithIf;

// Rows of a task. On one thread 12 to 48 take the same time; two threads are 1.86 times as fast with 12, 1.82 times
// with 24, since the last one to finish finishes sooner.
static constexpr int rows_of_task = 12;

static int tiles_of_block(int rows) { return std::max(1, rows_of_task / rows); }
static int rows_of_block(int rows) { return tiles_of_block(rows) * rows; }

// Rows of A that are packed at once for all columns, into 8 MiB: read 4 KiB apart, they take a tenth of a product of
// 1024^3, and once for each block of columns two.
static int packed_rows(const Contraction &f) { return (8 << 20) / (Contraction::panel_depth * f.type.bytes()); }

// 512 steps of k become 520.
static constexpr int packed_steps = 40;

static void pack_left(Contraction &f, ContractionPanel &p, const LoopLevel &at, int lanes) {
    p.a.compute_at(at);
    if (f.lowering) { // an exp for each element: once for all columns, on all threads
        p.a.vectorize(f.k, lanes, guard).align_storage(f.k, 16);
        p.a.parallel(f.i, 16, guard); // shifted inwards, few rows would start below 0
        p.a.specialize(f.a_contiguous_in_k);
        p.a.specialize(f.a_contiguous_in_i).reorder(f.i, f.k);
    } else {
        Var outer("packed_io"), inner("packed_ii");
        p.a.bound(f.ii, 0, p.rows).reorder_storage(f.ii, f.k, f.io, f.batch);
        // 128 rows at a time of a contiguous i, in one go through k; their tiles lie no multiples of 4 KiB apart, where
        // the first-level cache would hold as many as it has ways (2048^3, float64, A transposed: 0.94 of the time of
        // 8 tiles).
        constexpr int tiles = 22;
        p.a.align_storage(f.k, packed_steps)
            .split(f.io, outer, inner, tiles, guard)
            .reorder(f.ii, f.k, inner, outer, f.batch);
        if (!p.edge)
            p.a.parallel(outer);
        p.a.specialize(f.a_contiguous_in_i).reorder(f.ii, inner, f.k, outer, f.batch).vectorize(f.ii);
    }
}

static void pack_right(Contraction &f, ContractionPanel &p, const LoopLevel &at, int lanes) {
    const int width = p.vectors * lanes;
    p.b.bound(f.ji, 0, width).reorder_storage(f.ji, f.k, f.jo, f.batch).compute_at(at);
    if (!p.edge || f.lowering)
        p.b.parallel(f.jo);
    Var piece("packed_piece");
    if (p.b_block.defined()) {
        // Vectors of k, interleaved four at a time: few enough for the ways of the first-level cache (1024^3:
        // 1.01 of a plain B's time; one element at a time 1.17). Wider ones gain nothing and are much code.
        constexpr int columns = 4;
        Var outer("packed_ko"), inner("packed_ki");
        p.b.specialize(f.b_contiguous_in_k)
            .split(f.k, outer, inner, lanes, guard)
            .split(f.ji, piece, f.ji, columns)
            .reorder(f.ji, inner, piece, outer, f.jo, f.batch)
            .vectorize(f.ji);
        p.b_block.compute_at(p.b, piece).store_in(MemoryType::Stack).vectorize(f.k, lanes, guard).unroll(f.ji);
    }
    p.b.split(f.ji, piece, f.ji, lanes).reorder(f.ji, piece, f.k, f.jo, f.batch).vectorize(f.ji).unroll(piece);
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
    }
}

static void multiply(Contraction &f, ContractionPanel &p, const ContractionTile &tile, int lanes) {
    const int width = p.vectors * lanes;
    Var row_block("row_block");
    Stage c = f.c.update(p.merge_stage);
    c.allow_race_conditions(); // each vector of columns is written by one tile
    c.split(f.i, f.io, f.ii, p.rows, guard).split(f.io, row_block, f.io, tiles_of_block(p.rows), guard);
    LoopLevel tile_at, reduced_at, b_at, a_at; // of a tile, of its block of k, of the packed operands
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
        tile_at = reduced_at = LoopLevel(f.c, f.io);
        b_at = LoopLevel(f.c, k_block);
        a_at = f.lowering ? b_at : LoopLevel(f.c, row_block);
    } else {
        // From the inside: a tile meets the blocks of a panel of k while its part of C is in the first-level cache; a
        // row tile of A meets every panel of B that the second-level cache holds.
        const RVar column = p.tiles[0], k_block = p.tiles[1], panel = p.tiles[2], k_panel = p.tiles[3];
        RVar group("column_block"), in_group("panel");
        c.split(panel, group, in_group, f.panels_at_once(width), guard)
            .reorder(column, f.ii, k_block, in_group, f.io, row_block, group, k_panel, f.batch)
            .vectorize(column, lanes, guard)
            .unroll(column)
            .partition(k_block, Partition::Never)
            .partition(in_group, Partition::Never)
            .partition(group, Partition::Never)
            .partition(k_panel, Partition::Never);
        tile_at = LoopLevel(f.c, in_group);
        reduced_at = LoopLevel(f.c, k_block);
        b_at = LoopLevel(f.c, group);
        a_at = LoopLevel(f.c, k_panel);
        if (!f.lowering) {
            Var row_group("row_group");
            c.split(row_block, row_group, row_block, packed_rows(f) / rows_of_block(p.rows), guard)
                .partition(row_group, Partition::Never);
            parallel_blocks();
            read_in_place().reorder(f.io, row_block, row_group, group, k_panel);
            c.reorder(f.io, row_block, group, row_group, k_panel);
            a_at = LoopLevel(f.c, row_group);
        } else {
            parallel_blocks();
        }
    }
    pack_left(f, p, a_at, lanes);
    pack_right(f, p, b_at, lanes);
    if (p.ahead.defined()) {
        p.ahead.compute_at(reduced_at);
        for (const Var &point : {f.jo, f.io, f.ko, f.batch})
            p.ahead.bound_extent(point, 1);
    }
    const RegisterTile registers = {f.ji, f.ii, width, p.rows, lanes};
    if (f.at) {
        registers.hold(p.at.compute_at(tile_at), {f.jo, f.io});
        p.at.specialize(f.at_contiguous_in_j);
    }
    for (family::ContractionRun &run : p.runs) {
        registers.hold(run.partial.compute_at(reduced_at), {f.jo, f.io, f.ko, f.batch});
        registers.compute(run.partial.update(), {run.groups[0], run.groups[1]});
        run.partial.update().unroll(run.groups[0]);
        if (tile.unroll_k > 1)
            registers.compute(run.partial.update(1), {run.rest});
    }
}

// What one panel's operands hold at once: 0 where it has no columns.
static Expr packed_bytes(const Contraction &f, const ContractionPanel &p, const ContractionTile &tile, int lanes) {
    const Expr m = f.shape_rows(), n = f.shape_columns(), k = f.shape_depth(), threads = f.shape_threads();
    const int width = p.vectors * lanes, full_width = tile.vectors * lanes, task_rows = rows_of_block(p.rows);
    const auto if_true = [](const Expr &condition) { return cast<int64_t>(condition); }; // the registry has no select
    const Expr depth = min(k, p.edge ? p.block : f.panel_depth);
    const Expr rows = round_up(m, p.rows);
    const Expr exists = p.edge ? if_true((n % full_width + (lanes - 1)) / lanes == p.vectors) : if_true(n >= width);
    const Expr columns = p.edge ? cast<int64_t>(width) : min(n / width, f.panels_at_once(width)) * width;
    // At an edge each thread packs its own block of rows, elsewhere all threads pack the same.
    constexpr int padding = 512; // that Halide adds where it stages strided loads
    const Expr copies = p.edge ? min(threads, (rows + (task_rows - 1)) / task_rows) : cast<int64_t>(1);
    const int most_rows = p.edge ? task_rows : packed_rows(f) / task_rows * task_rows;
    const Expr left =
        f.lowering ? round_up(depth, 16) * rows
                   : (round_up(depth, packed_steps) * min(rows, most_rows) + padding) * copies * f.first_is_strided();
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
    f.scratch_bytes = simplify(max(packed, max(nan_scan_bytes(f), maxima_scan_bytes(f))) + maxima_bytes(f));
}

} // namespace nitrix
