// [target]
// arch = ["x86-64"]
// halide = ["sse41"]
// cpu = ["sse4.1"]
// rounding = "unfused"
// priority = 10
#include "schedules/common/contraction.h"
#include "schedules/common/schedule.h"

namespace nitrix {

// 4 x 2 accumulators + 4 broadcasts + 1 of 16 registers, and one for the product: there is no fused form here.
static void contraction(family::Contraction &f, int lanes) { register_tile(f, {.rows = 4, .vectors = 2}, lanes); }

static const ScheduleTable sse41 = {"sse41", &naive_schedule, contraction};
static const ScheduleRegistration registration(sse41);

} // namespace nitrix
