#include "schedules/common/refinement.h"

namespace nitrix {

using namespace Halide;

void search_blocks(family::Refinement &f, int lanes) {
    const auto tail = TailStrategy::GuardWithIf;
    // Columns of B that stay in the second-level cache while all rows meet them.
    constexpr int column_block = 256;
    f.vectors(lanes);
    Var jo("jo"), ji("ji"), kt("kt"), jt("jt");
    f.index.split(f.j, jo, ji, column_block, tail).reorder(ji, f.i, jo, f.batch).parallel(f.i);
    f.a_rows.compute_at(f.index, f.batch).vectorize(f.k, lanes, TailStrategy::RoundUp);
    f.b_columns.compute_at(f.index, f.batch)
        .split(f.k, kt, f.k, 8, TailStrategy::RoundUp)
        .split(f.j, jt, f.j, 16, tail)
        .reorder(f.k, f.j, kt, jt)
        .vectorize(f.k)
        .parallel(jt);
    f.found.compute_at(f.index, ji).update().atomic().vectorize(f.across, lanes);
    f.in_lane.compute_at(f.index, ji).bound(f.lane, 0, lanes).vectorize(f.lane);
    f.in_lane.update().reorder(f.lane, f.steps).vectorize(f.lane).unroll(f.steps);

    const Expr m = f.shape_rows(), n = f.shape_columns(), k = f.shape_depth();
    const Expr padded = (k + (f.block - 1)) / f.block * f.block;
    f.scratch_bytes = simplify((m + n) * padded * f.type.bytes());
}

} // namespace nitrix
