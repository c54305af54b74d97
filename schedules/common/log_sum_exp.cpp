#include "schedules/common/log_sum_exp.h"

namespace nitrix {

using namespace Halide;

void stream_tiles(family::LogSumExp &f, int lanes) {
    const auto tail = TailStrategy::GuardWithIf;
    // Four rows share each load of B; a list of entries has one row.
    const int rows = Internal::is_const_one(f.height) ? 1 : 4;
    f.tiled(rows, lanes);
    const auto tile = [&](Stage stage) {
        stage.split(f.x, f.xo, f.xi, lanes, tail).split(f.y, f.yo, f.yi, rows, tail);
        return stage;
    };
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
    f.scratch_bytes = 2 * f.type.bytes() * f.results();
}

} // namespace nitrix
