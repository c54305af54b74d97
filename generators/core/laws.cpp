#include "generators/core/laws.h"

#include <cmath>
#include <cstdio>
#include <vector>

namespace nitrix {

using namespace Halide;

namespace {

// Both sides of an equation in three variables.
struct Law {
    const char *text;
    Expr left, right;
};

using Samples = std::vector<double>;

std::string number(double value) {
    char text[40];
    snprintf(text, sizeof text, "%.17g", value);
    return text;
}

Type type_of(const Algebra &algebra) { return algebra.bit_packed() ? UInt(8) : Float(64); }

// Integers and halves: sums, products and squares of a few of them are exact in float64.
Samples samples_of(const Algebra &algebra) {
    Samples samples = {0, 1, 2, 3, 7};
    if (algebra.bit_packed())
        samples.push_back(255);
    else
        samples.insert(samples.end(), {-3, -1, -0.5, 1.5});
    if (!algebra.bit_packed() && algebra.annihilator() && !std::isnan(*algebra.annihilator()))
        samples.push_back(*algebra.annihilator());
    return samples;
}

// Every expression at every sample, compiled once.
std::vector<std::vector<double>> evaluate(const std::vector<Expr> &values, Var at, int n) {
    std::vector<std::vector<double>> results;
    std::vector<Expr> outputs;
    for (const Expr &value : values)
        outputs.push_back(cast<double>(value));
    Func all("laws");
    all(at) = Tuple(outputs);
    const Target target = get_jit_target_from_environment().with_feature(Target::StrictFloat);
    Realization out = all.realize({n}, target);
    for (size_t i = 0; i < values.size(); ++i) {
        const Buffer<double> column = out[i];
        results.emplace_back(column.begin(), column.end());
    }
    return results;
}

bool equal(double x, double y, double tolerance) {
    if (x == y || (std::isnan(x) && std::isnan(y)))
        return true;
    return tolerance > 0 && std::isfinite(x) && std::isfinite(y) &&
           std::fabs(x - y) <= tolerance * std::fmax(1, std::fmax(std::fabs(x), std::fabs(y)));
}

std::vector<Law> monoid_laws(const Algebra &g, Expr a, Expr b, Expr c) {
    const Type t = type_of(g);
    const auto state = [&](const Expr &v) { return g.update(g.init(t), v); };
    const State x = state(a), y = state(b), z = state(c);
    return {
        {"merge is associative: (a + b) + c = a + (b + c)", g.finalize(g.merge(g.merge(x, y), z)),
         g.finalize(g.merge(x, g.merge(y, z)))},
        {"init is merge's identity on the left: 0 + a = a", g.finalize(g.merge(g.init(t), x)), g.finalize(x)},
        {"init is merge's identity on the right: a + 0 = a", g.finalize(g.merge(x, g.init(t))), g.finalize(x)},
        {"update is merge with one value", g.finalize(g.update(x, b)), g.finalize(g.merge(x, y))},
        {"accumulate is update after combine", g.finalize(g.accumulate(x, b, c)),
         g.finalize(g.update(x, g.combine(b, c)))},
    };
}

std::vector<Law> strict_laws(const Algebra &g, Expr a, Expr b, Expr c) {
    const Type t = type_of(g);
    const auto plus = [&](const Expr &x, const Expr &y) {
        return g.finalize(g.merge(g.update(g.init(t), x), g.update(g.init(t), y)));
    };
    return {
        {"one value reduces to itself: 0 + a = a", g.finalize(g.update(g.init(t), a)), a},
        {"combine is associative: (a x b) x c = a x (b x c)", g.combine(g.combine(a, b), c),
         g.combine(a, g.combine(b, c))},
        {"combine distributes from the left: a x (b + c) = (a x b) + (a x c)", g.combine(a, plus(b, c)),
         plus(g.combine(a, b), g.combine(a, c))},
        {"combine distributes from the right: (a + b) x c = (a x c) + (b x c)", g.combine(plus(a, b), c),
         plus(g.combine(a, c), g.combine(b, c))},
    };
}

std::vector<Law> annihilator_laws(const Algebra &g, Expr a) {
    if (!g.annihilator())
        return {};
    const Type t = type_of(g);
    const Expr z = exact::constant(t, *g.annihilator()), identity = g.finalize(g.init(t));
    const auto alone = [&](const Expr &v) { return g.finalize(g.update(g.init(t), v)); };
    return {{"the annihilator absorbs on the left: z x a = identity", alone(g.combine(z, a)), identity},
            {"the annihilator absorbs on the right: a x z = identity", alone(g.combine(a, z)), identity}};
}

} // namespace

std::optional<std::string> broken_law(const Algebra &algebra) {
    const Samples one = samples_of(algebra);
    Samples flat;
    for (const double a : one)
        for (const double b : one)
            for (const double c : one)
                flat.insert(flat.end(), {a, b, c});
    Buffer<double> table(flat.data(), 3, static_cast<int>(flat.size() / 3));
    Var at("at");
    const Type t = type_of(algebra);
    const Expr a = cast(t, table(0, at)), b = cast(t, table(1, at)), c = cast(t, table(2, at));

    std::vector<Law> laws = monoid_laws(algebra, a, b, c);
    const size_t n_monoid = laws.size();
    if (algebra.strict())
        for (Law &law : strict_laws(algebra, a, b, c))
            laws.push_back(law);
    const size_t n_strict = laws.size();
    for (Law &law : annihilator_laws(algebra, a))
        laws.push_back(law);

    std::vector<Expr> sides;
    for (const Law &law : laws) {
        sides.push_back(law.left);
        sides.push_back(law.right);
    }
    const auto values = evaluate(sides, at, table.dim(1).extent());
    for (size_t l = 0; l < laws.size(); ++l) {
        for (size_t i = 0; i < flat.size() / 3; ++i) {
            const double left = values[2 * l][i], right = values[2 * l + 1][i];
            if (equal(left, right, algebra.tolerance()))
                continue;
            const bool strict = l >= n_monoid && l < n_strict;
            return "algebra " + algebra.name() + ": " +
                   (strict ? "derives from StrictSemiring, which claims that " : "claims that ") + laws[l].text +
                   "; but a = " + number(flat[3 * i]) + ", b = " + number(flat[3 * i + 1]) +
                   ", c = " + number(flat[3 * i + 2]) + " give " + number(left) + " and " + number(right) +
                   (strict ? ": derive it from Semiring, or correct combine" : "");
        }
    }
    return std::nullopt;
}

double identity_of(const Algebra &algebra) {
    const Type t = type_of(algebra);
    Var at("at");
    return evaluate({algebra.finalize(algebra.init(t))}, at, 1)[0][0];
}

} // namespace nitrix
