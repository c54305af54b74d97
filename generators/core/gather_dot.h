// The gather_dot family: out[i, k] = sum over j of term(j), where a term reads rows of dense arrays: those of row i,
// and those that the structure names for entry (i, k). 0 where it names none.
//
// The order of the sum: `lanes` partial sums, each of every lanes-th j in order, then halves added to halves.
#pragma once

#include <Halide.h>

#include <functional>

#include "generators/core/algebra.h"

namespace nitrix::family {

using Halide::Func;
using Halide::RDom;
using Halide::Var;

class GatherDot {
public:
    static constexpr int lanes = 16;
    // sum + the term of column j, for the entry that f.k, f.i and f.batch name and the dense row `source`.
    using Step = std::function<Halide::Expr(Halide::Expr sum, Halide::Expr j, Halide::Expr source)>;

    // index: dims (k, i, batch); out like it. `sources`: every index is below it.
    GatherDot(Type type, Func index, Func out, Expr sources, Expr columns);

    void define(const Step &step);

    // Set before: whether the target can load a vector by a mask. Elements behind the last column are then not read at
    // all; else the last column is, in their place, one element at a time.
    bool by_masks = false;
    // An element of a dense array, as a step reads it.
    Halide::Expr element(const Halide::Expr &of_column) const;

    // If given, what asks memory for all that a later row names: an expression of value 0, as GatherProduct's. `depth`:
    // entries of a row.
    std::function<Halide::Expr(Halide::Expr later)> hint;
    Expr rows, depth;

    const Type type;
    const Func index;
    Func out;
    const Expr sources, columns;
    Expr contiguous; // whether columns have unit stride, as a condition

    Var k{"k"}, i{"i"}, batch{"batch"}, lane{"lane"};
    RDom steps;
    Halide::Expr inside; // whether a lane has a column
    Func partial{"partial"}, eight{"eight"}, four{"four"}, two{"two"};
    Func fetched{"fetched"};
};

} // namespace nitrix::family
