#include "generators/core/algebra.h"

namespace nitrix {

const Algebra &algebra_named(const std::string &name) {
    std::string known;
    for (const auto &algebra : algebras()) {
        if (algebra->name() == name)
            return *algebra;
        known += " " + algebra->name();
    }
    throw Halide::CompileError("algebra: got '" + name + "', must be one of" + known);
}

} // namespace nitrix
