// [target]
// arch = ["x86-64"]
// halide = ["sse41", "avx", "f16c", "fma", "avx2", "avx512", "avx512_skylake"]
// cpu = ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma"]
// rounding = "fused"
// priority = 30
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

// 6 x 4 accumulators + 6 broadcasts + 1 of 32 registers; 8 x 3 and 12 x 2 lose 10 to 20 %. Unrolled, LLVM interleaves
// the steps: 1.03 of the speed for float32; EUCLIDEAN, whose step has a temporary, spills. Of float64 LLVM takes the
// steps apart by columns: a sixth row spills in four of five loops, four steps are 1.1 times as fast as one.
static family::ContractionTile tile_of(const Algebra &algebra, Halide::Type type) {
    family::ContractionTile tile = {.rows = 6, .vectors = 4, .unroll_k = 2, .edge_rows = {14, 10, 7}};
    if (type.bits() == 64 && algebra.name() == "real")
        tile.rows = 5, tile.unroll_k = 4;
    else if (type.bits() == 64 || algebra.temporaries())
        tile.unroll_k = 1;
    return tile;
}

static void contraction(family::Contraction &f, int lanes) {
    family::ContractionTile tile = tile_of(f.lowering ? algebra_named("real") : f.algebra, f.type);
    if (f.carries) // four loops to a tile: two thirds of the time to compile, 1.006 to run
        tile.unroll_k = 1;
    register_tile(f, tile, lanes);
}

static void gather_product(family::GatherProduct &f, int lanes) {
    gather_rows(f, tile_of(algebra_named("real"), f.type), lanes);
}

static void stencil(family::Stencil &f, int lanes) {
    stencil_tile(f, {.positions = 10, .vectors = 2}, {.positions = 1, .vectors = 8}, lanes);
}

static void stencil_gradient(family::StencilGradient &f, int lanes) { gradient_tile(f, 16, lanes); }

static const ScheduleTable avx512 = {"avx512",      &naive_schedule, contraction, stream_tiles, search_blocks,
                                     whole_vectors, gather_product,  dot_lanes,   stencil,      stencil_gradient};
static const ScheduleRegistration registration(avx512);

} // namespace nitrix
