// [target]
// arch = ["x86-64", "arm-64"]
// halide = []
// cpu = []
// rounding = "fused"
// priority = 0
//
// The reference: every op in its plain form, scalar, one thread. Fused multiply-add comes from libm where the
// instruction set has none, so the bits are those of the FMA targets on any machine.
#include "schedules/common/contraction.h"
#include "schedules/common/schedule.h"

namespace nitrix {

static void contraction(family::Contraction &f, int) { plain_form(f); }

const ScheduleTable naive_schedule = {"naive", nullptr, contraction};
static const ScheduleRegistration registration(naive_schedule);

} // namespace nitrix
