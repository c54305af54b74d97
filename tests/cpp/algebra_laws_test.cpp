// What nitrix_describe says to an algebra whose author claims too much. Links Halide, as a generator does.
#include <gtest/gtest.h>

#include "generators/algebra/euclidean.h"
#include "generators/algebra/tropical_max_plus.h"
#include "generators/core/laws.h"

using namespace nitrix;

namespace {

// The claim is false: (a - b)^2 does not associate.
struct Squares : StrictSemiring {
    static State init(Type t) { return {zero(t)}; }
    static State update(State s, Expr v) { return {s[0] + v}; }
    static State merge(State a, State b) { return {a[0] + b[0]}; }
    static Expr combine(Expr a, Expr b) { return (a - b) * (a - b); }
};

struct StrictEuclidean : Euclidean {
    static constexpr bool strict = true;
};

// Associative, but a negative factor does not distribute over max.
struct MaxTimes : StrictSemiring {
    static State init(Type t) { return {negative_infinity(t)}; }
    static State update(State s, Expr v) { return {exact::ordered_max(s[0], v)}; }
    static State merge(State a, State b) { return {exact::ordered_max(a[0], b[0])}; }
    static Expr combine(Expr a, Expr b) { return a * b; }
};

struct ZeroMax : TropicalMaxPlus {
    static State init(Type t) { return {zero(t)}; } // no identity for negative numbers
};

struct WrongAnnihilator : TropicalMaxPlus {
    static std::optional<double> annihilator() { return 0.0; }
};

// Keeps the last value: associative, but the identity is lost on the right.
struct Last : Semiring {
    static State init(Type t) { return {zero(t)}; }
    static State update(State, Expr v) { return {v}; }
    static State merge(State, State b) { return b; }
    static Expr combine(Expr a, Expr b) { return a + b; }
};

template <typename T> std::string complaint() { return broken_law(AlgebraOf<T>("mine")).value_or(""); }

TEST(AlgebraLaws, HoldForEveryAlgebraOfThisBuild) {
    for (const auto &algebra : algebras())
        EXPECT_EQ(broken_law(*algebra).value_or(""), "");
}

TEST(AlgebraLaws, AFalseStrictSemiringIsRefusedWithTheCounterExample) {
    EXPECT_EQ(complaint<Squares>(),
              "algebra mine: derives from StrictSemiring, which claims that combine is associative: (a x b) x c = a x "
              "(b x c); but a = 0, b = 0, c = 2 give 4 and 16: derive it from Semiring, or correct combine");
    EXPECT_NE(complaint<StrictEuclidean>().find("one value reduces to itself"), std::string::npos);
    EXPECT_EQ(complaint<Euclidean>(), ""); // the same functions without the claim
    EXPECT_NE(complaint<MaxTimes>().find("combine distributes from the left"), std::string::npos);
}

TEST(AlgebraLaws, AWrongMonoidOrAnnihilatorIsRefused) {
    EXPECT_NE(complaint<ZeroMax>().find("one value reduces to itself"), std::string::npos) << complaint<ZeroMax>();
    EXPECT_NE(complaint<WrongAnnihilator>().find("annihilator absorbs"), std::string::npos);
    EXPECT_NE(complaint<Last>().find("init is merge's identity on the right"), std::string::npos);
}

TEST(AlgebraLaws, IdentitiesAreThoseOfAnEmptyReduction) {
    EXPECT_EQ(identity_of(algebra_named("real")), 0);
    EXPECT_EQ(identity_of(algebra_named("euclidean")), 0);
    EXPECT_EQ(identity_of(algebra_named("boolean")), 0);
    EXPECT_EQ(identity_of(algebra_named("tropical_max_plus")), -std::numeric_limits<double>::infinity());
}

} // namespace
