#include "schedules/common/log_sum_exp.h"

namespace nitrix {

using namespace Halide;

static Expr dimension(const char *name) { return Internal::Variable::make(Int(64), name); }

void stream_tiles(family::LogSumExp &f, int lanes) {
    const auto tail = TailStrategy::GuardWithIf;
    // Four rows share each load of B; a list of entries has one row.
    const int rows = f.is_list() ? 1 : 4;
    f.tiled(rows, lanes);
    const auto tile = [&](Stage stage) {
        stage.split(f.x, f.xo, f.xi, lanes, tail).split(f.y, f.yo, f.yi, rows, tail);
        return stage;
    };
    if (!f.is_list())
        for (Func *g : {&f.maximum, &f.sum})
            g->bound(f.x, 0, f.width).bound(f.y, 0, f.height);
    tile(f.maximum.compute_root()).reorder(f.xi, f.yi, f.yo, f.xo, f.batch).vectorize(f.xi).parallel(f.xo);
    f.sum.compute_root().vectorize(f.x, lanes, tail);
    tile(f.sum.update()).reorder(f.xi, f.yi, f.blocks, f.yo, f.xo, f.batch).vectorize(f.xi).parallel(f.xo);
    const auto inner = [&](Func part, const LoopLevel &level) {
        part.bound(f.xi, 0, lanes).bound(f.yi, 0, rows).bound_extent(f.xo, 1).bound_extent(f.yo, 1);
        part.bound_extent(f.batch, 1).compute_at(level).vectorize(f.xi).unroll(f.yi);
    };
    inner(f.running, LoopLevel(f.maximum, f.yo));
    f.running.update().reorder(f.xi, f.yi, f.k).vectorize(f.xi).unroll(f.yi);
    f.partial.bound_extent(f.ko, 1);
    inner(f.partial, LoopLevel(f.sum, f.blocks));
    f.partial.update().reorder(f.xi, f.yi, f.inside).vectorize(f.xi).unroll(f.yi);
    inner(f.maximum_inside, LoopLevel(f.sum, f.yo));
    f.scratch_bytes = 2 * f.type.bytes() * f.results();
    if (!f.is_list()) {
        // A vector of B in one load: read where it may lie anywhere, it would be gathered for each row.
        for (Func *panel : {&f.panel_of_maximum, &f.panel_of_sum})
            panel->bound(f.xi, 0, lanes).vectorize(f.xi).specialize(f.b_contiguous);
        f.maximum.partition(f.xo, Partition::Always);
        f.sum.update().partition(f.xo, Partition::Always);
        f.panel_of_maximum.compute_at(f.maximum, f.xo);
        f.panel_of_sum.compute_at(f.sum, f.xo);
        f.scratch_bytes = f.scratch_bytes + dimension("threads") * dimension("k") * (lanes * f.type.bytes());
    }
}

} // namespace nitrix
