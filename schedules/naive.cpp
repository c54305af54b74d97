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
#include "generators/core/log_sum_exp.h"
#include "generators/core/pointwise.h"
#include "generators/core/refinement.h"
#include "schedules/common/schedule.h"

namespace nitrix {

static void contraction(family::Contraction &f, int) {
    f.whole();
    f.partial.compute_at(f.merged(), f.blocks);
    if (f.carries()) {
        f.winner->compute_with(f.c, f.batch);
        f.carried.compute_at(f.c, f.batch);
    }
    if (f.poison_stage >= 0) {
        f.nan_a.compute_root();
        f.nan_b.compute_root();
        f.nan_any.compute_root();
    }
    const Halide::Expr carried = f.shape_rows() * f.shape_columns() * (f.type.bytes() + 4);
    f.scratch_bytes = f.carries() ? carried : Halide::cast<int64_t>(0);
    if (f.lowering) {
        f.a_maximum.compute_root();
        f.b_maximum.compute_root();
        f.a_rows.compute_at(f.c, f.batch);
        f.b_rows.compute_at(f.c, f.batch);
        const Halide::Expr m = f.shape_rows(), n = f.shape_columns(), k = f.shape_depth();
        f.scratch_bytes = f.type.bytes() * (m + n) * (k + 1);
    }
}

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

const ScheduleTable naive_schedule = {"naive", nullptr, contraction, log_sum_exp, refinement, pointwise};
static const ScheduleRegistration registration(naive_schedule);

} // namespace nitrix
