// The terms of the gradients of products in ELL form, by algebra.
#pragma once

#include "generators/core/algebra.h"

namespace nitrix::ell {

struct Term {
    Expr dc;    // gradient of the result; EUCLIDEAN: divided by it
    Expr value; // of the entry
    Expr b;     // what it met
    Expr c;     // the result
    Expr won;   // tropical: whether the entry is what the result is
};

inline Expr add_for_value(const Algebra &algebra, const Expr &sum, const Term &t) {
    if (algebra.drops_nan())
        return Halide::select(t.won, sum + t.dc, sum);
    return fma(t.dc, algebra.derivative()->left(t.value, t.b, t.c), sum);
}

inline Expr add_for_source(const Algebra &algebra, const Expr &sum, const Term &t) {
    if (algebra.drops_nan())
        return Halide::select(t.won, sum + t.dc, sum);
    return fma(t.dc, algebra.derivative()->right(t.value, t.b, t.c), sum);
}

// Whether the columns of the arrays that the terms read have unit stride.
template <typename Dense, typename Winner>
Expr contiguous(const Algebra &algebra, const Dense &b, const Dense &c, const Dense &dc, const Winner &winner) {
    const auto unit = [](const auto &array) { return Expr(array.dim(0).stride() == 1); };
    if (algebra.drops_nan())
        return unit(dc) && unit(winner);
    return algebra.lowering() ? unit(b) && unit(c) && unit(dc) : unit(b) && unit(dc);
}

} // namespace nitrix::ell
