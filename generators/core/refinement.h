// The refinement family: index[i, j] = the smallest k in the block winner[i, j] with combine(A[i, k], B[k, j]) == C[i,
// j], -1 where there is none. What a product that carried its winning blocks is searched with afterwards.
#pragma once

#include <Halide.h>

#include "generators/core/algebra.h"
#include "generators/core/contraction.h"

namespace nitrix::family {

class Refinement {
public:
    static constexpr int block = Contraction::winner_block;

    // a: dims (k, i, batch), b: dims (j, k, batch), c, winner and index: dims (j, i, batch), innermost first.
    Refinement(const Algebra &algebra, Func a, Func b, Func c, Func winner, Func index, Expr rows, Expr columns,
               Expr depth);

    // One k at a time: the reference.
    void whole();
    // A block at a time, from operands copied so that its k are contiguous in both.
    void blocks();

    const Algebra &algebra;
    const Func a, b, c, winner;
    Func index;
    const Expr rows, columns, depth;
    const Type type;

    Var i{"i"}, j{"j"}, k{"k"}, ko{"ko"}, batch{"batch"};
    RDom inside;                                   // k inside a block
    Func a_rows{"a_rows"}, b_columns{"b_columns"}; // copies, k innermost, NaN (which equals nothing) behind the end
    Func found{"found"};                           // the smallest match of a block

    Expr a_is_dense; // unit stride along k
    // Scratch bytes of one call as a function of the shape, set by the schedule.
    Expr scratch_bytes;
    static Expr shape_rows() { return Contraction::shape_rows(); }
    static Expr shape_columns() { return Contraction::shape_columns(); }
    static Expr shape_depth() { return Contraction::shape_depth(); }
    static Expr shape_threads() { return Contraction::shape_threads(); }

private:
    Expr first_k() const; // of the block
    void define_index();
};

} // namespace nitrix::family
