#include "schedules/common/contraction.h"

#include <algorithm>

namespace nitrix {

using namespace Halide;

// The scans that find NaN in the operands of an algebra whose monoid drops it.
static void scan_for_nan(family::Contraction &f, int lanes) {
    const auto tail = TailStrategy::GuardWithIf;
    RVar ko("nan_ko"), ki("nan_ki");
    Var lane("lane");
    f.nan_a.compute_root();
    Func part = f.nan_a.update().split(f.nan_k, ko, ki, lanes, tail).rfactor(ki, lane);
    part.compute_at(f.nan_a, f.i).vectorize(lane).update().vectorize(lane).specialize(f.a_contiguous_in_k);
    f.nan_b.compute_root().vectorize(f.j, lanes, tail);
    f.nan_b.update().reorder(f.j, f.nan_k, f.batch).vectorize(f.j, lanes, tail).specialize(f.b_contiguous_in_j);
    f.nan_any.compute_root();
    f.c.update(f.poison_stage).reorder(f.poisoned, f.i, f.batch).vectorize(f.poisoned, lanes, tail);
}

void register_tile(family::Contraction &f, const family::ContractionTile &tile, int lanes) {
    const auto tail = TailStrategy::GuardWithIf;
    const int tile_columns = tile.vectors * lanes;
    f.tiled(tile, lanes);
    Var ic("ic"), jc("jc");
    f.c.update(f.merge_stage)
        .split(f.j, f.jo, f.ji, tile_columns, tail)
        .split(f.i, f.io, f.ii, tile.rows, tail)
        .split(f.io, ic, f.io, std::max(1, tile.row_block / tile.rows), tail)
        .split(f.jo, jc, f.jo, std::max(1, tile.column_block / tile_columns), tail)
        .reorder(f.ji, f.ii, f.jo, f.io, ic, jc, f.blocks, f.batch) // a row tile of A stays in the first-level cache
        .vectorize(f.ji, lanes, tail)
        .unroll(f.ji)
        .parallel(ic)
        .partition(ic, Partition::Never)
        .partition(jc, Partition::Never)
        .partition(f.jo, Partition::Never)
        .partition(f.io, Partition::Never)
        .partition(f.blocks, Partition::Never);
    f.b_panel.bound(f.ji, 0, tile_columns)
        .reorder_storage(f.ji, f.k, f.jo, f.batch)
        .reorder(f.ji, f.k, f.jo, f.batch)
        .vectorize(f.ji, lanes)
        .unroll(f.ji)
        .compute_at(f.c, jc)
        .partition(f.jo, Partition::Always);
    f.a_rows.compute_at(f.c, ic).vectorize(f.k, lanes, tail).align_storage(f.k, 16);
    if (!f.packs_bits()) {
        // Gathers pack one element a cycle: unit strides get loads of their own (192x64x256: 129 to 174 Gop/s).
        f.a_rows.specialize(f.a_contiguous_in_k);
        f.b_panel.specialize(f.b_contiguous_in_j);
        Var ko("packed_ko"), ki("packed_ki");
        f.b_panel.specialize(f.b_contiguous_in_k).split(f.k, ko, ki, lanes, tail).reorder(f.ji, ki, ko, f.jo, f.batch);
    }
    if (f.packs_bits()) {
        f.a_bits.bound(f.bit, 0, f.word_bits).compute_at(f.a_rows, f.i).vectorize(f.k, lanes, tail);
        f.b_bits.bound(f.ji, 0, tile_columns)
            .bound(f.bit, 0, f.word_bits)
            .compute_at(f.b_panel, f.k)
            .vectorize(f.ji, tile_columns);
    }
    f.partial.bound(f.ji, 0, tile_columns)
        .bound(f.ii, 0, tile.rows)
        .bound_extent(f.jo, 1)
        .bound_extent(f.io, 1)
        .bound_extent(f.ko, 1)
        .bound_extent(f.batch, 1)
        .compute_at(f.c, f.jo)
        .vectorize(f.ji, lanes)
        .unroll(f.ji)
        .unroll(f.ii);
    f.partial.update()
        .reorder(f.ji, f.ii, f.inside)
        .vectorize(f.ji, lanes)
        .unroll(f.ji)
        .unroll(f.ii)
        .partition(f.inside, Partition::Never)
        .unroll(f.inside, tile.unroll_k);
    if (f.finalize_stage >= 0)
        f.c.update(f.finalize_stage).vectorize(f.j, lanes, tail).parallel(f.i);
    if (f.poison_stage >= 0)
        scan_for_nan(f, lanes);

    const Expr m = f.shape_rows(), n = f.shape_columns(), k = f.shape_depth();
    const Expr steps = f.packs_bits() ? (k + (f.word_bits - 1)) / f.word_bits : k;
    const Expr size = cast<int64_t>(f.element.bytes()), depth = min(steps, cast<int64_t>(f.block));
    const Expr columns = (n + (tile_columns - 1)) / tile_columns * tile_columns;
    const Expr block_rows = min((m + (tile.rows - 1)) / tile.rows * tile.rows, cast<int64_t>(tile.row_block));
    const Expr bits = f.packs_bits() ? f.word_bits * (depth + tile_columns) : cast<int64_t>(0);
    f.scratch_bytes = simplify(size * depth * columns + size * ((depth + 15) / 16 * 16) * block_rows + bits);
}

} // namespace nitrix
