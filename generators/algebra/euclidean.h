// EUCLIDEAN: (sqrt of sum, squared difference), the distance between rows and columns.
#pragma once

#include "generators/core/algebra.h"

namespace nitrix {

// Relaxed: a squared difference is not associative and does not distribute over the sum, and nothing annihilates it.
struct Euclidean : Semiring {
    static constexpr int temporaries = 1; // the difference is both factors of its square
    static State init(Type t) { return {zero(t)}; }
    static State update(State s, Expr v) { return {s[0] + v}; }
    static State accumulate(State s, Expr a, Expr b) {
        const Expr difference = a - b;
        return {fma(difference, difference, s[0])};
    }
    static State merge(State a, State b) { return {a[0] + b[0]}; }
    static Expr finalize(State s) { return Halide::sqrt(s[0]); } // IEEE: correctly rounded everywhere
    static Expr combine(Expr a, Expr b) { return (a - b) * (a - b); }
    // (a - b) / c; 0 where the distance is.
    static Derivative derivative() {
        return {
            [](const Expr &dc, const Expr &c) { return Halide::select(c == zero(c.type()), zero(c.type()), dc / c); },
            [](const Expr &a, const Expr &b, const Expr &) { return a - b; },
            [](const Expr &a, const Expr &b, const Expr &) { return b - a; }};
    }
};

} // namespace nitrix
