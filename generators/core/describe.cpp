// Prints the facts of every algebra as rows of runtime/registry.h's table: the descriptions are the one source.
#include <cmath>
#include <cstdio>

#include "generators/core/algebra.h"

using namespace Halide;

static std::string literal(double value) {
    if (std::isinf(value))
        return value > 0 ? "INFINITY" : "-INFINITY";
    char text[40];
    snprintf(text, sizeof text, "%.17g", value);
    return text;
}

int main() {
    for (const auto &algebra : nitrix::algebras()) {
        const Expr empty = simplify(algebra->finalize(algebra->init(Float(64))));
        const std::optional<double> identity = Internal::as_const_float(empty);
        if (!identity) {
            fprintf(stderr, "algebra %s: finalize(init) is not a constant\n", algebra->name().c_str());
            return 1;
        }
        const auto annihilator = algebra->annihilator();
        printf("{\"%s\", %s, %s, %s, %s},\n", algebra->name().c_str(), algebra->strict() ? "true" : "false",
               literal(*identity).c_str(), annihilator ? "true" : "false", literal(annihilator.value_or(0)).c_str());
    }
}
