// [target]
// arch = ["x86-64"]
// halide = ["sse41", "avx", "f16c", "fma", "avx2"]
// cpu = ["avx2", "fma"]
// rounding = "fused"
// priority = 20
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

// 5 x 2 accumulators + 5 broadcasts + 1 = 16 registers; 6 x 2 spills (0.64 of the speed), and so does the
// two-instruction step of the tropical algebras at 3 x 4.
static family::ContractionTile tile_of(const Algebra &algebra) {
    const int rows = 5 - algebra.temporaries();
    return {.rows = rows, .vectors = 2, .unroll_k = 1, .edge_rows = {rows + 2}};
}

static void contraction(family::Contraction &f, int lanes) { register_tile(f, tile_of(f.algebra), lanes); }

static void gather_product(family::GatherProduct &f, int lanes) {
    gather_rows(f, tile_of(algebra_named("real")), lanes);
}

static void stencil(family::Stencil &f, int lanes) {
    stencil_tile(f, {.positions = 5, .vectors = 2}, {.positions = 1, .vectors = 8}, lanes);
}

static void stencil_gradient(family::StencilGradient &f, int lanes) { gradient_tile(f, 8, lanes); }

static const ScheduleTable avx2 = {"avx2",        &naive_schedule, contraction, stream_tiles, search_blocks,
                                   whole_vectors, gather_product,  dot_lanes,   stencil,      stencil_gradient};
static const ScheduleRegistration registration(avx2);

} // namespace nitrix
