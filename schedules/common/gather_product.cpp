#include "schedules/common/gather_product.h"

namespace nitrix {

using namespace Halide;

void gather_one_by_one(family::GatherProduct &f) {
    f.partial.compute_at(f.merged, f.blocks);
    f.merged.compute_at(f.out, f.j);
    if (f.lowering)
        f.maximum.compute_at(f.out, f.j);
    if (f.tracks_nan())
        f.nan_row.compute_at(f.out, f.j);
    f.scratch_bytes = cast<int64_t>(0);
}

void gather_rows(family::GatherProduct &f, int lanes) {
    // A step of a tropical algebra keeps a second accumulator, which finds NaN.
    const int most = f.tracks_nan() || f.algebra.temporaries() || f.lowering ? 4 : 8;
    constexpr int rows_of_a_task = 64;
    Var jo("jo"), ji("ji"), task("task");
    Func &out = f.out;
    // Wide results in tiles of accumulators, the last one shifted inwards: each entry is its own reduction, so what is
    // computed twice is the same twice. Narrow ones, and columns that are not contiguous, in the plain form.
    const auto on_threads = [&](Stage stage) {
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
    if (f.lowering) {
        f.maximum.compute_at(tile);
        across(f.maximum);
        across(f.maximum.update().reorder(f.j, f.over_all));
    }
    if (f.tracks_nan())
        f.nan_row.compute_at(out, f.i);
    f.scratch_bytes = cast<int64_t>(0);
}

} // namespace nitrix
