// A condition of an expression that becomes a jump.
#pragma once

#include <Halide.h>

namespace nitrix {

// One branch for whole vectors and for calls, where a select would compute both sides.
inline Halide::Expr branch(const Halide::Expr &condition, const Halide::Expr &yes, const Halide::Expr &no) {
    using Halide::Internal::Call;
    return Call::make(yes.type(), Call::if_then_else, {condition, yes, no}, Call::PureIntrinsic);
}

} // namespace nitrix
