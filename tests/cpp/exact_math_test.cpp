// exact_math.h: accuracy of exp and log, special values, and the same bits from every target of a rounding class.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "HalideBuffer.h"

#define KERNELS_OF(T, M)                                                                                               \
    int nitrix_test_exp_##T##_##M(halide_buffer_t *, halide_buffer_t *);                                               \
    int nitrix_test_exp_nonpositive_##T##_##M(halide_buffer_t *, halide_buffer_t *);                                   \
    int nitrix_test_exp_of_share_##T##_##M(halide_buffer_t *, halide_buffer_t *);                                      \
    int nitrix_test_log_##T##_##M(halide_buffer_t *, halide_buffer_t *);                                               \
    int nitrix_test_fma_##T##_##M(halide_buffer_t *, halide_buffer_t *, halide_buffer_t *, halide_buffer_t *);         \
    int nitrix_test_ordered_##T##_##M(halide_buffer_t *, halide_buffer_t *, halide_buffer_t *, halide_buffer_t *);
#define KERNELS(M) KERNELS_OF(f32, M) KERNELS_OF(f64, M)
extern "C" {
KERNELS(unfused_sse41)
KERNELS(emulated_sse41)
KERNELS(fused_avx2)
KERNELS(unfused_avx2)
KERNELS(fused_avx512)
KERNELS(unfused_avx512)
}

namespace {

using Unary = int (*)(halide_buffer_t *, halide_buffer_t *);
using Quaternary = int (*)(halide_buffer_t *, halide_buffer_t *, halide_buffer_t *, halide_buffer_t *);

struct Functions {
    Unary exp, exp_nonpositive, exp_of_share, log;
    Quaternary fma, ordered;
};

enum class Rounding { Fused, Unfused };

struct Variant {
    const char *name;
    const char *target;
    Rounding rounding;
    bool emulated;
    Functions f32, f64;
    bool (*cpu_has)();
};

#define FUNCTIONS(T, M)                                                                                                \
    {                                                                                                                  \
        nitrix_test_exp_##T##_##M, nitrix_test_exp_nonpositive_##T##_##M, nitrix_test_exp_of_share_##T##_##M,          \
            nitrix_test_log_##T##_##M, nitrix_test_fma_##T##_##M, nitrix_test_ordered_##T##_##M                        \
    }
#define VARIANT(mode, target, rounding, emulated, cpu_has)                                                             \
    {                                                                                                                  \
#mode "_" #target, #target, rounding, emulated, FUNCTIONS(f32, mode##_##target),                               \
            FUNCTIONS(f64, mode##_##target), cpu_has                                                                   \
    }

bool has_sse41() { return __builtin_cpu_supports("sse4.1"); }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

// Within a class the first supported variant is the one the others are compared with.
const Variant variants[] = {
    VARIANT(fused, avx512, Rounding::Fused, false, has_avx512),
    VARIANT(fused, avx2, Rounding::Fused, false, has_avx2),
    VARIANT(emulated, sse41, Rounding::Fused, true, has_sse41),
    VARIANT(unfused, avx512, Rounding::Unfused, false, has_avx512),
    VARIANT(unfused, avx2, Rounding::Unfused, false, has_avx2),
    VARIANT(unfused, sse41, Rounding::Unfused, false, has_sse41),
};

const Variant *reference_of(Rounding rounding) {
    for (const Variant &v : variants) {
        if (v.rounding == rounding && !v.emulated && v.cpu_has()) {
            return &v;
        }
    }
    return nullptr;
}

template <typename T> using BitsOf = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

template <typename T> BitsOf<T> bits(T x) {
    BitsOf<T> b;
    std::memcpy(&b, &x, sizeof b);
    return b;
}
template <typename T> T from_bits(BitsOf<T> b) {
    T x;
    std::memcpy(&x, &b, sizeof x);
    return x;
}

template <typename T> bool same(T a, T b) { return bits(a) == bits(b) || (a != a && b != b); }

template <typename T> const Functions &functions(const Variant &v) { return sizeof(T) == 4 ? v.f32 : v.f64; }

template <typename T> void evaluate(Unary f, const std::vector<T> &x, std::vector<T> &y) {
    y.resize(x.size());
    Halide::Runtime::Buffer<T, 1> in(const_cast<T *>(x.data()), int(x.size())), out(y.data(), int(y.size()));
    ASSERT_EQ(f(in, out), 0);
}

template <typename T> std::vector<T> evaluate(Unary f, const std::vector<T> &x) {
    std::vector<T> y;
    evaluate(f, x, y);
    return y;
}

void on_two_threads(const std::function<void(int)> &work) {
    std::thread other(work, 1);
    work(0);
    other.join();
}

// The exponent of the last place of a float32 result near `reference`, as the double 2^-exponent.
double per_ulp_f32(double reference) {
    const int64_t exponent = std::max<int64_t>((bits(reference) >> 52) & 0x7ff, 1023 - 126);
    return from_bits<double>(uint64_t(2 * 1023 + 23 - exponent) << 52);
}

double error_f32(float y, double reference) {
    constexpr double overflow = 0x1p128; // what infinity stands for when the true value has just no float
    const double value = std::isinf(y) ? std::copysign(overflow, y) : y;
    const double bounded = std::min(reference, overflow);
    const double error = std::abs(value - bounded) * per_ulp_f32(std::min(bounded, 0x1.fffffep127));
    return error == error ? error : std::numeric_limits<double>::infinity();
}

double reference_exp(float x) {
    if (std::abs(x) < 0x1p-30f) {
        return 1.0 + x;
    }
    return x < -200 ? 0.0 : x > 200 ? HUGE_VAL : std::exp(double(x));
}

double reference_log(float x) { return std::log(double(x)); }

struct Worst {
    double error = 0;
    float x = 0;
};

// The largest error over the floats whose bits are in [first, last].
Worst worst_error(Unary f, double (*reference)(float), uint64_t first, uint64_t last) {
    constexpr uint64_t chunk = 1 << 14;
    std::atomic<uint64_t> next{first};
    Worst worst[2];
    on_two_threads([&](int thread) {
        std::vector<float> x, y;
        for (uint64_t begin; (begin = next.fetch_add(chunk)) <= last;) {
            const uint64_t end = std::min(begin + chunk, last + 1);
            x.resize(end - begin);
            for (uint64_t i = begin; i < end; i++) {
                x[i - begin] = from_bits<float>(uint32_t(i));
            }
            evaluate(f, x, y);
            // Both functions are monotone: where the ends of a chunk round alike (to 0, 1 or infinity), all of it does.
            const float front = float(reference(x.front())), back = float(reference(x.back()));
            if (front == back && std::all_of(y.begin(), y.end(), [=](float v) { return v == front; })) {
                continue;
            }
            for (size_t i = 0; i < x.size(); i++) {
                const double error = error_f32(y[i], reference(x[i]));
                if (error > worst[thread].error) {
                    worst[thread] = {error, x[i]};
                }
            }
        }
    });
    return worst[0].error > worst[1].error ? worst[0] : worst[1];
}

constexpr uint32_t infinity_bits = 0x7f800000, sign_bit = 0x80000000;

class ExactMathClass : public testing::TestWithParam<Rounding> {
protected:
    void SetUp() override {
        variant = reference_of(GetParam());
        if (variant == nullptr) {
            GTEST_SKIP() << "this CPU has no target of this rounding class";
        }
    }
    void report(const char *what, const Worst &worst) {
        std::printf("[ measured ] %s %s: %.4f ulp at %a\n", what, variant->name, worst.error, worst.x);
    }
    const Variant *variant = nullptr;
};

TEST_P(ExactMathClass, ExpFloat32IsWithinOneUlpForEveryInput) {
    const Worst positive = worst_error(variant->f32.exp, reference_exp, 0, infinity_bits);
    const Worst negative = worst_error(variant->f32.exp, reference_exp, sign_bit, sign_bit | infinity_bits);
    const Worst worst = positive.error > negative.error ? positive : negative;
    report("exp f32", worst);
    EXPECT_LT(worst.error, 1.0) << worst.x;
}

TEST_P(ExactMathClass, LogFloat32IsWithinOneUlpForEveryInput) {
    const Worst worst = worst_error(variant->f32.log, reference_log, 1, infinity_bits - 1);
    report("log f32", worst);
    EXPECT_LT(worst.error, 1.0) << worst.x;
}

// Inputs of all magnitudes of one function's interesting range, in float64 or float32.
template <typename T> std::vector<T> magnitudes(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<T> x(count);
    for (T &v : x) {
        v = from_bits<T>(BitsOf<T>(random()));
    }
    return x;
}

std::vector<double> uniform(size_t count, double low, double high, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> distribution(low, high);
    std::vector<double> x(count);
    for (double &v : x) {
        v = distribution(random);
    }
    return x;
}

void append(std::vector<double> &to, const std::vector<double> &from) { to.insert(to.end(), from.begin(), from.end()); }

std::vector<double> exp_sample() {
    std::vector<double> x = magnitudes<double>(1 << 20, 1);
    append(x, uniform(1 << 20, -746, 710, 2));
    append(x, uniform(1 << 20, -746, -708, 3)); // subnormal results
    append(x, uniform(1 << 20, -1, 1, 4));
    append(x, uniform(1 << 18, 709, 709.8, 5));
    for (int n = -1076; n <= 1024; n++) { // both sides of the reduction's seams
        for (int k = -20; k <= 20; k++) {
            x.push_back((n + 0.5) * M_LN2 * (1 + k * 0x1p-52));
        }
    }
    return x;
}

std::vector<double> log_sample() {
    std::vector<double> x = magnitudes<double>(1 << 21, 6);
    for (double &v : x) {
        v = std::abs(v);
    }
    append(x, uniform(1 << 20, 0.5, 2, 7));
    append(x, uniform(1 << 20, 1 - 0x1p-10, 1 + 0x1p-10, 8));
    append(x, uniform(1 << 18, 0, 0x1p-1022, 9)); // subnormal
    for (int k = 1; k < 1 << 18; k++) {
        x.push_back(1 + k * 0x1p-52);
        x.push_back(1 - k * 0x1p-53);
        x.push_back(M_SQRT1_2 * (1 + (k - (1 << 17)) * 0x1p-52));
    }
    return x;
}

double error_f64(double y, long double reference) {
    const long double overflow = 0x1p1024L;
    const long double value = std::isinf(y) ? std::copysign(overflow, (long double)y) : (long double)y;
    const long double bounded = std::min(reference, overflow);
    const int exponent = bounded == 0 ? -1022 : std::clamp(std::ilogb(bounded), -1022, 1023);
    const double error = double(std::ldexp(std::abs(value - bounded), 52 - exponent));
    return error == error ? error : std::numeric_limits<double>::infinity();
}

Worst worst_error_f64(Unary f, long double (*reference)(long double), const std::vector<double> &x) {
    const std::vector<double> y = evaluate(f, x);
    Worst worst[2];
    on_two_threads([&](int thread) {
        for (size_t i = thread; i < x.size(); i += 2) {
            if (x[i] == x[i]) {
                const double error = error_f64(y[i], reference(x[i]));
                if (error > worst[thread].error) {
                    worst[thread] = {error, float(x[i])};
                }
            }
        }
    });
    return worst[0].error > worst[1].error ? worst[0] : worst[1];
}

TEST_P(ExactMathClass, ExpFloat64IsWithinTwoUlpOnTheSample) {
    const Worst worst = worst_error_f64(variant->f64.exp, std::exp, exp_sample());
    report("exp f64", worst);
    EXPECT_LT(worst.error, 1.0) << worst.x; // the promise is 2; 1 is what is measured
}

TEST_P(ExactMathClass, LogFloat64IsWithinTwoUlpOnTheSample) {
    std::vector<double> x = log_sample();
    x.erase(std::remove_if(x.begin(), x.end(), [](double v) { return !(v > 0 && v < HUGE_VAL); }), x.end());
    const Worst worst = worst_error_f64(variant->f64.log, std::log, x);
    report("log f64", worst);
    EXPECT_LT(worst.error, 1.0) << worst.x;
}

std::string rounding_name(const testing::TestParamInfo<Rounding> &info) {
    return info.param == Rounding::Fused ? "Fused" : "Unfused";
}

INSTANTIATE_TEST_SUITE_P(, ExactMathClass, testing::Values(Rounding::Fused, Rounding::Unfused), rounding_name);

class ExactMathVariant : public testing::TestWithParam<Variant> {
protected:
    void SetUp() override {
        if (!GetParam().cpu_has()) {
            GTEST_SKIP() << "this CPU cannot run " << GetParam().target;
        }
    }

    template <typename T> void expect_same(const char *what, Unary f, Unary reference, const std::vector<T> &x) {
        const std::vector<T> y = evaluate(f, x), expected = evaluate(reference, x);
        size_t differing = 0;
        for (size_t i = 0; i < x.size(); i++) {
            if (!same(y[i], expected[i]) && differing++ == 0) {
                ADD_FAILURE() << what << "(" << x[i] << ") = " << y[i] << ", not " << expected[i];
            }
        }
        EXPECT_EQ(differing, 0u) << what << " of " << x.size();
    }

    template <typename T> void expect_class_bits(const std::vector<T> &x) {
        const Functions &f = functions<T>(GetParam());
        const Functions &reference = functions<T>(*reference_of(GetParam().rounding));
        expect_same("exp", f.exp, reference.exp, x);
        expect_same("log", f.log, reference.log, x);
        const T highest = sizeof(T) == 4 ? 43 : 660; // as far above zero as the header promises
        std::vector<T> nonpositive;
        for (T v : x) {
            if (!(v > highest)) {
                nonpositive.push_back(v);
            }
        }
        expect_same("exp_nonpositive", f.exp_nonpositive, reference.exp, nonpositive);
    }

    // Beside a largest term of 1: exact for that one, hardly farther from the others than its last place.
    template <typename T> void expect_shares(T lowest) {
        std::vector<T> x = {0, T(-0.0), lowest, std::numeric_limits<T>::quiet_NaN()};
        std::mt19937_64 random(7);
        std::uniform_real_distribution<T> all(lowest, 0), near(-2, 0);
        for (int i = 0; i < 2000000; i++) {
            x.push_back(i % 2 ? all(random) : near(random));
        }
        const std::vector<T> y = evaluate(functions<T>(GetParam()).exp_of_share, x);
        EXPECT_EQ(y[0], T(1));
        EXPECT_EQ(y[1], T(1));
        EXPECT_TRUE(std::isnan(y[3]));
        long double worst = 0;
        for (size_t i = 0; i < x.size(); i++) {
            if (i != 3) {
                worst = std::max(worst, std::abs(y[i] - std::exp((long double)x[i])));
                ASSERT_TRUE(std::isnormal(y[i]) && y[i] <= 1) << x[i];
            }
        }
        worst /= std::numeric_limits<T>::epsilon();
        std::printf("[ measured ] exp_of_share: %.4f ulp of 1\n", double(worst));
        EXPECT_LT(worst, sizeof(T) == 4 && GetParam().rounding == Rounding::Unfused ? 1.1 : 1);
        if (const Variant *reference = reference_of(GetParam().rounding)) {
            expect_same("exp_of_share", functions<T>(GetParam()).exp_of_share, functions<T>(*reference).exp_of_share,
                        x);
        }
    }

    template <typename T> void expect_special_values() {
        using Limits = std::numeric_limits<T>;
        const T inf = Limits::infinity(), nan = Limits::quiet_NaN(), tiny = Limits::denorm_min();
        const T payload = from_bits<T>(bits(nan) | 1), low = sizeof(T) == 4 ? T(-104) : T(-746);
        const T top = Limits::max();
        const Functions &f = functions<T>(GetParam());
        struct Case {
            T x, y;
        };
        const std::vector<Case> exp_cases = {{T(0), 1}, {T(-0.0), 1}, {tiny, 1},     {-tiny, 1},     {inf, inf},
                                             {-inf, 0}, {nan, nan},   {-nan, nan},   {payload, nan}, {top, inf},
                                             {-top, 0}, {low, 0},     {T(-low), inf}};
        const std::vector<Case> log_cases = {{T(1), T(0)}, {T(0), -inf},   {T(-0.0), -inf}, {inf, inf},   {-inf, nan},
                                             {nan, nan},   {payload, nan}, {-tiny, nan},    {T(-1), nan}, {-top, nan}};
        auto check = [](const char *what, Unary function, const std::vector<Case> &cases, bool nonpositive) {
            std::vector<T> x, expected;
            for (const Case &c : cases) {
                if (!nonpositive || !(c.x > 0)) {
                    x.push_back(c.x);
                    expected.push_back(c.y);
                }
            }
            const std::vector<T> y = evaluate(function, x);
            for (size_t i = 0; i < x.size(); i++) {
                EXPECT_TRUE(same(y[i], expected[i])) << what << "(" << x[i] << ") = " << y[i];
            }
        };
        check("exp", f.exp, exp_cases, false);
        check("exp_nonpositive", f.exp_nonpositive, exp_cases, true);
        check("log", f.log, log_cases, false);
    }

    // Operands that hit cancellation, ties, overflow and gradual underflow; all magnitudes.
    template <typename T> void expect_fma(size_t count) {
        std::mt19937_64 random(42);
        std::vector<T> a(count), b(count), c(count), y(count);
        const int mantissa_bits = std::numeric_limits<T>::digits - 1;
        auto any = [&] { return from_bits<T>(BitsOf<T>(random())); };
        auto few_bits = [&] { // short mantissas make ties and exact sums frequent
            const BitsOf<T> keep = ~BitsOf<T>(0) << (random() % mantissa_bits);
            return from_bits<T>(BitsOf<T>(random()) & keep);
        };
        for (size_t i = 0; i < count; i++) {
            const bool simple = random() % 2;
            a[i] = simple ? few_bits() : any();
            b[i] = simple ? few_bits() : any();
            c[i] = simple ? few_bits() : any();
            const T product = a[i] * b[i];
            BitsOf<T> exponent;
            switch (random() % 5) {
            case 0: // near cancellation
                c[i] = from_bits<T>(bits(T(-product)) + BitsOf<T>(random() % 5) - 2);
                break;
            case 1: // within twice the mantissa of the product
                c[i] = std::ldexp(product, int(random() % (4 * mantissa_bits)) - 2 * mantissa_bits) *
                       (simple ? 1 : T(1.37));
                break;
            case 2: // products and sums around the subnormal range
                exponent = bits(T(1)) - (bits(a[i]) & bits(std::numeric_limits<T>::infinity())) +
                           ((BitsOf<T>(random() % (3 * mantissa_bits)) - 2 * mantissa_bits) << mantissa_bits);
                b[i] = from_bits<T>(exponent | (bits(b[i]) & ((BitsOf<T>(1) << mantissa_bits) - 1)));
                c[i] = from_bits<T>(BitsOf<T>(random()) >> (random() % (8 * sizeof(T))));
                break;
            default:
                break;
            }
        }
        Halide::Runtime::Buffer<T, 1> ab(a.data(), int(count)), bb(b.data(), int(count)), cb(c.data(), int(count)),
            yb(y.data(), int(count));
        ASSERT_EQ(functions<T>(GetParam()).fma(ab, bb, cb, yb), 0);
        size_t differing = 0;
        for (size_t i = 0; i < count; i++) {
            volatile T product = a[i] * b[i];
            const T expected = GetParam().rounding == Rounding::Fused ? std::fma(a[i], b[i], c[i]) : product + c[i];
            if (!same(y[i], expected) && differing++ == 0) {
                ADD_FAILURE() << std::hexfloat << a[i] << " * " << b[i] << " + " << c[i] << " = " << y[i] << ", not "
                              << expected;
            }
        }
        EXPECT_EQ(differing, 0u);
    }

    template <typename T> void expect_ordered() {
        const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
        const T tiny = std::numeric_limits<T>::denorm_min();
        const std::vector<T> values = {0, T(-0.0), 1, -1, tiny, -tiny, inf, -inf, nan};
        std::vector<T> s, v;
        for (int repeat = 0; repeat < 5; repeat++) { // past one vector, so both the loop and its tail see them
            for (T x : values) {
                for (T y : values) {
                    s.push_back(x);
                    v.push_back(y);
                }
            }
        }
        std::vector<T> largest(s.size()), smallest(s.size());
        const int n = int(s.size());
        Halide::Runtime::Buffer<T, 1> sb(s.data(), n), vb(v.data(), n), lb(largest.data(), n), mb(smallest.data(), n);
        ASSERT_EQ(functions<T>(GetParam()).ordered(sb, vb, lb, mb), 0);
        for (int i = 0; i < n; i++) {
            EXPECT_TRUE(same(largest[i], v[i] > s[i] ? v[i] : s[i])) << s[i] << " " << v[i] << " " << largest[i];
            EXPECT_TRUE(same(smallest[i], v[i] < s[i] ? v[i] : s[i])) << s[i] << " " << v[i] << " " << smallest[i];
        }
    }
};

TEST_P(ExactMathVariant, GivesTheBitsOfItsRoundingClassFloat32) {
    if (reference_of(GetParam().rounding) == nullptr) {
        GTEST_SKIP() << "this CPU has no hardware to compare with";
    }
    std::vector<float> x;
    const uint64_t stride = GetParam().emulated ? 509 : 251; // prime: every mantissa and exponent pattern turns up
    for (uint64_t i = 0; i <= UINT32_MAX; i += stride) {
        x.push_back(from_bits<float>(uint32_t(i)));
    }
    expect_class_bits(x);
}

TEST_P(ExactMathVariant, GivesTheBitsOfItsRoundingClassFloat64) {
    if (reference_of(GetParam().rounding) == nullptr) {
        GTEST_SKIP() << "this CPU has no hardware to compare with";
    }
    std::vector<double> x = exp_sample();
    append(x, log_sample());
    expect_class_bits(x);
}

TEST_P(ExactMathVariant, SharesOfASum) {
    expect_shares<float>(-86);
    expect_shares<double>(-700);
}

TEST_P(ExactMathVariant, SpecialValues) {
    expect_special_values<float>();
    expect_special_values<double>();
}

TEST_P(ExactMathVariant, FmaRoundsAsItsModeSays) {
    expect_fma<float>(4000000);
    expect_fma<double>(4000000);
}

TEST_P(ExactMathVariant, OrderedMaxAndMinKeepTheAccumulatorOnTiesAndNaN) {
    expect_ordered<float>();
    expect_ordered<double>();
}

std::string variant_name(const testing::TestParamInfo<Variant> &info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(, ExactMathVariant, testing::ValuesIn(variants), variant_name);

} // namespace
