// [algebra]
// components = 2
//
// LOG: (log of sum of exp, +), the algebra of log-probabilities.
#pragma once

#include "generators/algebra/real.h"
#include "generators/core/algebra.h"

namespace nitrix {

// The state is (m, sum of exp(v - m)) over the values v; an m that is not finite counts as 0 inside the exponent, and
// exponents above 0 (where m is +inf) as 0. So -inf, +inf and NaN need no cases: log(sum) + m is right for each.
struct Log : StrictSemiring {
    static constexpr double tolerance = 1e-12; // exp and log round

    // Below exp of this a number may not be normal, and those cost a microcode assist each.
    static Expr least(Type t) { return exact::constant(t, t.bits() == 64 ? -700 : -86); }
    static Expr is_finite(const Expr &x) { return Halide::abs(x) < infinity(x.type()); }
    static Expr exponent(const Expr &v, const Expr &m) {
        return exact::ordered_min(v - select(is_finite(m), m, zero(m.type())), zero(v.type()));
    }
    static Expr weight(const Expr &v, const Expr &m) { return factor(exponent(v, m)); }
    // exp, but 0 below exp(least). x is NaN: so is this.
    static Expr factor(const Expr &x) {
        const Expr floor = least(x.type());
        return select(x < floor, zero(x.type()), nitrix::exp_nonpositive(exact::ordered_max(x, floor)));
    }
    // Plus the weight of a term where the largest one has 1: no less than exp(least), of which nothing remains beside
    // it.
    static Expr add_share(const Expr &sum, const Expr &v, const Expr &m) {
        return exact::add_exp_of_share(rounding(), sum, exact::ordered_max(exponent(v, m), least(v.type())));
    }
    static State init(Type t) { return {negative_infinity(t), zero(t)}; }
    static State update(State s, Expr v) { return merge(s, {v, weight(v, v)}); }
    static State merge(State a, State b) {
        const Expr m = exact::ordered_max(a[0], b[0]);
        return {m, a[1] * weight(a[0], m) + b[1] * weight(b[0], m)};
    }
    static Expr finalize(State s) { return nitrix::log(s[1]) + s[0]; }
    static Expr combine(Expr a, Expr b) { return a + b; }
    // The softmax exp(a + b - c); 0 where c is -inf, as nothing led to it.
    static Expr softmax(const Expr &a, const Expr &b, const Expr &c) {
        const Expr share = factor(exact::ordered_min((a + b) - c, zero(c.type())));
        return select(c == negative_infinity(c.type()), zero(c.type()), share);
    }
    static Derivative derivative() { return {nullptr, softmax, softmax, true}; }
    static std::optional<double> annihilator() { return -std::numeric_limits<double>::infinity(); }

    // exp(a - row's maximum) times exp(b - column's maximum), summed as REAL. Where the maxima never meet, the sum
    // underflows: `smallest` is far enough above that for all terms that matter to have been normal numbers.
    static double smallest(Type t) { return t.bits() == 64 ? 1e-200 : 1e-24; }

    static Expr lowered_operand(const Expr &x, const Expr &maximum) {
        const Type t = x.type();
        // A row without a finite maximum contributes nothing here and is left to the streaming form.
        return select(is_finite(maximum), factor(x - maximum), exact::is_nan(x), x, zero(t));
    }
    static Expr lowered_result(const Expr &sum, const Expr &row, const Expr &column) {
        const Type t = sum.type();
        const Expr none = negative_infinity(t), all = infinity(t);
        const Expr empty = (row == none && column < all) || (column == none && row < all);
        return select(exact::is_nan(sum), exact::quiet_nan(t), sum >= exact::constant(t, smallest(t)),
                      finalize({row + column, sum}), empty, none, unresolved(t));
    }
    static Lowering lowering() {
        static const AlgebraOf<Real> real("real");
        return {&real, lowered_operand, lowered_result, add_share};
    }
};

} // namespace nitrix
