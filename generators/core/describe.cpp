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
        printf("{\"%s\", %s, %s, %s, %s, {%s}, %d},\n", algebra->name().c_str(), algebra->strict() ? "true" : "false",
               literal(nitrix::identity_of(*algebra)).c_str(), annihilator ? "true" : "false",
               literal(annihilator.value_or(0)).c_str(), algebra->lowering() ? unresolved.c_str() : "0, 0",
               static_cast<int>(algebra->init(Halide::Float(32)).size()));
    }
    return status;
}
