// TROPICAL_MIN_PLUS: (min, +), the algebra of shortest paths and of grey erosion.
#pragma once

#include "generators/core/algebra.h"

namespace nitrix {

struct TropicalMinPlus : StrictSemiring {
    static constexpr bool drops_nan = true; // so that +inf (x) -inf, a NaN in IEEE arithmetic, is absorbed
    static State init(Type t) { return {infinity(t)}; }
    static State update(State s, Expr v) { return {exact::ordered_min(s[0], v)}; }
    static State merge(State a, State b) { return {exact::ordered_min(a[0], b[0])}; }
    static Expr combine(Expr a, Expr b) { return a + b; }
    static std::optional<double> annihilator() { return std::numeric_limits<double>::infinity(); }
};

} // namespace nitrix
