// Scalar arithmetic whose bits do not depend on the schedule: docs/exactness.md.
#pragma once

#include <Halide.h>

namespace nitrix::exact {

using Halide::Expr;
using Halide::Type;

// How a*b + c rounds. Fused: once (needs FMA hardware or libm). Unfused: twice, for targets without FMA.
enum class FMA { Fused, Unfused };

inline Expr constant(Type t, double value) { return Halide::Internal::make_const(t, value); }

inline Expr fma(FMA mode, Expr a, Expr b, Expr c) {
    if (mode == FMA::Unfused)
        return a * b + c;
    return Halide::Internal::Call::make(a.type(), a.type().bits() == 64 ? "llvm.fma.f64" : "llvm.fma.f32",
                                        std::vector<Expr>{a, b, c}, Halide::Internal::Call::PureExtern);
}

// maxps, fmax and maxnum differ on signed zeros and NaN; an ordered compare does not. Keeps s on ties and when v is
// NaN.
inline Expr ordered_max(Expr s, Expr v) { return select(v > s, v, s); }
inline Expr ordered_min(Expr s, Expr v) { return select(v < s, v, s); }

// By bits: Halide 21 folds x != x of a scalar to false, strict_float or not.
inline Expr is_nan(Expr x) {
    const int bits = x.type().bits();
    const Type u = Halide::UInt(bits).with_lanes(x.type().lanes());
    const uint64_t infinite = bits == 64 ? 0x7ff0000000000000u : 0x7f800000u;
    const Expr magnitude = reinterpret(u, std::move(x)) & Halide::Internal::make_const(u, ~(uint64_t{1} << (bits - 1)));
    return magnitude > Halide::Internal::make_const(u, infinite);
}

} // namespace nitrix::exact
