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
#include "generators/core/stencil_gradient.h"
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
    for (family::Stencil::Pass &pass : f.passes)
        pass.total.compute_at(f.y, f.o);
    for (family::Stencil::Zone &zone : f.zones)
        zone.partial.compute_at(zone.total, zone.blocks[0]);
    if (f.poisons()) {
        for (Halide::Func *nan : {&f.nan_lane, &f.nan_row, &f.nan_k, &f.nan_near})
            nan->compute_root();
        f.hits.compute_at(f.y, f.o);
    }
    const auto size_of = family::Stencil::shape;
    const Halide::Expr rows = size_of("spatial0") * size_of("spatial1"), made = size_of("out0") * size_of("out1");
    // Of each channel of each row of x, of the row, of the rows of y, and of k: whether there is a NaN.
    const Halide::Expr lanes = size_of(f.by_channel ? "c" : "c_in"),
                       marks = size_of("batch") * ((lanes + 1) * rows + made + 1);
    f.scratch_bytes = f.poisons() ? f.type.bytes() * marks : Halide::cast<int64_t>(0);
}

static void stencil_gradient(family::StencilGradient &f, int) {
    f.tiled(1, 1);
    f.scratch_bytes = f.scratch(1, 1, 1);
    f.total.compute_at(f.out, f.v);
    f.partial.compute_at(f.total, f.outer[0]);
    for (family::StencilGradient::Copy &copy : f.copies)
        copy.of.compute_at(f.out, f.rest.back());
}

const ScheduleTable naive_schedule = {"naive",   nullptr,        contraction, log_sum_exp, refinement,
                                      pointwise, gather_product, gather_dot,  stencil,     stencil_gradient};
static const ScheduleRegistration registration(naive_schedule);

} // namespace nitrix
