#include "schedules/common/contraction.h"

#include <algorithm>

namespace nitrix {

using namespace Halide;

static const auto tail = TailStrategy::GuardWithIf;

// What scans hold beside their results: both forms of one.
static Expr scan_bytes(const family::Contraction &f) { return 2 * max(f.shape_rows(), f.shape_columns()); }

Expr nan_scan_bytes(const family::Contraction &f) {
    return f.poison_stage < 0 ? cast<int64_t>(0) : f.shape_rows() + f.shape_columns() + scan_bytes(f);
}

Expr maxima_bytes(const family::Contraction &f) {
    return f.lowering ? f.type.bytes() * (f.shape_rows() + f.shape_columns()) * f.shape_batch() : cast<int64_t>(0);
}

Expr maxima_scan_bytes(const family::Contraction &f) {
    return f.lowering ? f.type.bytes() * scan_bytes(f) * f.shape_batch() : cast<int64_t>(0);
}

static void compute_scan_at(family::ContractionScan &scan, const LoopLevel &at) {
    for (Func g : {scan.result, scan.along, scan.across})
        g.compute_at(at);
}

void plain_form(family::Contraction &f) {
    f.whole();
    f.partial.compute_at(f.c, f.blocks);
    if (f.poison_stage >= 0) {
        const LoopLevel item(f.c, f.batch);
        for (family::ContractionScan &scan : f.scans)
            compute_scan_at(scan, item);
        f.nan_any.compute_at(item);
    }
    f.scratch_bytes = nan_scan_bytes(f);
    if (f.lowering) {
        f.a_maximum.compute_root();
        f.b_maximum.compute_root();
        f.a_rows.compute_at(f.c, f.batch);
        f.b_rows.compute_at(f.c, f.batch);
        const Expr operands = f.type.bytes() * (f.shape_rows() + f.shape_columns()) * f.shape_depth();
        f.scratch_bytes = f.scratch_bytes + maxima_bytes(f) + operands;
    }
}

// The plain form under a lowering, of at most 8 rows, columns and steps: nothing on the heap, and vectors where four or
// eight are all there is (a guarded vector takes longer than single elements here).
static void small_lowered_form(family::Contraction &f) {
    plain_form(f);
    constexpr int most = 8;
    const auto on_stack = [&](Func g, const std::vector<Var> &dims) {
        for (const Var &v : dims)
            g.bound_storage(v, most);
        g.store_in(MemoryType::Stack);
    };
    const auto whole_vectors = [&](Stage stage, const Var &v, const Expr &extent) {
        for (const int size : {4, 8})
            stage.specialize(extent == size).vectorize(v, size);
    };
    on_stack(f.a_maximum.compute_at(f.c, f.batch), {f.i});
    on_stack(f.b_maximum.compute_at(f.c, f.batch), {f.j});
    on_stack(f.a_rows, {f.k, f.i});
    on_stack(f.b_rows, {f.j, f.k});
    on_stack(f.partial.compute_at(f.c, f.blocks), {f.j});
    f.b_maximum.update().reorder(f.j, f.maximum_k);
    f.partial.update().reorder(f.j, f.inside);
    f.c.update(f.merge_stage).reorder(f.j, f.blocks, f.i, f.batch);
    whole_vectors(f.a_rows, f.k, f.depth);
    for (const Stage &stage : {Stage(f.b_maximum), f.b_maximum.update(), Stage(f.b_rows), Stage(f.partial),
                               f.partial.update(), f.c.update(f.merge_stage), f.c.update(f.finalize_stage)})
        whole_vectors(stage, f.j, f.columns);
    f.scratch_bytes = cast<int64_t>(0);
}

static void scan_along(family::ContractionScan &scan, int lanes, bool on_threads) {
    RVar outer("scan_ko"), inner("scan_ki");
    Var lane("lane"), task("task");
    Func part = scan.along.update().split(scan.k, outer, inner, lanes, tail).rfactor(inner, lane);
    // On threads where there are many: on one, LOG's scans cost two threads a tenth of their gain at 1024^3.
    if (on_threads)
        scan.along.update().specialize(scan.extent > 512).split(scan.v, task, scan.v, 64, tail).parallel(task);
    part.compute_at(scan.along, scan.v).vectorize(lane).update().vectorize(lane).specialize(scan.contiguous_in_k);
}

static void scan_across(family::ContractionScan &scan, const Var &batch, int lanes, bool on_threads) {
    Var task("task");
    scan.across.vectorize(scan.v, lanes, tail);
    Stage across = scan.across.update();
    if (on_threads) {
        Stage many = across.specialize(scan.extent > 512);
        many.split(scan.v, task, scan.v, 256, tail).reorder(scan.v, scan.k, task, batch).parallel(task);
        many.vectorize(scan.v, lanes, tail).specialize(scan.contiguous_in_v);
    }
    across.reorder(scan.v, scan.k, batch).vectorize(scan.v, lanes, tail).specialize(scan.contiguous_in_v);
}

static void schedule_scans(family::Contraction &f, const LoopLevel &at, int lanes, bool on_threads) {
    for (family::ContractionScan &scan : f.scans) {
        compute_scan_at(scan, at);
        scan.result.vectorize(scan.v, lanes, tail);
        scan_along(scan, lanes, on_threads);
        scan_across(scan, f.batch, lanes, on_threads);
    }
}

void scan_for_maxima(family::Contraction &f, int lanes) { schedule_scans(f, LoopLevel::root(), lanes, true); }

// For an algebra whose monoid drops NaN.
void scan_for_nan(family::Contraction &f, int lanes) {
    const LoopLevel item(f.c, f.batch);
    schedule_scans(f, item, lanes, false);
    f.nan_any.compute_at(item);
    f.c.update(f.poison_stage).reorder(f.poisoned, f.i, f.batch).vectorize(f.poisoned, lanes, tail);
}

// Vectors of the target, then halves of them, then single elements; each in the full height, 4 rows and 1. At most 8
// rows and columns: what fits.
static std::vector<family::SmallTile> small_tiles(const family::Contraction &f, const family::ContractionTile &full,
                                                  int lanes) {
    const bool tiny = f.shape_class == "small";
    std::vector<family::SmallTile> tiles;
    using Vectors = family::SmallTile::Vectors;
    // Rows are turned 16 at a time, where that is faster than one entry after the other (one column of 1000 rows and
    // steps, AVX-512: 0.44 of the time, 0.9 in float64, SSE4.1 0.68, but in float64 with AVX2 1.2; more rows and the
    // processor does not see them coming).
    const bool turns = lanes >= 8 || (lanes == 4 && f.type.bytes() == 4);
    for (int columns = std::min(lanes, 8) / 2; columns > 0 && !tiny && f.type.is_float(); --columns) {
        tiles.push_back({columns, 8 / columns * lanes, Vectors::rows});
        if (turns && columns < lanes / 2)
            tiles.push_back({columns, 16, Vectors::turned_rows});
    }
    const auto add = [&](int columns, int rows) {
        if (tiny && columns > 8)
            return;
        for (const int height : {tiny ? std::min(rows, 8) : rows, 8, 4, 1})
            if (tiles.empty() || tiles.back().along_rows() || tiles.back().columns != columns ||
                tiles.back().rows > height)
                tiles.push_back({columns, height});
    };
    if (full.vectors > 2)
        add(full.vectors * lanes, full.rows);
    if (full.vectors > 2 && !tiny && f.type.is_float())
        // For three, five, six, nine and ten vectors of columns: REAL, 48 columns and rows 0.88 of the time, 80 0.86.
        // Fewer rows than 13 can be too many tiles (5 rows of 240 columns in float64 1.4).
        for (const auto &[vectors, rows] : {std::pair(5, full.rows * 4 / 5), {3, full.rows * 4 / 3}})
            tiles.push_back({.columns = vectors * lanes, .rows = rows, .of_rows = 13});
    add(2 * lanes, full.vectors > 2 ? 8 : full.rows);
    add(lanes, full.vectors > 2 ? 12 : full.edge_rows[0]);
    for (int columns = lanes / 2; columns >= 2; columns /= 2)
        if (columns >= 4)
            add(columns, 8);
    add(1, 8);
    return tiles;
}

// With a third operand the registers hold a tile of it beside the accumulators: 2 * rows * vectors + rows + 1. Single
// steps: of two, LLVM copies accumulators in the loop (EUCLIDEAN's gradient: 1.04 of the time).
static family::ContractionTile tile_of_differences(const family::ContractionTile &full) {
    if (full.vectors >= 4)
        return {.rows = 3, .vectors = 4, .unroll_k = 1, .edge_rows = {10, 6, 4}};
    return {.rows = 2, .vectors = 2, .unroll_k = 1, .edge_rows = {4}};
}

void register_tile(family::Contraction &f, const family::ContractionTile &tile, int lanes) {
    // Words of bits are so few that a copy of them never pays (8192 columns of 8192 steps: 1.2 times as long); bytes
    // are what is too small for words.
    const bool in_place = f.shape_class != "any" || f.algebra.bit_packed();
    if (in_place && !f.at && !f.lowering && !f.carries)
        return unpacked_form(f, small_tiles(f, tile, lanes), lanes);
    if (f.shape_class == "small")
        return f.lowering ? small_lowered_form(f) : plain_form(f);
    panel_form(f, f.at ? tile_of_differences(tile) : tile, lanes);
}

} // namespace nitrix
