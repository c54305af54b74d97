// The schedule of Contraction::unpacked(): a loop nest for each tile, of which a call enters one.
#include "schedules/common/contraction.h"
#include "schedules/common/register_tile.h"

namespace nitrix {

using namespace Halide;

// Few columns: vectors along the rows.
static void multiply_along_rows(family::Contraction &f, family::ContractionSmall &s, int lanes) {
    const RVar column = s.tiles[0], row = s.tiles[1];
    Stage c = f.c.update(s.merge_stage);
    c.allow_race_conditions(); // what two tiles write is the same
    c.vectorize(row, lanes).unroll(row).unroll(column).parallel(s.tiles[5]).parallel(s.tiles[4]);
    for (int outer = 2; outer < 6; ++outer)
        c.partition(RVar(s.tiles[outer]), Partition::Never);
    const RegisterTile registers = {f.ii, f.ji, s.tile.rows, s.tile.columns, lanes};
    registers.hold(s.total.compute_at(f.c, s.tiles[2]).reorder(f.ii, f.ji), {f.jo, f.io, f.batch});
    s.total.reorder_storage(f.ii, f.ji);
    registers.compute(s.total.update(), {s.merges});
    registers.hold(s.partial.compute_at(s.total, s.merges).reorder(f.ii, f.ji), {f.jo, f.io, f.ko, f.batch});
    s.partial.reorder_storage(f.ii, f.ji);
    if (s.tile.vectors == family::SmallTile::Vectors::rows) {
        registers.compute(s.partial.update(), {s.inside});
        c.specialize(f.a_contiguous_in_i);
        return;
    }
    registers.compute(s.partial.update(), {s.groups[0], s.groups[1]});
    // Then a square stays in registers. In float64 LLVM takes its vectors apart (3 to 8 times as long).
    if (f.type.bytes() == 4)
        s.partial.update().unroll(s.groups[0]);
    registers.compute(s.partial.update(1), {s.rest});
    if (s.along.defined()) {
        s.along.compute_at(s.partial, s.groups[1]);
        for (const Var &point : {s.square, f.io, f.ko, f.batch})
            s.along.bound_extent(point, 1);
    }
    c.specialize(f.a_contiguous_in_k);
    for (Func &turn : s.a_turns) {
        turn.compute_at(s.partial, s.groups[1]).store_in(MemoryType::Stack).bound(s.place, 0, lanes * lanes);
        turn.bound(s.band, 0, s.tile.rows / lanes);
        for (const Var &v : {s.square, f.io, f.ko, f.batch})
            turn.bound_extent(v, 1);
        Var row("row");
        turn.split(s.place, row, s.place, lanes).vectorize(s.place).unroll(row).unroll(s.band);
    }
}

static void multiply(family::Contraction &f, family::ContractionSmall &s, int lanes) {
    if (s.tile.along_rows())
        return multiply_along_rows(f, s, lanes);
    const int vector = std::min(lanes, s.tile.columns);
    const RegisterTile registers = {f.ji, f.ii, s.tile.columns, s.tile.rows, vector};
    const bool on_threads = s.total.defined();
    const RVar column = s.tiles[0], row = s.tiles[1], tile = s.tiles[on_threads ? 2 : 3];
    const RVar panel = s.tiles[on_threads ? 3 : 4], item = s.tiles[5];
    Stage c = f.c.update(s.merge_stage);
    c.allow_race_conditions(); // what two tiles write is the same
    if (vector > 1)
        c.vectorize(column, vector);
    c.unroll(column).unroll(row).parallel(item);
    for (int outer = 2; outer < 6; ++outer)
        c.partition(RVar(s.tiles[outer]), Partition::Never);
    LoopLevel reduced_at(f.c, RVar(s.tiles[2]));
    if (on_threads) {
        c.parallel(s.tiles[4]);
        registers.hold(s.total.compute_at(f.c, tile), {f.jo, f.io, f.batch});
        registers.compute(s.total.update(), {s.merges});
        reduced_at = LoopLevel(s.total, s.merges);
    }
    registers.hold(s.partial.compute_at(reduced_at), {f.jo, f.io, f.ko, f.batch});
    registers.compute(s.partial.update(), {s.inside});
    if (s.ahead.defined()) {
        s.ahead.compute_at(reduced_at);
        for (const Var &point : {f.jo, f.io, f.ko, f.batch})
            s.ahead.bound_extent(point, 1);
    }
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
    if (vector > 1) {
        if (s.ahead.defined()) // a branch in each tile is a tenth of an item's time
            c.specialize(f.b_contiguous_in_j && !f.asks_for_items);
        c.specialize(f.b_contiguous_in_j);
    }
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
