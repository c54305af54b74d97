// The streaming form of a lowered algebra (LOG): two passes over k, first the maximum m of the values
// v = combine(A[i, k], B[k, j]), then the sum of weight(v, m). No exponent can overflow and no sum underflow.
//
// The order is that of a contraction: the sum in blocks of k, sequential inside a block, blocks merged in order.
#pragma once

#include <Halide.h>

#include <functional>

#include "generators/core/algebra.h"

namespace nitrix::family {

class LogSumExp {
public:
    using Coordinate = std::function<Halide::Expr(Halide::Expr x, Halide::Expr y)>;

    // One result for each (x, y) of width x height: row(x, y) of A with column(x, y) of B.
    // a: dims (k, i, batch), b: dims (j, k, batch).
    LogSumExp(const Algebra &algebra, Halide::Func a, Halide::Func b, Coordinate row, Coordinate column, Expr width,
              Expr height, Expr depth);

    // Defines maximum and sum, a tile of rows x columns at a time.
    void tiled(int rows, int columns);

    const Algebra &algebra;
    const Lowering lowering;
    const Halide::Func a, b;
    const Coordinate row, column;
    const Expr width, height, depth;
    const Type type;

    Halide::Var x{"x"}, y{"y"}, batch{"batch"};
    Halide::Var xi{"xi"}, yi{"yi"}, xo{"xo"}, yo{"yo"}, ko{"ko"}; // inside and outside a tile
    Halide::RDom k, blocks, inside;
    Halide::Func running{"running"}, partial{"partial"};                             // of one tile
    Halide::Func maximum{"maximum"}, sum{"sum"};                                     // dims (x, y, batch)
    Halide::Func panel_of_maximum{"panel_of_maximum"}, panel_of_sum{"panel_of_sum"}; // B's columns of a tile, copied
    Halide::Func maximum_inside{"maximum_inside"};                                   // of a tile
    bool is_list() const { return Halide::Internal::is_const_one(height); }          // of entries, not a product

    Expr b_contiguous;    // of a product, as a condition on the stride of a row
    Expr results() const; // how many, in the dimensions of the op's signature
    Expr scratch_bytes;   // set by the schedule, as a contraction's

private:
    Expr value(Halide::Func &panel, const Expr &tile_x, const Expr &tile_y, const Expr &at);
};

} // namespace nitrix::family
