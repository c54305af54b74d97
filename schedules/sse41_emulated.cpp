// [target]
// arch = ["x86-64"]
// halide = ["sse41"]
// cpu = ["sse4.1"]
// rounding = "emulated"
// priority = 5
// dtypes = ["float32"]
// algebras = ["real", "log", "euclidean"]
//
// Reproducible calls on a processor without fused multiply-add: each step is computed in float64 and rounded to odd. At
// 256^3 that takes 27 to 35 times as long as SSE4.1's own rounding, and a 37th to an 85th of naive's time, whose libm
// then emulates as well. float64 has no wider type: there it would be libm's call per lane, and naive is as fast.
#include "schedules/common/contraction.h"
#include "schedules/common/gather_dot.h"
#include "schedules/common/gather_product.h"
#include "schedules/common/log_sum_exp.h"
#include "schedules/common/pointwise.h"
#include "schedules/common/refinement.h"
#include "schedules/common/schedule.h"
#include "schedules/common/stencil.h"
#include "schedules/common/stencil_gradient.h"

namespace nitrix {

static const family::ContractionTile tile = {.rows = 3, .vectors = 2, .unroll_k = 1, .edge_rows = {6}};

static void contraction(family::Contraction &f, int lanes) { register_tile(f, tile, lanes); }

static void gather_product(family::GatherProduct &f, int lanes) { gather_rows(f, tile, lanes); }

static void stencil(family::Stencil &f, int lanes) {
    stencil_tile(f, {.positions = 3, .vectors = 2}, {.positions = 1, .vectors = 6}, lanes);
}

static void stencil_gradient(family::StencilGradient &f, int lanes) { gradient_tile(f, 8, lanes); }

static const ScheduleTable sse41_emulated = {"sse41_emulated", &naive_schedule, contraction,    stream_tiles,
                                             search_blocks,    whole_vectors,   gather_product, dot_lanes,
                                             stencil,          stencil_gradient};
static const ScheduleRegistration registration(sse41_emulated);

} // namespace nitrix
