// LOG's product where its lowering alone is wrong: operands whose maxima never meet, infinities, dead rows, magnitudes
// of 1e4. Every variant against long double, and against each other bit for bit within a rounding class.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <optional>

#include "dispatch.h"
#include "samples.h"

using namespace nitrix;
using samples::Tensor;

namespace {

using Fill = std::function<double(int64_t i, int64_t j, std::mt19937_64 &rng)>;

struct Family {
    const char *name;
    Fill a, b;
    bool streams; // some entries need the streaming form
};

double normal(std::mt19937_64 &rng) { return std::normal_distribution<double>()(rng); }
double uniform(std::mt19937_64 &rng) { return std::uniform_real_distribution<double>()(rng); }

const double inf = std::numeric_limits<double>::infinity();

const Family families[] = {
    {"normal", [](auto, auto, auto &r) { return normal(r); }, [](auto, auto, auto &r) { return normal(r); }, false},
    {"disjoint maxima", [](auto, auto k, auto &r) { return (k % 2 ? 900 : -900) + normal(r); },
     [](auto k, auto, auto &r) { return (k % 2 ? -900 : 900) + normal(r); }, true},
    {"a few bad entries", [](auto i, auto k, auto &r) { return (i % 40 == 3 && k == 5 ? 900 : 0) + normal(r); },
     [](auto k, auto j, auto &r) { return (j % 29 == 7 && k == 9 ? 900 : 0) + normal(r); }, true},
    {"magnitude 1e4", [](auto, auto, auto &r) { return 1e4 * normal(r); },
     [](auto, auto, auto &r) { return 1e4 * normal(r); }, true},
    {"of both signs at 1e4", [](auto, auto, auto &r) { return (r() % 2 ? 1e4 : -1e4) + normal(r); },
     [](auto, auto, auto &r) { return (r() % 2 ? 1e4 : -1e4) + normal(r); }, false},
    {"offset 1e4", [](auto, auto, auto &r) { return normal(r) + 1e4; }, [](auto, auto, auto &r) { return normal(r); },
     false},
    {"mostly -inf, dead rows and columns",
     [](auto i, auto, auto &r) { return i % 7 == 2 || uniform(r) < 0.6 ? -inf : normal(r); },
     [](auto, auto j, auto &r) { return j % 11 == 4 || uniform(r) < 0.6 ? -inf : normal(r); }, false},
    {"-inf where the other is not", [](auto, auto k, auto &r) { return k % 2 ? -inf : normal(r); },
     [](auto k, auto, auto &r) { return k % 2 ? normal(r) : -inf; }, true},
    {"+inf here and there", [](auto, auto, auto &r) { return uniform(r) < 0.002 ? inf : normal(r); },
     [](auto, auto, auto &r) { return uniform(r) < 0.002 ? inf : normal(r); }, true},
    {"+inf meets -inf", [](auto i, auto k, auto &r) { return i == 3 && k == 5 ? inf
                                                             : i == 4         ? -inf
                                                                              : normal(r); },
     [](auto k, auto j, auto &r) { return k == 5 && j == 2   ? -inf
                                          : k == 6 && j == 9 ? inf
                                                             : normal(r); }, true},
    {"NaN here and there", [](auto, auto, auto &r) { return uniform(r) < 0.001 ? NAN : normal(r); },
     [](auto, auto, auto &r) { return uniform(r) < 0.001 ? NAN : 2000 * normal(r); }, false},
};

template <typename T> T at(const Tensor &t, int64_t index) {
    T value;
    std::memcpy(&value, &t.bytes[static_cast<size_t>(index) * sizeof(T)], sizeof(T));
    return value;
}

template <typename T> Tensor make(DType dtype, int64_t rows, int64_t columns, const Fill &fill, unsigned seed) {
    Tensor t(dtype, {rows, columns});
    std::mt19937_64 rng(seed);
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j) {
            const T value = static_cast<T>(fill(i, j, rng));
            std::memcpy(&t.bytes[static_cast<size_t>(i * columns + j) * sizeof(T)], &value, sizeof(T));
        }
    return t;
}

bool serves(const Variant &v, const Tensor &a, const Tensor &b) {
    const int64_t dims[] = {a.shape[0], a.shape[1], b.shape[1]}; // m, k, n
    return machine_has(v.target) && (!v.applies || v.applies(dims));
}

Tensor product(const Variant &v, Tensor a, Tensor b, int threads) {
    Tensor c(v.dtype, {a.shape[0], b.shape[1]});
    DLTensor views[] = {a.view(), b.view(), c.view()};
    DLTensor *pointers[] = {&views[0], &views[1], &views[2]};
    nitrix_options options = NITRIX_OPTIONS_INIT;
    options.variant = v.id;
    options.threads = threads;
    const nitrix_attribute semiring = {"semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, "log", nullptr};
    EXPECT_EQ(nitrix_call("semiring_matmul", pointers, 3, &semiring, 1, &options), NITRIX_OK) << nitrix_last_error();
    return c;
}

// log sum exp of the rounded operands in long double, and how far a result may lie from it (golden/tolerance.toml).
struct Reference {
    long double value, scale;
};

template <typename T> Reference reference(const Tensor &a, const Tensor &b, int64_t i, int64_t j) {
    const int64_t depth = a.shape[1], n = b.shape[1];
    long double top = -inf, a_top = -inf, b_top = -inf, sum = 0, size = 0;
    for (int64_t k = 0; k < depth; ++k) {
        const long double x = at<T>(a, i * depth + k), y = at<T>(b, k * n + j), v = x + y;
        if (std::isnan(v))
            return {NAN, 0};
        top = std::max(top, v), a_top = std::max(a_top, x), b_top = std::max(b_top, y);
    }
    if (std::isinf(top))
        return {top, 0};
    for (int64_t k = 0; k < depth; ++k) {
        const long double x = at<T>(a, i * depth + k), y = at<T>(b, k * n + j), p = std::exp(x + y - top);
        sum += p;
        if (p > 0)
            size += p * (std::fabs(x) + std::fabs(y));
    }
    const long double value = top + std::log(sum);
    const long double room = -std::log(static_cast<long double>(std::numeric_limits<T>::min()));
    return {value, 1 + size / sum + std::min(std::max(a_top + b_top - value, 0.0L), room)};
}

template <typename T> void compare(const Tensor &got, const Tensor &a, const Tensor &b, const std::string &where) {
    const int64_t n = got.shape[1];
    for (int64_t e = 0; e < got.shape[0] * n; ++e) {
        const Reference expected = reference<T>(a, b, e / n, e % n);
        const T value = at<T>(got, e);
        const std::string place = where + " [" + std::to_string(e / n) + ", " + std::to_string(e % n) + "]";
        if (std::isnan(expected.value)) {
            ASSERT_TRUE(std::isnan(value)) << place << ": " << value;
        } else if (std::isinf(expected.value)) {
            ASSERT_EQ(value, static_cast<T>(expected.value)) << place;
        } else {
            const long double bound = 4 * std::numeric_limits<T>::epsilon() * expected.scale;
            ASSERT_LE(std::fabs(value - expected.value), bound) << place << ": " << value << ", " << expected.value;
        }
    }
}

int64_t streamed(int target) {
    int64_t count = 0;
    for (int i = 0; i < n_variants; ++i)
        if (ops[variants[i].op].internal && variants[i].target == target)
            count += times_served(variants[i]);
    return count;
}

template <typename T> void check_every_variant(DType dtype) {
    const Cell rows = cell(find_op("semiring_matmul"), find_algebra("log"), dtype);
    ASSERT_GT(rows.count, 0);
    for (const Family &family : families) {
        for (const auto &[m, k, n] : {std::array<int64_t, 3>{61, 70, 83}, {5, 300, 37}, {1, 17, 1}, {4, 6, 5}}) {
            const Tensor a = make<T>(dtype, m, k, family.a, 1), b = make<T>(dtype, k, n, family.b, 2);
            std::optional<Tensor> naive;
            for (int r = rows.first + rows.count - 1; r >= rows.first; --r) { // naive is the last
                const Variant &v = variants[r];
                if (!serves(v, a, b))
                    continue;
                const std::string where = std::string(v.id) + " " + family.name + " k = " + std::to_string(k);
                const int64_t before = streamed(v.target);
                const Tensor one = product(v, a, b, 1), two = product(v, a, b, 2);
                compare<T>(one, a, b, where);
                EXPECT_EQ(samples::first_difference(one, two, dtype), -1) << where << ": one thread against two";
                if (m > 50) {
                    EXPECT_EQ(streamed(v.target) > before, family.streams) << where;
                }
                if (targets[v.target].priority == 0)
                    naive = one;
                else if (std::string(targets[v.target].rounding) == "fused") {
                    ASSERT_TRUE(naive.has_value());
                    EXPECT_EQ(samples::first_difference(one, *naive, dtype), -1) << where << ": against naive";
                }
            }
        }
    }
}

TEST(LogMatmul, IsRightWhereTheLoweringIsNotFloat32) { check_every_variant<float>(DType::f32); }
TEST(LogMatmul, IsRightWhereTheLoweringIsNotFloat64) { check_every_variant<double>(DType::f64); }

TEST(LogMatmul, MoreBadEntriesThanAListHolds) {
    // One bad column in six: few enough for lists, more than one list of them.
    const int64_t m = 400, k = 12, n = 120;
    const auto fill_a = [](int64_t, int64_t at, std::mt19937_64 &r) { return (at == 3 ? 900 : 0) + normal(r); };
    const auto fill_b = [](int64_t at, int64_t j, std::mt19937_64 &r) {
        return (j % 6 == 0 && at == 3 ? -2000 : 0) + normal(r);
    };
    const Tensor a = make<float>(DType::f32, m, k, fill_a, 1), b = make<float>(DType::f32, k, n, fill_b, 2);
    const Cell rows = cell(find_op("semiring_matmul"), find_algebra("log"), DType::f32);
    for (int r = rows.first; r < rows.first + rows.count; ++r)
        if (serves(variants[r], a, b))
            compare<float>(product(variants[r], a, b, 1), a, b, variants[r].id);
}

TEST(LogMatmul, HelpersAreNotServedByName) {
    EXPECT_EQ(nitrix_call("semiring_matmul_entries", nullptr, 0, nullptr, 0, nullptr), NITRIX_ERROR_VALUE);
    EXPECT_EQ(std::string(nitrix_last_error()).find("got 'semiring_matmul_entries', must be one of semiring_matmul"), 4)
        << nitrix_last_error();
}

} // namespace
