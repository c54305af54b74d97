// Prints the facts of every algebra as rows of runtime/registry.h's table: the descriptions are the one source. A claim
// that does not hold fails the build here.
#include <cmath>
#include <cstdio>

#include "generators/core/laws.h"

static std::string literal(double value) {
    if (std::isinf(value))
        return value > 0 ? "INFINITY" : "-INFINITY";
    char text[40];
    snprintf(text, sizeof text, "%.17g", value);
    return text;
}

// Whether the algebra's steps depend on how a fused multiply-add rounds: then the rounding classes differ.
static bool rounds(const nitrix::Algebra &algebra) {
    using namespace Halide;
    if (algebra.lowering())
        return true;
    const Type t = algebra.bit_packed() ? UInt(8) : Float(32);
    const auto variable = [&](const char *name) { return Internal::Variable::make(t, name); };
    const auto steps = [&](nitrix::exact::FMA mode) {
        nitrix::rounding() = mode;
        nitrix::State all = algebra.accumulate({variable("s")}, variable("a"), variable("b"));
        all.push_back(algebra.merge({variable("s")}, {variable("a")})[0]);
        all.push_back(algebra.finalize({variable("s")}));
        return all;
    };
    const nitrix::State fused = steps(nitrix::exact::FMA::Fused), unfused = steps(nitrix::exact::FMA::Unfused);
    bool same = true;
    for (size_t i = 0; i < fused.size(); ++i)
        same &= Internal::equal(fused[i], unfused[i]);
    return !same;
}

// How a result passes its gradient on, as a name in runtime/registry.h's Passing.
static const char *passing(const nitrix::Algebra &algebra) {
    using namespace Halide;
    if (algebra.drops_nan())
        return "winner";
    const auto derivative = algebra.derivative();
    if (!derivative)
        return "none";
    if (derivative->weight)
        return "scaled";
    const auto variable = [](const char *name) { return Internal::Variable::make(Float(32), name); };
    const Expr left = derivative->left(variable("a"), variable("b"), variable("c"));
    const bool by_the_other_alone = !Internal::expr_uses_var(left, "a") && !Internal::expr_uses_var(left, "c");
    return by_the_other_alone ? "linear" : "each";
}

int main() {
    int status = 0;
    for (const auto &algebra : nitrix::algebras()) {
        if (const auto broken = nitrix::broken_law(*algebra)) {
            fprintf(stderr, "%s\n", broken->c_str());
            status = 1;
            continue;
        }
        const std::string unresolved =
            std::to_string(nitrix::unresolved_bits(32)) + "u, " + std::to_string(nitrix::unresolved_bits(64)) + "u";
        const auto annihilator = algebra->annihilator();
        printf("{\"%s\", %s, %s, %s, %s, {%s}, %d, %s, Passing::%s},\n", algebra->name().c_str(),
               algebra->strict() ? "true" : "false", literal(nitrix::identity_of(*algebra)).c_str(),
               annihilator ? "true" : "false", literal(annihilator.value_or(0)).c_str(),
               algebra->lowering() ? unresolved.c_str() : "0, 0",
               static_cast<int>(algebra->init(Halide::Float(32)).size()), rounds(*algebra) ? "true" : "false",
               passing(*algebra));
    }
    return status;
}
