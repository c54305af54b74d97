// [target]
// arch = ["x86-64"]
// halide = []
// cpu = []
// rounding = "unfused"
// priority = -10
// reference = true
//
// The plain form in the unfused rounding class: what the targets without fused multiply-add are compared with.
#include "schedules/common/schedule.h"

namespace nitrix {

static const ScheduleTable naive_unfused = {"naive_unfused", &naive_schedule};
static const ScheduleRegistration registration(naive_unfused);

} // namespace nitrix
