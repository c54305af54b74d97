// The terms of the gradients of products in ELL form, by algebra.
#pragma once

#include "generators/algebra/log.h"

namespace nitrix::ell {

struct Term {
    Expr dc;    // gradient of the result; EUCLIDEAN: divided by it
    Expr value; // of the entry
    Expr b;     // what it met
    Expr c;     // the result
    Expr won;   // tropical: whether the entry is what the result is
};

inline Expr log_term(const Expr &sum, const Term &t) {
    const Expr weight = nitrix::exp(t.value + t.b - t.c);
    return Halide::select(t.c == negative_infinity(t.c.type()), sum, fma(t.dc, weight, sum));
}

inline Expr tropical_term(const Expr &sum, const Term &t) { return Halide::select(t.won, sum + t.dc, sum); }

inline Expr add_for_value(const Algebra &algebra, const Expr &sum, const Term &t) {
    if (algebra.name() == "real")
        return fma(t.dc, t.b, sum);
    if (algebra.name() == "euclidean")
        return fma(t.dc, t.value - t.b, sum);
    return algebra.lowering() ? log_term(sum, t) : tropical_term(sum, t);
}

inline Expr add_for_source(const Algebra &algebra, const Expr &sum, const Term &t) {
    if (algebra.name() == "euclidean")
        return fma(t.dc, t.b - t.value, sum);
    return algebra.lowering() ? log_term(sum, t) : tropical_term(sum, t);
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
