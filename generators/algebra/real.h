// REAL: (+, *) over the reals, the ordinary product.
#pragma once

#include "generators/core/algebra.h"

namespace nitrix {

struct Real : StrictSemiring {
    static State init(Type t) { return {zero(t)}; }
    static State update(State s, Expr v) { return {s[0] + v}; }
    static State accumulate(State s, Expr a, Expr b) { return {fma(a, b, s[0])}; }
    static State merge(State a, State b) { return {a[0] + b[0]}; }
    static Expr combine(Expr a, Expr b) { return a * b; }
    static std::optional<double> annihilator() { return 0.0; }
    static Derivative derivative() {
        return {nullptr, [](const Expr &, const Expr &b, const Expr &) { return b; },
                [](const Expr &a, const Expr &, const Expr &) { return a; }};
    }
};

} // namespace nitrix
