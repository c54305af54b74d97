// What an algebra is to a generator. Each header in generators/algebra describes one as a struct of static functions;
// AlgebraOf<T> turns it into the object that generators hold.
#pragma once

#include <Halide.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "generators/core/exact_math.h"

namespace nitrix {

using Halide::Expr;
using Halide::Type;

// The accumulator of a reduction: one Expr per component.
using State = std::vector<Expr>;

// The defaults of a description. `combine` need not distribute over the monoid (EUCLIDEAN's does not).
struct Semiring {
    static constexpr bool strict = false;
    // True where the monoid drops a NaN instead of keeping it (an ordered max): ops then poison such outputs.
    static constexpr bool drops_nan = false;
    // True where elements are truth values and every function works bit by bit: a word holds 32 of them.
    static constexpr bool bit_packed = false;
    // Registers that one step needs beside its operands and accumulator, for schedules that fill the register file.
    static constexpr int temporaries = 0;
    // How far the two sides of a law may lie apart: 0, except where exp or log rounds.
    static constexpr double tolerance = 0;
    static std::optional<double> annihilator() { return std::nullopt; }
};

// The author's claim that combine is associative and distributes over the monoid, so that a reduction may be split:
// nitrix_describe tries it on samples (laws.h), and a false claim fails the build.
struct StrictSemiring : Semiring {
    static constexpr bool strict = true;
};

// The rounding of the target that this generator process compiles for.
inline exact::FMA &rounding() {
    static exact::FMA mode = exact::FMA::Fused;
    return mode;
}
inline Expr fma(Expr a, Expr b, Expr c) { return exact::fma(rounding(), std::move(a), std::move(b), std::move(c)); }

inline Expr exp(Expr x) { return exact::exp(rounding(), std::move(x)); }
inline Expr exp_nonpositive(Expr x) { return exact::exp_nonpositive(rounding(), std::move(x)); }
inline Expr log(Expr x) { return exact::log(rounding(), std::move(x)); }

using exact::infinity;
inline Expr negative_infinity(Type t) { return exact::constant(t, -std::numeric_limits<double>::infinity()); }
inline Expr zero(Type t) { return Halide::Internal::make_zero(t); }

class Algebra;

// Another way to compute a contraction: shift both operands by the maxima of A's rows and B's columns, multiply in a
// cheaper algebra, and correct the result; where that lost the result, it is unresolved(type) and streamed afterwards.
struct Lowering {
    const Algebra *product;
    Expr (*operand)(const Expr &x, const Expr &maximum);
    Expr (*result)(const Expr &product, const Expr &row_maximum, const Expr &column_maximum);
    // The streaming form: the state's second component after a value, once the maximum of all values is known.
    Expr (*add_weight)(const Expr &sum, const Expr &value, const Expr &maximum);
};

// The gradient of one term: for an output c = finalize(... combine(a, b) ...) with gradient dc, the term passes
// weight * left to a and weight * right to b. weight: nullptr, dc itself; what all terms of an output share otherwise.
struct Derivative {
    Expr (*weight)(const Expr &dc, const Expr &c);
    Expr (*left)(const Expr &a, const Expr &b, const Expr &c);
    Expr (*right)(const Expr &a, const Expr &b, const Expr &c);
    bool reads_result = false; // whether left and right read c
};

// A NaN that no arithmetic makes: its payload spells the mark.
inline uint64_t unresolved_bits(int bits) { return bits == 64 ? 0x7ff800000000a11e : 0x7fc0a11e; }
inline Expr unresolved(Type t) {
    const Type u = Halide::UInt(t.bits());
    return Halide::reinterpret(t, Halide::Internal::make_const(u, unresolved_bits(t.bits())));
}

class Algebra {
public:
    virtual ~Algebra() = default;
    virtual std::string name() const = 0;
    virtual bool strict() const = 0;
    virtual bool drops_nan() const = 0;
    virtual bool bit_packed() const = 0;
    virtual int temporaries() const = 0;
    virtual double tolerance() const = 0;
    virtual std::optional<double> annihilator() const = 0;
    virtual State init(Type t) const = 0;
    virtual Expr combine(Expr a, Expr b) const = 0;
    virtual State update(State s, Expr v) const = 0;
    virtual State accumulate(State s, Expr a, Expr b) const = 0; // update(s, combine(a, b)), maybe in fewer roundings
    virtual State merge(State a, State b) const = 0;
    virtual Expr finalize(State s) const = 0;
    virtual bool finalize_is_identity() const = 0;
    virtual std::optional<Lowering> lowering() const = 0;
    virtual std::optional<Derivative> derivative() const = 0; // none: one term wins all, or there is no gradient
};

namespace detail {
template <typename T, typename = void> struct has_accumulate : std::false_type {};
template <typename T> struct has_accumulate<T, std::void_t<decltype(&T::accumulate)>> : std::true_type {};
template <typename T, typename = void> struct has_finalize : std::false_type {};
template <typename T> struct has_finalize<T, std::void_t<decltype(&T::finalize)>> : std::true_type {};
template <typename T, typename = void> struct has_lowering : std::false_type {};
template <typename T> struct has_lowering<T, std::void_t<decltype(&T::lowering)>> : std::true_type {};
template <typename T, typename = void> struct has_derivative : std::false_type {};
template <typename T> struct has_derivative<T, std::void_t<decltype(&T::derivative)>> : std::true_type {};
} // namespace detail

template <typename T> class AlgebraOf final : public Algebra {
public:
    explicit AlgebraOf(std::string name) : name_(std::move(name)) {}
    std::string name() const override { return name_; }
    bool strict() const override { return T::strict; }
    bool drops_nan() const override { return T::drops_nan; }
    bool bit_packed() const override { return T::bit_packed; }
    int temporaries() const override { return T::temporaries; }
    double tolerance() const override { return T::tolerance; }
    std::optional<double> annihilator() const override { return T::annihilator(); }
    State init(Type t) const override { return T::init(t); }
    Expr combine(Expr a, Expr b) const override { return T::combine(a, b); }
    State update(State s, Expr v) const override { return T::update(s, v); }
    State accumulate(State s, Expr a, Expr b) const override {
        if constexpr (detail::has_accumulate<T>::value)
            return T::accumulate(s, a, b);
        else
            return T::update(s, T::combine(a, b));
    }
    State merge(State a, State b) const override { return T::merge(a, b); }
    Expr finalize(State s) const override {
        if constexpr (detail::has_finalize<T>::value)
            return T::finalize(s);
        else
            return s[0];
    }
    bool finalize_is_identity() const override { return !detail::has_finalize<T>::value; }
    std::optional<Lowering> lowering() const override {
        if constexpr (detail::has_lowering<T>::value)
            return T::lowering();
        else
            return std::nullopt;
    }
    std::optional<Derivative> derivative() const override {
        if constexpr (detail::has_derivative<T>::value)
            return T::derivative();
        else
            return std::nullopt;
    }

private:
    std::string name_;
};

// Every algebra of this build, in the order of their file names. Defined in the generated algebras.cpp.
const std::vector<std::unique_ptr<Algebra>> &algebras();

const Algebra &algebra_named(const std::string &name);

} // namespace nitrix
