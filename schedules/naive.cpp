// [target]
// arch = ["x86-64", "arm-64"]
// halide = []
// cpu = []
// rounding = "fused"
// priority = 0
//
// The reference: every op in its plain form, scalar, one thread. Fused multiply-add comes from libm where the
// instruction set has none, so the bits are those of the FMA targets on any machine.
#include "generators/core/contraction.h"
#include "generators/core/stencil.h"
#include "schedules/common/schedule.h"

namespace nitrix {

static void contraction(family::Contraction &f, int) {
    f.whole();
    f.partial.compute_at(f.c, f.blocks);
    if (f.poison_stage >= 0) {
        f.nan_a.compute_root();
        f.nan_b.compute_root();
        f.nan_any.compute_root();
    }
    f.scratch_bytes = Halide::cast<int64_t>(0);
}

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

const ScheduleTable naive_schedule = {"naive", nullptr, contraction, stencil};
static const ScheduleRegistration registration(naive_schedule);

} // namespace nitrix
