// [algebra]
// dtypes = ["uint8", "uint32"]
//
// BOOLEAN: (or, and), the algebra of reachability. Any byte but 0 is true; results are 0 and 1. A word of 32 bits holds
// as many truth values.
#pragma once

#include "generators/core/algebra.h"

namespace nitrix {

// Written bit by bit, so that a kernel may hold 32 truth values in a word.
struct Boolean : StrictSemiring {
    static constexpr bool bit_packed = true;
    static State init(Type t) { return {zero(t)}; }
    static State update(State s, Expr v) { return {s[0] | v}; }
    static State merge(State a, State b) { return {a[0] | b[0]}; }
    static Expr combine(Expr a, Expr b) { return a & b; }
    static std::optional<double> annihilator() { return 0.0; }
};

} // namespace nitrix
