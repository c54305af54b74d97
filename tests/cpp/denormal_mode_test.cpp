// The calling thread may flush denormals, or round in another direction: no bit of any result depends on it, and the
// mode is the caller's again afterwards.
#include <gtest/gtest.h>

#include "dispatch.h"
#include "samples.h"

#if defined(__x86_64__)
#include <xmmintrin.h>

using namespace nitrix;
using samples::Kind;
using samples::Tensor;

namespace {

constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040, round_up = 0x4000;

class Mode {
public:
    explicit Mode(unsigned bits) : saved_(_mm_getcsr()) { _mm_setcsr((saved_ & ~0x3fu) | bits); }
    ~Mode() { _mm_setcsr(saved_); }

private:
    unsigned saved_;
};

Tensor product(const Variant &v, Tensor a, Tensor b, unsigned mode) {
    Tensor c(v.dtype, {a.shape[0], b.shape[1]});
    DLTensor views[] = {a.view(), b.view(), c.view()};
    DLTensor *pointers[] = {&views[0], &views[1], &views[2]};
    nitrix_options options = NITRIX_OPTIONS_INIT;
    options.variant = v.id;
    options.threads = 2;
    const nitrix_attribute semiring = {"semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, algebras[v.algebra].name, nullptr};
    const Mode here(mode);
    const unsigned before = _mm_getcsr();
    EXPECT_EQ(nitrix_call("semiring_matmul", pointers, 3, &semiring, 1, &options), NITRIX_OK) << nitrix_last_error();
    EXPECT_EQ(_mm_getcsr(), before) << v.id << ": the caller's mode and exception flags";
    return c;
}

TEST(DenormalMode, OfTheCallerChangesNoBit) {
    const int op = find_op("semiring_matmul");
    for (int i = 0; i < n_variants; ++i) {
        const Variant &v = variants[i];
        if (v.op != op || v.dtype == DType::u8 || !machine_has(v.target))
            continue;
        const int64_t dims[] = {13, 300, 37}, small[] = {7, 8, 5}; // m, k, n
        const int64_t *size = v.applies && !v.applies(dims) ? small : dims;
        ASSERT_TRUE(!v.applies || v.applies(size)) << v.id;
        for (const Kind kind : {Kind::denormal, Kind::nonfinite, Kind::wide}) {
            std::mt19937_64 rng(3);
            Tensor a(v.dtype, {size[0], size[1]}), b(v.dtype, {size[1], size[2]});
            a.fill(kind, rng);
            b.fill(kind, rng);
            const Tensor expected = product(v, a, b, 0);
            for (const unsigned mode :
                 {flush_to_zero, denormals_are_zero, flush_to_zero | denormals_are_zero | round_up})
                EXPECT_EQ(samples::first_difference(product(v, a, b, mode), expected, v.dtype), -1)
                    << v.id << " " << samples::name(kind) << " mode " << mode;
        }
    }
}

// So that the test above can fail: what it compares holds denormals that flushing would lose.
TEST(DenormalMode, MattersForTheseOperands) {
    const Cell rows = cell(find_op("semiring_matmul"), find_algebra("tropical_max_plus"), DType::f32);
    const Variant &naive = variants[rows.first + rows.count - 1];
    std::mt19937_64 rng(3);
    Tensor a(DType::f32, {3, 4}), b(DType::f32, {4, 5});
    a.fill(Kind::denormal, rng);
    b.fill(Kind::denormal, rng);
    const Tensor c = product(naive, a, b, 0);
    int denormal = 0;
    for (int e = 0; e < 15; ++e) {
        float value = 0;
        std::memcpy(&value, &c.bytes[static_cast<size_t>(e) * sizeof value], sizeof value);
        denormal += std::fpclassify(value) == FP_SUBNORMAL;
    }
    EXPECT_GT(denormal, 10);
}

} // namespace
#endif
