// Edges of a graph whose value is an activation of what its two ends add up to: e(i, k) = act(own[i] + source[n]) with
// n = indices[i, k], and act(x) = x where x > 0, slope * x elsewhere (1: no activation, 0: ReLU).
#pragma once

#include "generators/algebra/log.h"

namespace nitrix::ell {

// A NaN fails the comparison and stays. A slope of 0 gives 0 whatever x is: 0 * -inf would be NaN.
inline Expr edge(const Expr &own, const Expr &source, const Expr &slope) {
    const Expr x = own + source, none = zero(x.type());
    return Halide::select(x <= none, Halide::select(slope == none, none, x * slope), x);
}

struct EdgeTerm {
    Expr own, source, slope;
    Expr y, dy; // the result and its gradient; EUCLIDEAN: dy divided by y
    Expr won;   // tropical: whether the edge is what the result is
};

// sum + dy * (dy / de) * act': what an edge passes on to both of its ends.
inline Expr add_edge(const Algebra &algebra, const Expr &sum, const EdgeTerm &t) {
    const Expr x = t.own + t.source, one = exact::constant(x.type(), 1);
    const Expr slope = Halide::select(x > zero(x.type()), one, t.slope), g = t.dy * slope;
    if (algebra.name() == "real")
        return sum + g;
    const Expr e = edge(t.own, t.source, t.slope);
    if (algebra.name() == "euclidean")
        return fma(g, e, sum);
    if (algebra.lowering())
        return Halide::select(t.y == negative_infinity(x.type()), sum, fma(g, nitrix::exp(e - t.y), sum));
    return Halide::select(t.won, sum + g, sum);
}

} // namespace nitrix::ell
