// Arithmetic that gives the same bits from every schedule: fma, max, min, exp and log as Halide Exprs.
//
// Compile every pipeline that uses this header with Target::StrictFloat, and call no other fma, max, min, exp or log on
// floats: those of Halide may be contracted, reordered or lowered to instructions that disagree on NaN and -0.
// Everything here is made of single IEEE operations, so a result depends on the operands and the FMA mode only; the
// vector width, the unrolling and the target do not matter. Accuracy is in docs/exactness.md.
#pragma once

#include <Halide.h>

namespace nitrix::exact {

// How a * b + c is rounded. Fused and Emulated give the same bits, Unfused is a result class of its own.
enum class FMA {
    Fused,    // once, by the target's instruction; without one LLVM calls libm for each lane, so only with Target::FMA
    Unfused,  // twice: the product, then the sum
    Emulated, // once, without the instruction: 8 to 30 times slower, for reproducing Fused on other machines
};

// `value` rounded to `type`.
Halide::Expr constant(Halide::Type type, double value);
Halide::Expr infinity(Halide::Type type);
// The quiet NaN with sign and payload zero.
Halide::Expr quiet_nan(Halide::Type type);

// a * b + c for float32 and float64.
Halide::Expr fma(FMA mode, Halide::Expr a, Halide::Expr b, Halide::Expr c);

// The larger (smaller) of an accumulator `s` and a value `v`. A tie, +0 against -0 included, keeps s, and so does a NaN
// in either: a NaN v is dropped, a NaN s stays. One instruction on x86.
Halide::Expr ordered_max(Halide::Expr s, Halide::Expr v);
Halide::Expr ordered_min(Halide::Expr s, Halide::Expr v);

// e^x for float32 and float64. Underflow is gradual, with one rounding; NaN gives NaN.
Halide::Expr exp(FMA mode, Halide::Expr x);

// exp for x <= 0, -inf and NaN, with exp's bits, in three quarters of its instructions. A small positive x is as good
// (up to 43 in float32, 660 in float64); the result beyond that is meaningless.
Halide::Expr exp_nonpositive(FMA mode, Halide::Expr x);

// exp for a term of a sum whose largest term is exp(0) = 1: x from -86 (float64: -700) to 0, or NaN. The error is
// below 1.1 units in the last place of that largest term (1 with fma), which itself is exact.
Halide::Expr exp_of_share(FMA mode, const Halide::Expr &x);
// sum + exp_of_share(x), in one instruction less where there is fma.
Halide::Expr add_exp_of_share(FMA mode, const Halide::Expr &sum, const Halide::Expr &x);

// Natural logarithm for float32 and float64: -inf for +0 and -0, NaN below zero, right for subnormals.
Halide::Expr log(FMA mode, Halide::Expr x);

// By bits: Halide 21 folds x != x of a scalar to false, strict_float or not.
Halide::Expr is_nan(Halide::Expr x);
// The same in two steps: the largest magnitude of several values tells whether any of them is NaN.
Halide::Expr magnitude_bits(Halide::Expr x);
Halide::Expr is_nan_of_bits(const Halide::Expr &magnitude);

} // namespace nitrix::exact
