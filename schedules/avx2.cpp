// [target]
// arch = ["x86-64"]
// halide = ["sse41", "avx", "f16c", "fma", "avx2"]
// cpu = ["avx2", "fma", "f16c"]
// rounding = "fused"
// priority = 20
#include "schedules/common/contraction.h"
#include "schedules/common/schedule.h"

namespace nitrix {

// 3 x 4 accumulators + 3 broadcasts + 1 = 16 registers; 6 x 2 spills and runs at 0.64 of the speed.
static void contraction(family::Contraction &f, int lanes) { register_tile(f, {.rows = 3, .vectors = 4}, lanes); }

static const ScheduleTable avx2 = {"avx2", &naive_schedule, contraction};
static const ScheduleRegistration registration(avx2);

} // namespace nitrix
