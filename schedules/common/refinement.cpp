#include "schedules/common/refinement.h"

namespace nitrix {

using namespace Halide;

void search_blocks(family::Refinement &f, int lanes) {
    const auto tail = TailStrategy::GuardWithIf;
    // Columns of B that stay in the second-level cache while all rows meet them; rows of A come to the first-level one.
    constexpr int column_block = 256, row_block = 4;
    f.blocks();
    Var jo("jo"), ji("ji"), io("io"), ii("ii"), kt("kt"), jt("jt");
    f.index.split(f.j, jo, ji, column_block, tail)
        .split(f.i, io, ii, row_block, tail)
        .reorder(ji, ii, io, jo, f.batch)
        .parallel(io);
    f.a_rows.compute_at(f.index, ii).hoist_storage(f.index, io).vectorize(f.k, lanes, TailStrategy::RoundUp);
    f.a_rows.specialize(f.a_is_dense);
    f.b_columns.compute_at(f.index, jo)
        .bound(f.k, 0, f.block)
        .split(f.k, kt, f.k, 8, TailStrategy::RoundUp)
        .split(f.j, jt, f.j, 64, tail) // rows of B, whose neighbours are asked of memory together
        .reorder(f.k, f.j, kt, f.ko, jt)
        .vectorize(f.k)
        .parallel(jt);

    const Expr m = f.shape_rows(), n = f.shape_columns(), k = f.shape_depth();
    const Expr padded = (k + (f.block - 1)) / f.block * f.block;
    const Expr copies = min(f.shape_threads(), (m + (row_block - 1)) / row_block);
    f.scratch_bytes = simplify((min(n, column_block) + copies) * padded * f.type.bytes());
}

} // namespace nitrix
