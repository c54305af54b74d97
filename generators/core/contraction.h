// The contraction family: C[i, j] = finalize(merge over blocks of k (update over k of combine(A[i, k], B[k, j]))).
//
// A schedule chooses a form (whole or tiled); both compute the same bits, because the order of the reduction is
// fixed here: k in blocks of `block`, sequential inside a block from the identity, blocks merged in order.
#pragma once

#include <Halide.h>

#include <functional>

#include "generators/core/algebra.h"

namespace nitrix::family {

using Halide::Func;
using Halide::RDom;
using Halide::Var;

// The register tile: rows x (vectors * lanes) accumulators. rows * vectors + rows + 1 must not exceed the number of
// vector registers, because LLVM keeps every row's broadcast alive.
struct ContractionTile {
    int rows;
    int vectors;
    int unroll_k = 4;
    int row_block = 48;     // rows of A that are packed together
    int column_block = 512; // columns of B that stay in the second-level cache
};

class Contraction {
public:
    static constexpr int block = 256;

    // a: dims (k, i, batch), b: dims (j, k, batch), c: dims (j, i, batch), innermost first.
    Contraction(const Algebra &algebra, Func a, Func b, Func c, Expr rows, Expr columns, Expr depth);

    // One accumulator at a time: the reference.
    void whole();
    // The accumulators of a tile at a time, operands packed.
    void tiled(const ContractionTile &tile, int lanes);

    const Algebra &algebra;
    const Func a, b;
    Func c;
    const Expr rows, columns, depth;
    const Type type; // of the arrays
    Type element;    // of the operands and accumulators in the inner loop; tiled() packs truth values into words

    // Where an operand is contiguous, as a condition on its strides: packing has a form of its own for each.
    Expr a_contiguous_in_k, b_contiguous_in_j, b_contiguous_in_k;

    // What the two forms define, for the schedule.
    Var i{"i"}, j{"j"}, k{"k"}, batch{"batch"};
    Var ji{"ji"}, ii{"ii"}, jo{"jo"}, io{"io"}, ko{"ko"}; // inside and outside a tile
    RDom blocks, inside;                                  // blocks of k, k inside a block
    Func partial{"partial"};                              // one block's reduction
    Func a_rows{"a_rows"}, b_panel{"b_panel"};            // packed operands
    Var bit{"bit"};                                       // of a word
    Func a_bits{"a_bits"}, b_bits{"b_bits"};              // bytes of ones where an element is true
    Func nan_a{"nan_a"}, nan_b{"nan_b"}, nan_any{"nan_any"};
    RDom nan_k, nan_i, nan_j, poisoned;
    int merge_stage = 0, finalize_stage = -1, poison_stage = -1; // update stages of c

    // Scratch bytes of one call as a function of the shape, set by the schedule.
    Expr scratch_bytes;
    static Expr shape_rows() { return Halide::Internal::Variable::make(Halide::Int(64), "m"); }
    static Expr shape_columns() { return Halide::Internal::Variable::make(Halide::Int(64), "n"); }
    static Expr shape_depth() { return Halide::Internal::Variable::make(Halide::Int(64), "k"); }

    bool packs_bits() const { return element != type; }
    static constexpr int word_bits = 32;

private:
    void define_order();
    void merge_into_c(Expr part);
    Expr clamped_k() const;
    Expr truth(Expr value) const;
    Expr packed_k() const;

    Expr steps; // length of the reduction in elements
};

} // namespace nitrix::family
