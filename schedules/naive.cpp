// [target]
// arch = ["x86-64", "arm-64"]
// halide = []
// cpu = []
// rounding = "fused"
// priority = 0
//
// The reference: every op in its plain form, scalar, one thread. Fused multiply-add comes from libm where the
// instruction set has none, so the bits are those of the FMA targets on any machine.
#include "generators/core/log_sum_exp.h"
#include "generators/core/pointwise.h"
#include "generators/core/refinement.h"
#include "generators/core/stencil.h"
#include "schedules/common/contraction.h"
#include "schedules/common/gather_dot.h"
#include "schedules/common/gather_product.h"
#include "schedules/common/schedule.h"

namespace nitrix {

static void contraction(family::Contraction &f, int) { plain_form(f); }

static void refinement(family::Refinement &f, int) {
    f.whole();
    f.found.compute_at(f.index, f.j);
    f.scratch_bytes = Halide::cast<int64_t>(0);
}

static void log_sum_exp(family::LogSumExp &f, int) {
    f.tiled(1, 1);
    f.running.compute_at(f.maximum, f.x);
    f.maximum.compute_root();
    f.partial.compute_at(f.sum, f.blocks);
    f.sum.compute_root();
    f.scratch_bytes = 2 * f.type.bytes() * f.results();
}

static void pointwise(family::Pointwise &, int) {}

static void gather_product(family::GatherProduct &f, int) { gather_one_by_one(f); }

static void gather_dot(family::GatherDot &f, int) { dot_one_by_one(f); }

static void stencil(family::Stencil &f, int) {
    f.whole();
    f.total.compute_at(f.y, f.o);
    f.zones[0].partial.compute_at(f.total, f.zones[0].blocks[0]);
    if (f.poisons()) {
        for (Halide::Func *nan : {&f.nan_lane, &f.nan_row, &f.nan_k, &f.nan_near})
            nan->compute_root();
        f.hits.compute_at(f.y, f.o);
    }
    f.scratch_bytes = Halide::cast<int64_t>(0);
}

const ScheduleTable naive_schedule = {"naive",   nullptr,        contraction, log_sum_exp, refinement,
                                      pointwise, gather_product, gather_dot,  stencil};
static const ScheduleRegistration registration(naive_schedule);

} // namespace nitrix
