#include "schedules/common/gather_product.h"

namespace nitrix {

using namespace Halide;

void gather_one_by_one(family::GatherProduct &f) {
    f.partial.compute_at(f.merged, f.blocks);
    f.merged.compute_at(f.out, f.j);
    if (f.streams())
        f.maximum.compute_at(f.out, f.j);
    if (f.has_nan_row())
        f.nan_row.compute_at(f.out, f.j);
    if (f.fetches())
        f.fetched.compute_at(f.out, f.i);
    f.scratch_bytes = cast<int64_t>(0);
    if (f.scattered) {
        f.out.compute_at(*f.scattered, f.scattered_rows.x);
        f.scattered->update().reorder(f.j, f.scattered_rows.x, f.batch);
        f.scratch_bytes = f.shape_columns() * f.type.bytes();
    }
}

void gather_rows(family::GatherProduct &f, int lanes) {
    // A step of a tropical algebra keeps a second accumulator, which finds NaN.
    const int most = f.tracks_nan() || f.algebra.temporaries() || f.lowering || f.reduction ? 4 : 8;
    constexpr int rows_of_a_task = 64;
    Var jo("jo"), ji("ji"), task("task");
    Func &out = f.out;
    // Wide results in tiles of accumulators, the last one shifted inwards: each entry is its own reduction, so what is
    // computed twice is the same twice. Narrow ones, and columns that are not contiguous, in the plain form.
    const auto on_threads = [&](Stage stage) {
        if (f.scattered)
            return;
        stage.split(f.i, task, f.i, rows_of_a_task, TailStrategy::GuardWithIf).parallel(task);
    };
    for (int vectors = most; vectors >= 1; vectors /= 2) {
        Stage wide = out.specialize(f.columns >= vectors * lanes && f.b_contiguous);
        wide.split(f.j, jo, ji, vectors * lanes, TailStrategy::ShiftInwards).vectorize(ji, lanes).unroll(ji);
        wide.reorder(ji, jo, f.i, f.batch);
        on_threads(wide);
    }
    out.split(f.j, jo, ji, 1).reorder(ji, jo, f.i, f.batch);
    on_threads(out);

    const Expr wide = f.columns >= lanes && f.b_contiguous;
    const auto across = [&](Stage stage) {
        stage.specialize(wide).vectorize(f.j, lanes, TailStrategy::RoundUp).unroll(f.j);
    };
    const LoopLevel tile(out, jo);
    f.merged.compute_at(tile);
    f.partial.compute_at(f.merged, f.blocks);
    across(f.merged);
    across(f.merged.update().reorder(f.j, f.blocks));
    across(f.partial);
    across(f.partial.update().reorder(f.j, f.inside));
    if (f.streams()) {
        f.maximum.compute_at(tile);
        across(f.maximum);
        across(f.maximum.update().reorder(f.j, f.over_all));
    }
    if (f.has_nan_row())
        f.nan_row.compute_at(out, f.i);
    if (f.fetches())
        f.fetched.compute_at(out, f.i);
    f.scratch_bytes = cast<int64_t>(0);
    if (f.scattered) {
        // A row is made in memory of its own, then stored. No two rows of a plan are the same one.
        RVar some("task"), row("row");
        f.scattered->update()
            .allow_race_conditions()
            .split(f.scattered_rows.x, some, row, rows_of_a_task, TailStrategy::GuardWithIf)
            .reorder(f.j, row, some, f.batch)
            .parallel(some)
            .vectorize(f.j, lanes, TailStrategy::GuardWithIf);
        out.store_at(*f.scattered, some).compute_at(*f.scattered, row);
        f.scratch_bytes = f.shape_threads() * f.shape_columns() * f.type.bytes();
    }
}

} // namespace nitrix
