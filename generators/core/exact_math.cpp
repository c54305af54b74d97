#include "generators/core/exact_math.h"

#include <cmath>
#include <cstdint>
#include <vector>

namespace nitrix::exact {

using Halide::cast;
using Halide::Expr;
using Halide::Float;
using Halide::Int;
using Halide::reinterpret;
using Halide::select;
using Halide::Type;
using Halide::UInt;

namespace {

Expr int_constant(Type type, int64_t value) { return Halide::Internal::make_const(type, value); }

// coefficients[0] * x^(n-1) + ... + coefficients[n-1]
Expr horner(FMA mode, const Expr &x, const std::vector<double> &coefficients) {
    Expr p = constant(x.type(), coefficients[0]);
    for (size_t i = 1; i < coefficients.size(); i++) {
        p = fma(mode, p, x, constant(x.type(), coefficients[i]));
    }
    return p;
}

// The sum of float64 a and b rounded to odd: toward zero, then the last bit set if anything was lost. A later rounding
// to at least two bits less sees from the odd bit on which side of a tie the exact sum lies, so it rounds as if once.
Expr add_round_to_odd(const Expr &a, const Expr &b) {
    const Type bits_type = Int(64, a.type().lanes());
    const Expr sum = a + b;
    const Expr b_part = sum - a;
    const Expr error = (a - (sum - b_part)) + (b - b_part);
    const Expr zero = constant(a.type(), 0);
    // Signs differ: the sum was rounded away from zero. Infinities and NaN make the error NaN and stay as they are.
    const Expr away = (error < zero && sum > zero) || (error > zero && sum < zero);
    const Expr inexact = error < zero || error > zero;
    const Expr none = int_constant(bits_type, 0);
    const Expr bits = reinterpret(bits_type, sum) + select(away, int_constant(bits_type, -1), none);
    return reinterpret(a.type(), bits | select(inexact, int_constant(bits_type, 1), none));
}

// float32 through float64, where the product is exact (48 of 53 bits).
Expr fma_emulated_f32(const Expr &a, const Expr &b, const Expr &c) {
    const Type wide = Float(64, a.type().lanes());
    return cast(a.type(), add_round_to_odd(cast(wide, a) * cast(wide, b), cast(wide, c)));
}

// No wider type holds a float64 product: libm's fma, which C requires to round once. A call per lane.
Expr fma_emulated_f64(const Expr &a, const Expr &b, const Expr &c) {
    return Halide::Internal::Call::make(a.type(), "fma", {a, b, c}, Halide::Internal::Call::PureExtern);
}

// What exp needs to know of a type. x = n ln 2 + r with |r| <= ln 2 / 2, e^x = 2^n p(r).
struct ExpConstants {
    int mantissa_bits, bias;        // of the format
    double ln2_high, ln2_low;       // n * ln2_high is exact for every n that occurs
    double lowest, highest;         // e^lowest rounds to 0 and e^highest to infinity
    std::vector<double> polynomial; // p = 1 + r + r^2 polynomial(r)
};

// Minimax in the relative error of p: 2^-28.0 and 2^-56.5 on the range of r.
const ExpConstants exp_f32 = {
    23,
    127,
    0x1.62e4p-1,
    0x1.7f7d1cp-20,
    -104,
    89,
    {0.0013814597623422742, 0.008368716575205326, 0.04166838899254799, 0.1666652113199234, 0.4999999403953552}};
const ExpConstants exp_f64 = {52,
                              1023,
                              0x1.62e42fefa38p-1,
                              0x1.ef35793c7673p-45,
                              -746,
                              710,
                              {2.5110049895858716e-08, 2.763265575933203e-07, 2.7557242336680357e-06,
                               2.4801487326012337e-05, 0.00019841269886591, 0.0013888888947820891, 0.008333333333322207,
                               0.04166666666652199, 0.16666666666666674, 0.500000000000001}};

const ExpConstants &exp_constants(Type type) { return type.bits() == 64 ? exp_f64 : exp_f32; }

// x = n ln 2 + r with r = high + low, high exact; the low bits of `shifted` hold the integer n + offset.
struct ExpReduction {
    Expr r, high, low, shifted;
};

ExpReduction reduce(FMA mode, const Expr &x, const ExpConstants &c, int offset) {
    const Type type = x.type();
    // Adding 1.5 * 2^mantissa_bits rounds to an integer and leaves it in the low bits of the sum.
    const Expr round = constant(type, std::ldexp(1.5, c.mantissa_bits) + offset);
    const Expr shifted = fma(mode, x, constant(type, 1.4426950408889634074), round);
    const Expr n = shifted - round;
    const Expr high = fma(mode, n, constant(type, -c.ln2_high), x); // exact in every mode
    const Expr low = n * constant(type, -c.ln2_low);
    const Expr r = mode == FMA::Unfused ? high + low : fma(mode, n, constant(type, -c.ln2_low), high);
    return {r, high, low, reinterpret(Int(type.bits(), type.lanes()), shifted)};
}

// scale * e^r; the scale is a power of two, so it changes no rounding.
Expr exp_polynomial(FMA mode, const ExpReduction &reduced, const ExpConstants &c, double scale) {
    const Expr &r = reduced.r;
    const Type type = r.type();
    const Expr one = constant(type, scale);
    std::vector<double> coefficients = c.polynomial;
    for (double &coefficient : coefficients) {
        coefficient *= scale;
    }
    if (mode == FMA::Unfused) {
        // Horner's last product would be rounded beside the sum (1.17 ulp in all). Here the only large term is exact:
        // low joins the small ones.
        const Expr small = horner(mode, r, coefficients) * r * r + reduced.low * one;
        return (reduced.high * one + small) + one;
    }
    coefficients.push_back(scale);
    coefficients.push_back(scale);
    return horner(mode, r, coefficients);
}

// m in [lowest, 2 lowest) and k with x = m 2^k, for finite x > 0; `lowest_bits` are the bits of `lowest`.
struct LogReduction {
    Expr m, k;
};

LogReduction split_exponent(const Expr &x, int mantissa_bits, int bias, int64_t lowest_bits) {
    const Type type = x.type(), bits_type = UInt(type.bits(), type.lanes());
    const int scale = mantissa_bits + 1;
    const Expr subnormal = x < constant(type, std::ldexp(1.0, 1 - bias));
    const Expr normal = select(subnormal, x * constant(type, std::ldexp(1.0, scale)), x);
    const int64_t one_bits = int64_t(bias) << mantissa_bits;
    const Expr moved = reinterpret(bits_type, normal) + Halide::Internal::make_const(bits_type, one_bits - lowest_bits);
    const Expr fraction = moved & Halide::Internal::make_const(bits_type, (int64_t(1) << mantissa_bits) - 1);
    // k + bias as the low bits of the float 2^mantissa_bits: no integer conversion, which float64 lacks before AVX-512.
    const double unit = std::ldexp(1.0, mantissa_bits);
    const Expr unit_bits = Halide::Internal::make_const(bits_type, int64_t(bias + mantissa_bits) << mantissa_bits);
    const Expr biased = reinterpret(type, (moved >> mantissa_bits) | unit_bits);
    return {reinterpret(type, fraction + Halide::Internal::make_const(bits_type, lowest_bits)),
            biased - select(subnormal, constant(type, unit + bias + scale), constant(type, unit + bias))};
}

// log(1 + f) = f - f^2 / 2 + f^3 q(f) for f in [-1/3, 1/3], 2^-27.4 minimax in the relative error.
Expr log_f32(FMA mode, const Expr &x) {
    const Type type = x.type();
    const LogReduction split = split_exponent(x, 23, 127, 0x3f2aaaab);
    const Expr f = split.m - constant(type, 1);
    const Expr q = horner(mode, f,
                          {-0.12452979385852814, 0.14073774218559265, -0.12277888506650925, 0.13987906277179718,
                           -0.16674305498600006, 0.20011499524116516, -0.24999921023845673, 0.33333197236061096, -0.5});
    const Expr square = f * f;
    if (mode != FMA::Unfused) {
        return fma(mode, split.k, constant(type, 0.693147180559945309), fma(mode, q, square, f));
    }
    // Without fma the product by ln 2 would round once more: k * high is exact, low joins the smallest term.
    const Expr high = split.k * constant(type, exp_f32.ln2_high), low = split.k * constant(type, exp_f32.ln2_low);
    return high + (f + (q * square + low));
}

// log((1 + s) / (1 - s)) = 2 s + s^3 R(s^2) with s = f / (2 + f), 2^-59 minimax; 2 s is taken as f - f^2/2 + s f^2/2,
// where only small terms carry the error of the division.
Expr log_f64(FMA mode, const Expr &x) {
    const Type type = x.type();
    const LogReduction split = split_exponent(x, 52, 1023, 0x3fe6a09e667f3bcd);
    const Expr f = split.m - constant(type, 1);
    const Expr s = f / (constant(type, 2) + f);
    const Expr z = s * s;
    const Expr r = z * horner(mode, z,
                              {0.14795861390162435, 0.15314064386685838, 0.1818356354920397, 0.22222198593863374,
                               0.28571428742111143, 0.3999999999941642, 0.6666666666666734});
    const Expr half_square = constant(type, 0.5) * f * f;
    const Expr low = split.k * constant(type, exp_f64.ln2_low);
    const Expr high = split.k * constant(type, exp_f64.ln2_high);
    return high - ((half_square - fma(mode, s, half_square + r, low)) - f);
}

// 2^r in [0.7, 1.5] and the power of two that makes it exp_of_share: their product is exact.
std::pair<Expr, Expr> share_factors(FMA mode, const Expr &x) {
    const Type type = x.type();
    const ExpConstants &c = exp_constants(type);
    const Expr round = constant(type, std::ldexp(1.5, c.mantissa_bits) + c.bias), log2_e = constant(type, M_LOG2E);
    const Expr shifted = fma(mode, x, log2_e, round);
    const Expr r = fma(mode, x, log2_e, round - shifted); // x = (n + r) ln 2
    // 2^r for |r| <= 1/2 among those that are 1 at 0: in float32 minimax in the error of the share, 2^-23.7 where it is
    // largest (r <= 0 for shares above 0.7, all r below); in float64 in the relative error, 2^-55.6.
    static const std::vector<double> f32 = {0.0013225707329666031, 0.009671762910123961, 0.05550891438766454,
                                            0.2402223703670089,    0.6931468292480302,   1.0};
    static const std::vector<double> f64 = {4.0780719295883367e-10, 7.0725704128144235e-09, 1.0180647659234139e-07,
                                            1.3215442675329822e-06, 1.5252727385193868e-05, 0.00015403530441572130,
                                            0.0013333558153439965,  0.0096181291076070024,  0.055504108664790396,
                                            0.24022650695910098,    0.69314718055994570,    1.0};
    const Expr scale = reinterpret(Int(type.bits(), type.lanes()), shifted) << c.mantissa_bits;
    return {horner(mode, r, type.bits() == 64 ? f64 : f32), reinterpret(type, scale)};
}

} // namespace

Expr constant(Type type, double value) { return Halide::Internal::make_const(type, value); }

Expr infinity(Type type) { return constant(type, HUGE_VAL); }

Expr quiet_nan(Type type) {
    const Type bits_type = UInt(type.bits(), type.lanes());
    const uint64_t bits = type.bits() == 64 ? 0x7ff8000000000000u : 0x7fc00000u;
    return reinterpret(type, Halide::Internal::make_const(bits_type, bits));
}

Expr fma(FMA mode, Expr a, Expr b, Expr c) {
    const Type type = a.type();
    switch (mode) {
    case FMA::Unfused:
        return a * b + c;
    case FMA::Emulated:
        return type.bits() == 64 ? fma_emulated_f64(a, b, c) : fma_emulated_f32(a, b, c);
    case FMA::Fused:
        break;
    }
    const char *name = type.bits() == 64 ? "llvm.fma.f64" : "llvm.fma.f32";
    return Halide::Internal::Call::make(type, name, {a, b, c}, Halide::Internal::Call::PureExtern);
}

Expr ordered_max(Expr s, Expr v) { return select(v > s, v, s); }

Expr ordered_min(Expr s, Expr v) { return select(v < s, v, s); }

Expr exp(FMA mode, Expr x) {
    const Type type = x.type(), bits_type = Int(type.bits(), type.lanes());
    const ExpConstants &c = exp_constants(type);
    // Clamped with x as the accumulator: a NaN stays and makes every factor below NaN or multiplies by one.
    x = ordered_min(ordered_max(x, constant(type, c.lowest)), constant(type, c.highest));
    const ExpReduction reduced = reduce(mode, x, c, 2 * c.bias);
    const Expr p = exp_polynomial(mode, reduced, c, 1.0);
    // 2^n in two factors that are both normal: only the last product rounds.
    const Expr exponent_field = int_constant(bits_type, -(int64_t(1) << c.mantissa_bits));
    const Expr half = (reduced.shifted << (c.mantissa_bits - 1)) & exponent_field;
    const Expr rest = (reduced.shifted << c.mantissa_bits) - half;
    return p * reinterpret(type, half) * reinterpret(type, rest);
}

Expr exp_nonpositive(FMA mode, Expr x) {
    const Type type = x.type();
    const ExpConstants &c = exp_constants(type);
    // The polynomial is scaled by 2^-65, exactly, so 2^(n + 65) is normal down to the last subnormal result and one
    // product does. The offset is even, as exp's is: ties of the rounding to n then fall alike and the bits are exp's.
    constexpr int scale = 65;
    const ExpReduction reduced = reduce(mode, ordered_max(x, constant(type, c.lowest)), c, c.bias + scale);
    const Expr p = exp_polynomial(mode, reduced, c, std::ldexp(1.0, -scale));
    return p * reinterpret(type, reduced.shifted << c.mantissa_bits);
}

Expr exp_of_share(FMA mode, const Expr &x) {
    const auto [p, scale] = share_factors(mode, x);
    return p * scale;
}

Expr add_exp_of_share(FMA mode, const Expr &sum, const Expr &x) {
    const auto [p, scale] = share_factors(mode, x);
    return mode == FMA::Fused ? fma(mode, p, scale, sum) : sum + p * scale;
}

Expr log(FMA mode, Expr x) {
    const Type type = x.type();
    const Expr zero = constant(type, 0);
    Expr y = type.bits() == 64 ? log_f64(mode, x) : log_f32(mode, x);
    y = select(x < infinity(type), y, x); // NaN and infinity are their own logarithms
    y = select(x == zero, constant(type, -HUGE_VAL), y);
    return select(x < zero, quiet_nan(type), y);
}

Expr magnitude_bits(Expr x) {
    const int bits = x.type().bits();
    const Type u = UInt(bits).with_lanes(x.type().lanes());
    return reinterpret(u, std::move(x)) & Halide::Internal::make_const(u, ~(uint64_t{1} << (bits - 1)));
}

Expr is_nan_of_bits(const Expr &magnitude) {
    const uint64_t infinite = magnitude.type().bits() == 64 ? 0x7ff0000000000000u : 0x7f800000u;
    return magnitude > Halide::Internal::make_const(magnitude.type(), infinite);
}

Expr is_nan(Expr x) { return is_nan_of_bits(magnitude_bits(std::move(x))); }

} // namespace nitrix::exact
