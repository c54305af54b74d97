#include "schedules/common/gather_dot.h"

#include <algorithm>

namespace nitrix {

using namespace Halide;

void dot_one_by_one(family::GatherDot &f) {
    for (Func *part : {&f.partial, &f.eight, &f.four, &f.two})
        part->compute_at(f.out, f.k);
    if (f.hint)
        f.fetched.compute_at(f.out, f.i);
}

void dot_lanes(family::GatherDot &f, int lanes) {
    Var task("task");
    for (Stage rows : {f.out.specialize(f.contiguous), Stage(f.out)})
        rows.split(f.i, task, f.i, 64, TailStrategy::GuardWithIf).parallel(task);
    const auto whole = [&](Func &part, int width) {
        part.compute_at(f.out, f.k).bound(f.lane, 0, width).vectorize(f.lane, std::min(lanes, width));
        if (width > lanes)
            part.unroll(f.lane);
    };
    whole(f.partial, f.lanes);
    f.partial.update().reorder(f.lane, f.steps);
    for (Stage update : {f.partial.update().specialize(f.contiguous), f.partial.update()}) {
        update.vectorize(f.lane, std::min(lanes, f.lanes));
        if (f.lanes > lanes)
            update.unroll(f.lane);
    }
    whole(f.eight, 8);
    whole(f.four, 4);
    whole(f.two, 2);
    if (f.hint)
        f.fetched.compute_at(f.out, f.i);
}

} // namespace nitrix
