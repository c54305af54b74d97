#include "schedules/common/gather_product.h"

#include <algorithm>

namespace nitrix {

using namespace Halide;

void gather_one_by_one(family::GatherProduct &f) {
    f.partial.compute_at(f.merged, f.blocks);
    f.merged.compute_at(f.out, f.j);
    if (f.streams())
        f.maximum.compute_at(f.out, f.j);
    if (f.fetches())
        f.fetched.compute_at(f.out, f.i);
    f.scratch_bytes = cast<int64_t>(0);
    if (f.scattered) {
        const LoopLevel row(*f.scattered, f.scattered_rows.x);
        f.out.compute_at(row);
        f.scattered->update().reorder(f.j, f.scattered_rows.x, f.batch);
        f.scratch_bytes = f.shape_columns() * f.type.bytes();
        if (f.own) {
            f.own->c.compute_at(row);
            f.own->partial.compute_at(f.own->c, f.own->blocks);
            f.own_row.compute_at(row);
            f.scratch_bytes *= 2;
        }
    }
}

// What the rows of a task add, in tiles of accumulators whose heights divide their number.
static void own_in_tiles(family::GatherProduct &f, const LoopLevel &task, const family::ContractionTile &full,
                         int lanes) {
    Func &own = f.own->c, &partial = f.own->partial;
    Var jo("own_jo"), ji("own_ji"), io("own_io"), ii("own_ii");
    own.compute_at(task).bound(f.j, 0, f.own->columns);
    const auto across = [&](Stage stage) {
        stage.vectorize(f.j, lanes, TailStrategy::RoundUp).unroll(f.j).unroll(f.i);
    };
    const auto in_tiles = [&](Stage stage, int vectors) {
        int height = vectors == full.vectors ? full.rows : full.edge_rows[vectors - 1];
        while (f.rows_of_own % height != 0)
            --height;
        stage.split(f.j, jo, ji, vectors * lanes, TailStrategy::RoundUp)
            .split(f.i, io, ii, height, TailStrategy::RoundUp)
            .reorder(ji, ii, f.own->blocks, jo, io, f.batch)
            .vectorize(ji, lanes)
            .unroll(ji)
            .unroll(ii);
    };
    int vectors = full.vectors;
    for (; vectors * lanes > f.own_step; --vectors) {
        const Expr fits = f.own->columns % (vectors * lanes) == 0;
        in_tiles(own.update(f.own->merge_stage).specialize(fits), vectors);
    }
    in_tiles(own.update(f.own->merge_stage), vectors);
    partial.compute_at(own, f.own->blocks);
    across(partial);
    across(partial.update().reorder(f.j, f.i, f.own->inside));
    f.own_row.compute_at(own, io);
}

// The loop over the rows that an update of the result stores one by one.
struct RowLoop {
    RVar task{"task"}, row{"row"};
    Stage store;

    RowLoop(const family::GatherProduct &f, int update, const RVar &rows, int rows_of_a_task)
        : store(Func(*f.scattered).update(update)) {
        store
            .allow_race_conditions() // no two rows of a plan are the same one
            .split(rows, task, row, rows_of_a_task, TailStrategy::GuardWithIf)
            .reorder(f.j, row, task, f.batch)
            .partition(task, Partition::Never) // else each of these loops is there twice
            .parallel(task);
    }
};

// The widths of rows of one tile that may be made in lines, and of what is made of them: where B's columns begin a
// line, and where they begin inside one.
template <typename Each> static void each_width_in_lines(const family::GatherProduct &f, int lanes, const Each &each) {
    for (const int vectors : f.past_caches_tiles()) {
        const int columns = vectors * lanes;
        const Expr such = f.columns == columns && f.b_contiguous;
        each(such && f.first_of_b == 0, columns, columns);
        each(such && f.first_of_b < 0, columns, columns + f.line_elements());
    }
}

// Rows of one tile made with all that lies in their lines, in vectors for the calls that are `such`.
static void in_lines(family::GatherProduct::InLines &lines, const family::GatherProduct &f, const Expr &such, int width,
                     int lanes) {
    Var jo("jo"), ji("ji");
    lines.row.specialize(such)
        .split(f.j, jo, ji, width, TailStrategy::RoundUp)
        .reorder(ji, jo, f.i, f.batch)
        .vectorize(ji, lanes)
        .unroll(ji);
    for (Stage stage : {Stage(lines.partial), lines.partial.update().reorder(f.j, lines.inside)})
        stage.specialize(such).vectorize(f.j, lanes, TailStrategy::RoundUp).unroll(f.j);
}

// Where they are made.
static void lines_at(family::GatherProduct::InLines &lines, const family::GatherProduct &f, const RowLoop &rows) {
    Var jo("jo"), ji("ji");
    // Never met, but what it would read is checked: one column at a time it is no more than there is.
    lines.row.split(f.j, jo, ji, 1).reorder(ji, jo, f.i, f.batch);
    lines.row.store_at(*f.scattered, rows.task).compute_at(*f.scattered, rows.row);
    lines.partial.compute_at(lines.row, jo);
    lines.fetched.compute_at(lines.row, f.i);
}

// Rows of one tile that are stored past the caches, in loops for each number of vectors that they have.
static void past_caches(family::GatherProduct &f, int lanes, int rows_of_a_task) {
    RowLoop rows(f, 1, f.past_rows.x, rows_of_a_task);
    each_width_in_lines(f, lanes, [&](const Expr &alike, int columns, int width) {
        if (columns * f.type.bytes() < f.least_past_caches)
            return;
        const Expr such = alike && f.one_item && f.passes;
        for (const Expr &these : {such && f.compact, such})
            rows.store.specialize(these).vectorize(f.j, lanes, TailStrategy::GuardWithIf);
        in_lines(f.passing, f, alike, width, lanes);
    });
    lines_at(f.passing, f, rows);
    f.remains_of_lines.compute_at(*f.scattered, rows.row);
}

// Other such rows: they stay in registers.
static void kept_in_lines(family::GatherProduct &f, int lanes, int rows_of_a_task) {
    Var jo("jo");
    RowLoop rows(f, 2, f.kept_rows.x, rows_of_a_task);
    each_width_in_lines(f, lanes, [&](const Expr &alike, int columns, int width) {
        const Expr kept = alike && f.in_lines;
        for (const Expr &such : {kept && f.compact && f.looks_ahead, kept && f.compact, kept})
            rows.store.specialize(such)
                .split(f.j, jo, f.j, columns, TailStrategy::GuardWithIf)
                .vectorize(f.j, lanes)
                .unroll(f.j);
        in_lines(f.kept, f, alike, width, lanes);
    });
    lines_at(f.kept, f, rows);
}

void gather_rows(family::GatherProduct &f, const family::ContractionTile &tile, int lanes) {
    // A step of a tropical algebra keeps a second accumulator, which finds NaN: 16 in all, of 32 registers.
    const bool many_registers = tile.rows * tile.vectors > 16;
    const int most = f.lowering || f.reduction || (f.two_for_each() && (f.edge || !many_registers)) ? 4 : 8;
    const int rows_of_a_task = f.own ? f.rows_of_own : 64;
    const int narrowest = std::min(lanes, std::max(4, lanes / 4));
    Var jo("jo"), ji("ji"), task("task");
    Func &out = f.out;
    // Wide results in tiles of accumulators, the last one shifted inwards: each entry is its own reduction, so what is
    // computed twice is the same twice. Narrow ones, and columns that are not contiguous, in the plain form.
    const auto on_threads = [&](Stage stage) {
        if (f.scattered)
            return;
        stage.split(f.i, task, f.i, rows_of_a_task, TailStrategy::GuardWithIf).parallel(task);
    };
    const auto in_tiles = [&](Stage stage, const Expr &such, int width, TailStrategy tail) {
        Stage wide = stage.specialize(such && f.b_contiguous);
        wide.split(f.j, jo, ji, width, tail).vectorize(ji, std::min(width, lanes)).unroll(ji);
        wide.reorder(ji, jo, f.i, f.batch);
        on_threads(wide);
        return wide;
    };
    // Rows of one tile read by masks. The least number of their columns is known too: a mask for each vector would take
    // 1.3 times as long. Not for 5 and 7 vectors, which are as 6 and 8 with a vector of nothing (1.2 times as long):
    // compiling them all takes half as long again.
    std::vector<std::pair<Expr, int>> by_masks;
    for (int before = 0, vectors = 1; f.by_masks && vectors <= most; vectors += vectors < 4 ? 1 : 2) {
        by_masks.emplace_back(f.columns > before * lanes && f.columns <= vectors * lanes, vectors);
        before = vectors;
    }
    for (const auto &[such, vectors] : by_masks)
        in_tiles(out, such, vectors * lanes, TailStrategy::RoundUp);
    const auto in_any_width = [&](Stage stage) {
        for (int width = most * lanes; width >= (f.by_masks ? most * lanes : narrowest); width /= 2)
            in_tiles(stage, f.columns >= width, width, TailStrategy::ShiftInwards)
                .specialize(f.depth <= family::GatherProduct::block);
        stage.split(f.j, jo, ji, 1).reorder(ji, jo, f.i, f.batch);
        on_threads(stage);
    };
    if (f.asks.defined())
        in_any_width(out.specialize(!f.asks));
    in_any_width(out);

    const auto across = [&](Stage stage) {
        for (int width = lanes; width >= (f.by_masks ? lanes : narrowest); width /= 2)
            stage.specialize((f.by_masks || f.columns >= width) && f.b_contiguous)
                .vectorize(f.j, width, TailStrategy::RoundUp)
                .unroll(f.j);
    };
    const LoopLevel columns(out, jo);
    f.merged.compute_at(columns);
    f.partial.compute_at(f.merged, f.blocks);
    across(f.merged);
    across(f.merged.update().reorder(f.j, f.blocks));
    across(f.partial);
    across(f.partial.update().reorder(f.j, f.inside));
    if (f.streams()) {
        f.maximum.compute_at(columns);
        across(f.maximum);
        across(f.maximum.update().reorder(f.j, f.over_all));
    }
    if (f.fetches())
        f.fetched.compute_at(out, f.i);
    f.scratch_bytes = cast<int64_t>(0);
    if (f.scattered) {
        // A row is made in memory of its own, then stored.
        RowLoop rows(f, 0, f.scattered_rows.x, rows_of_a_task);
        // Rows that are one tile have a loop of their own, and go from registers to where they belong (in the general
        // form 1.3 times as long). LOG, which is busy with its exponentials, does not gain.
        const auto from_registers = [&](const Expr &such, int vectors) {
            Var tile_of_row("tile_of_row");
            rows.store.specialize(such && f.b_contiguous && f.depth <= family::GatherProduct::block)
                .split(f.j, tile_of_row, f.j, vectors * lanes, TailStrategy::GuardWithIf)
                .vectorize(f.j, lanes)
                .unroll(f.j);
        };
        if (!f.own && !f.streams()) {
            for (int vectors = most; vectors >= 1; vectors /= 2)
                from_registers(f.columns == vectors * lanes, vectors);
            for (const auto &[such, vectors] : by_masks)
                from_registers(such, vectors);
        }
        rows.store.vectorize(f.j, lanes, TailStrategy::GuardWithIf);
        out.store_at(*f.scattered, rows.task).compute_at(*f.scattered, rows.row);
        if (f.past_caches) {
            f.remains.compute_at(*f.scattered, rows.row);
            past_caches(f, lanes, rows_of_a_task);
            if (f.keeps_lines())
                kept_in_lines(f, lanes, rows_of_a_task);
        }
        f.scratch_bytes = f.shape_threads() * f.shape_columns() * f.type.bytes();
        if (f.own) {
            own_in_tiles(f, LoopLevel(*f.scattered, rows.task), tile, lanes);
            f.scratch_bytes += f.shape_threads() * f.rows_of_own * f.shape_own_columns() * f.type.bytes();
        }
    }
}

} // namespace nitrix
