// [target]
// arch = ["x86-64"]
// halide = ["sse41"]
// cpu = ["sse4.1"]
// rounding = "unfused"
// priority = 10
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

// 3 x 2 accumulators + 3 broadcasts + 1 of 16 registers, and one for the product or the sum, which two-operand
// instructions overwrite: 4 x 2 spills (0.67 of the speed for MAX_PLUS).
static const family::ContractionTile tile = {.rows = 3, .vectors = 2, .unroll_k = 1, .edge_rows = {6}};

static void contraction(family::Contraction &f, int lanes) { register_tile(f, tile, lanes); }

static void gather_product(family::GatherProduct &f, int lanes) { gather_rows(f, tile, lanes); }

static void stencil(family::Stencil &f, int lanes) {
    stencil_tile(f, {.positions = 3, .vectors = 2}, {.positions = 1, .vectors = 6}, lanes);
}

static void stencil_gradient(family::StencilGradient &f, int lanes) { gradient_tile(f, 8, lanes); }

static const ScheduleTable sse41 = {"sse41",       &naive_schedule, contraction, stream_tiles, search_blocks,
                                    whole_vectors, gather_product,  dot_lanes,   stencil,      stencil_gradient};
static const ScheduleRegistration registration(sse41);

} // namespace nitrix
