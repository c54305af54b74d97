// The schedule of Contraction::unpacked(): a loop nest for each tile, of which a call enters one.
#include "schedules/common/contraction.h"

namespace nitrix {

using namespace Halide;

static void multiply(family::Contraction &f, family::ContractionSmall &s, int lanes) {
    const int vector = std::min(lanes, s.tile.columns);
    const auto accumulators = [&](Func g) {
        g.bound(f.ji, 0, s.tile.columns).bound(f.ii, 0, s.tile.rows);
        g.bound_extent(f.jo, 1).bound_extent(f.io, 1).bound_extent(f.batch, 1);
        return g;
    };
    const auto whole_tile = [&](Stage stage) {
        if (vector > 1)
            stage.vectorize(f.ji, vector);
        stage.unroll(f.ji).unroll(f.ii);
    };
    const RVar column = s.tiles[0], row = s.tiles[1], tile = s.tiles[2], panel = s.tiles[3];
    const RVar item = s.tiles[s.tiles.dimensions() - 1];
    Stage c = f.c.update(s.merge_stage);
    c.allow_race_conditions(); // what two tiles write is the same
    if (vector > 1)
        c.vectorize(column, vector);
    c.unroll(column).unroll(row).parallel(item);
    c.partition(panel, Partition::Never).partition(tile, Partition::Never).partition(item, Partition::Never);
    if (s.tiles.dimensions() > 5) {
        const RVar row_block = s.tiles[4];
        c.parallel(row_block).partition(row_block, Partition::Never);
    }
    accumulators(s.total).compute_at(f.c, tile);
    whole_tile(s.total);
    s.total.update().reorder(f.ji, f.ii, s.merges).partition(s.merges, Partition::Never);
    whole_tile(s.total.update());
    accumulators(s.partial).bound_extent(f.ko, 1).compute_at(s.total, s.merges);
    whole_tile(s.partial);
    s.partial.update().reorder(f.ji, f.ii, s.inside).partition(s.inside, Partition::Never);
    whole_tile(s.partial.update());
    if (s.row_nan.defined()) {
        s.row_nan.bound(f.ii, 0, s.tile.rows).bound_extent(f.io, 1).bound_extent(f.batch, 1).compute_at(f.c, tile);
        s.row_nan.unroll(f.ii).update().reorder(f.ii, s.nan_k).unroll(f.ii).partition(s.nan_k, Partition::Never);
        s.column_nan.bound(f.ji, 0, s.tile.columns).bound_extent(f.jo, 1).bound_extent(f.batch, 1);
        s.column_nan.compute_at(f.c, panel);
        const auto columns = [&](Stage stage) {
            if (vector > 1)
                stage.vectorize(f.ji, vector);
            stage.unroll(f.ji);
        };
        columns(s.column_nan);
        s.column_nan.update().reorder(f.ji, s.nan_k).partition(s.nan_k, Partition::Never);
        columns(s.column_nan.update());
    }
    if (vector > 1)
        c.specialize(f.b_contiguous_in_j);
}

void unpacked_form(family::Contraction &f, const std::vector<family::SmallTile> &tiles, int lanes) {
    f.unpacked(tiles, lanes);
    for (family::ContractionSmall &s : f.smalls)
        multiply(f, s, lanes);
    if (f.poison_stage >= 0)
        scan_for_nan(f, lanes);
    f.scratch_bytes = nan_scan_bytes(f);
}

} // namespace nitrix
