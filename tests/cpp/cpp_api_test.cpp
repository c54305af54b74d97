// nitrix.hpp: arrays and views, products, errors, options, contexts, and what must not compile.
#include <nitrix/nitrix.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using nitrix::Array;
using nitrix::Shape;
using nitrix::View;

template <class T> Array<T> counted(Shape shape, int modulus) {
    Array<T> result(std::move(shape));
    int value = 0;
    for (T &entry : result) {
        entry = static_cast<T>((value = (value * 7 + 3) % modulus) - modulus / 2);
    }
    return result;
}

template <class Call> nitrix_status status_of(Call call) {
    try {
        call();
        return NITRIX_OK;
    } catch (const nitrix::Error &error) {
        EXPECT_STRNE(error.what(), "");
        return error.status();
    }
}

// ---- What compiles
// ---------------------------------------------------------------------------------------------------

static_assert(nitrix::is_strict_semiring<nitrix::Real> && nitrix::is_strict_semiring<nitrix::Log>);
static_assert(nitrix::is_strict_semiring<nitrix::TropicalMaxPlus> && nitrix::is_strict_semiring<nitrix::Boolean>);
static_assert(nitrix::is_strict_semiring<nitrix::TropicalMinPlus>);
static_assert(nitrix::is_semiring<nitrix::Euclidean> && !nitrix::is_strict_semiring<nitrix::Euclidean>);
static_assert(nitrix::is_semiring<nitrix::NamedSemiring> && !nitrix::is_strict_semiring<nitrix::NamedSemiring>);
static_assert(!nitrix::is_semiring<int>);
static_assert(std::is_convertible_v<View<float>, View<const float>>);
static_assert(!std::is_convertible_v<View<const float>, View<float>>);
static_assert(!std::is_copy_constructible_v<nitrix::Context> && std::is_move_constructible_v<nitrix::Context>);

// What a function that splits a reduction looks like: it takes no relaxed algebra.
template <class Algebra, class = std::enable_if_t<nitrix::is_strict_semiring<Algebra>>> void splits(const Algebra &) {}
template <class Algebra, class = void> struct Splits : std::false_type {};
template <class Algebra>
struct Splits<Algebra, std::void_t<decltype(splits(std::declval<Algebra>()))>> : std::true_type {};
static_assert(Splits<nitrix::TropicalMinPlus>::value && !Splits<nitrix::Euclidean>::value);

// The functions that split a product: a relaxed algebra, or one known by name alone, does not compile.
template <class Algebra, class = void> struct Partial : std::false_type {};
template <class Algebra>
struct Partial<Algebra, std::void_t<decltype(nitrix::semiring::matmul_partial(
                            std::declval<Array<float>>(), std::declval<Array<float>>(), std::declval<Algebra>()))>>
    : std::true_type {};
template <class Algebra, class = void> struct Merges : std::false_type {};
template <class Algebra>
struct Merges<Algebra, std::void_t<decltype(nitrix::semiring::matmul_merge(
                           std::declval<nitrix::semiring::State<float, Algebra>>(),
                           std::declval<nitrix::semiring::State<float, Algebra>>(), std::declval<Algebra>()))>>
    : std::true_type {};
template <class Algebra, class = void> struct Finalizes : std::false_type {};
template <class Algebra>
struct Finalizes<Algebra, std::void_t<decltype(nitrix::semiring::matmul_finalize(
                              std::declval<nitrix::semiring::State<float, Algebra>>(), std::declval<Algebra>()))>>
    : std::true_type {};
template <class Algebra>
inline constexpr bool can_split = Partial<Algebra>::value &&Merges<Algebra>::value &&Finalizes<Algebra>::value;
template <class Algebra>
inline constexpr bool cannot_split = !Partial<Algebra>::value && !Merges<Algebra>::value && !Finalizes<Algebra>::value;
static_assert(can_split<nitrix::Real> && can_split<nitrix::Log> && can_split<nitrix::Boolean>);
static_assert(can_split<nitrix::TropicalMaxPlus> && can_split<nitrix::TropicalMinPlus>);
static_assert(cannot_split<nitrix::Euclidean> && cannot_split<nitrix::NamedSemiring>);

// ---- Arrays
// ----------------------------------------------------------------------------------------------------------

TEST(Array, IsRowMajorAlignedAndCopied) {
    Array<double> a({2, 3}, {1, 2, 3, 4, 5, 6});
    EXPECT_EQ(a.strides(), (Shape{3, 1}));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data()) % 64, 0u);
    EXPECT_EQ(a(1, 0), 4);
    Array<double> copy = a;
    copy(1, 0) = 40;
    EXPECT_EQ(a(1, 0), 4);
    const double *memory = copy.data();
    const Array<double> moved = std::move(copy);
    EXPECT_EQ(moved.data(), memory);
    EXPECT_EQ(moved(1, 0), 40);
    a = moved;
    EXPECT_EQ(a(1, 0), 40);
    EXPECT_NE(a.data(), memory);
}

TEST(Array, RefusesWhatHasNoSize) {
    EXPECT_EQ(status_of([] { Array<float>(Shape{2, -1}); }), NITRIX_ERROR_VALUE);
    EXPECT_EQ(status_of([] { Array<float>(Shape{2, 2}, {1, 2, 3}); }), NITRIX_ERROR_VALUE);
    const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(status_of([&] { Array<float>(Shape{huge, huge}); }), NITRIX_ERROR_MEMORY);
    EXPECT_EQ(Array<float>(Shape{huge, 0, huge}).size(), 0u);
}

TEST(View, BorrowsAnyStrides) {
    float memory[] = {0, 1, 2, 3, 4, 5};
    const View<float> columns(memory, {3, 2}, {1, 3});
    EXPECT_EQ(columns(2, 1), 5);
    EXPECT_EQ(columns.transposed()(1, 2), 5);
    EXPECT_EQ(columns.transposed().shape(), (Shape{2, 3}));
    EXPECT_EQ(status_of([&] { View<float>(memory, {3, 2}, {1}); }), NITRIX_ERROR_VALUE);
    EXPECT_EQ(status_of([&] { static_cast<void>(View<float>(memory, {6}).transposed()); }), NITRIX_ERROR_VALUE);
}

TEST(View, KnowsItsDtype) {
    const auto code = [](auto value) {
        const DLDataType type = View<const decltype(value)>(nullptr, {0}).dltensor().dtype;
        return std::pair<int, int>(type.code, type.bits);
    };
    EXPECT_EQ(code(1.0F), (std::pair<int, int>(kDLFloat, 32)));
    EXPECT_EQ(code(1.0), (std::pair<int, int>(kDLFloat, 64)));
    EXPECT_EQ(code(true), (std::pair<int, int>(kDLBool, 8)));
    EXPECT_EQ(code(std::int64_t{1}), (std::pair<int, int>(kDLInt, 64)));
    EXPECT_EQ(code(std::uint8_t{1}), (std::pair<int, int>(kDLUInt, 8)));
}

// ---- Products
// --------------------------------------------------------------------------------------------------------

template <class T> class Product : public testing::Test {};
using Reals = testing::Types<float, double>;
TYPED_TEST_SUITE(Product, Reals);

TYPED_TEST(Product, AgreesWithTheFormula) {
    using T = TypeParam;
    const Array<T> a = counted<T>({9, 300}, 31);
    const Array<T> b = counted<T>({300, 21}, 29);
    const Array<T> real = nitrix::semiring::matmul(a, b, nitrix::Real{});
    const Array<T> largest = nitrix::semiring::matmul(a, b, nitrix::TropicalMaxPlus{});
    const Array<T> smallest = nitrix::semiring::matmul(a, b, nitrix::TropicalMinPlus{});
    ASSERT_EQ(real.shape(), (Shape{9, 21}));
    for (int i = 0; i < 9; ++i) {
        for (int j = 0; j < 21; ++j) {
            T sum = 0;
            T most = -std::numeric_limits<T>::infinity();
            T least = std::numeric_limits<T>::infinity();
            for (int k = 0; k < 300; ++k) {
                sum += a(i, k) * b(k, j);
                most = std::max(most, a(i, k) + b(k, j));
                least = std::min(least, a(i, k) + b(k, j));
            }
            ASSERT_EQ(real(i, j), sum) << i << ", " << j;
            ASSERT_EQ(largest(i, j), most) << i << ", " << j;
            ASSERT_EQ(smallest(i, j), least) << i << ", " << j;
        }
    }
    EXPECT_EQ(nitrix::last_variant().rfind("semiring-matmul/tropical-min-plus/", 0), 0u) << nitrix::last_variant();
}

TEST(Matmul, TakesViewsAndWritesIntoThem) {
    const Array<float> a({2, 3}, {1, 2, 3, 4, 5, 6});
    Array<float> c({2, 4}, 9.0F);
    const View<float> every_second(c.data(), {2, 2}, {4, 2});
    nitrix::semiring::matmul(a, a.transposed(), every_second, nitrix::Real{});
    EXPECT_EQ(std::vector<float>(c.begin(), c.end()), (std::vector<float>{14, 9, 32, 9, 32, 9, 77, 9}));
    nitrix::semiring::matmul(a, a.transposed(), View<float>(c.data(), {2, 2}), nitrix::TropicalMaxPlus{});
    EXPECT_EQ(std::vector<float>(c.begin(), c.begin() + 4), (std::vector<float>{6, 9, 9, 12}));
}

TEST(Matmul, BroadcastsLeadingDimensions) {
    const Array<float> a = counted<float>({2, 1, 3, 4}, 11);
    const Array<float> b = counted<float>({5, 4, 2}, 13);
    const Array<float> c = nitrix::semiring::matmul(a, b, nitrix::Real{});
    ASSERT_EQ(c.shape(), (Shape{2, 5, 3, 2}));
    for (int p = 0; p < 2; ++p) {
        for (int q = 0; q < 5; ++q) {
            const View<const float> one(a.data() + p * 12, {3, 4});
            const View<const float> other(b.data() + q * 8, {4, 2});
            const Array<float> part = nitrix::semiring::matmul(one, other, nitrix::Real{});
            EXPECT_TRUE(std::equal(part.begin(), part.end(), &c(p, q, 0, 0))) << p << ", " << q;
        }
    }
}

TEST(Matmul, EmptyReductionIsTheIdentity) {
    const Array<float> a(Shape{2, 0});
    const Array<float> b(Shape{0, 3});
    EXPECT_EQ(nitrix::semiring::matmul(a, b, nitrix::Real{})(1, 2), 0);
    EXPECT_EQ(nitrix::semiring::matmul(a, b, nitrix::TropicalMaxPlus{})(1, 2), -INFINITY);
    EXPECT_EQ(nitrix::semiring::matmul(a, b, nitrix::TropicalMinPlus{})(1, 2), INFINITY);
    EXPECT_EQ(nitrix::semiring::matmul(a.transposed(), a, nitrix::Real{}).size(), 0u);
}

TEST(Matmul, TakesAlgebrasByName) {
    const Array<float> a({1, 2}, {1, 2});
    const nitrix::NamedSemiring algebra("tropical_max_plus");
    EXPECT_EQ(nitrix::semiring::matmul(a, a.transposed(), algebra)(0, 0), 4);
}

template <class Algebra, class T> void expect_split(const Algebra &algebra, double tolerance) {
    const Array<T> a = counted<T>({9, 300}, 31);
    const Array<T> b = counted<T>({300, 21}, 29);
    const Array<T> whole = nitrix::semiring::matmul(a, b, algebra);
    const auto part = [&](std::int64_t from, std::int64_t to) {
        return nitrix::semiring::matmul_partial(View<const T>(a.data() + from, {9, to - from}, {300, 1}),
                                                View<const T>(b.data() + 21 * from, {to - from, 21}, {21, 1}), algebra);
    };
    const auto state =
        nitrix::semiring::matmul_merge(nitrix::semiring::matmul_merge(part(0, 7), part(7, 7), algebra), part(7, 300),
                                       algebra, nitrix::Options().mode(NITRIX_MODE_VERIFY));
    static_assert(std::tuple_size_v<decltype(state)> == (std::is_same_v<Algebra, nitrix::Log> ? 2 : 1));
    const Array<T> c = nitrix::semiring::matmul_finalize(state, algebra);
    ASSERT_EQ(c.shape(), whole.shape());
    for (std::size_t i = 0; i < c.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(c.data()[i]), static_cast<double>(whole.data()[i]), tolerance)
            << algebra.name << ", " << i;
    }
}

TEST(Partial, MergedInOrderIsTheWhole) {
    expect_split<nitrix::Real, float>({}, 0); // small integers
    expect_split<nitrix::Real, double>({}, 0);
    expect_split<nitrix::TropicalMaxPlus, float>({}, 0);
    expect_split<nitrix::TropicalMinPlus, double>({}, 0);
    expect_split<nitrix::Boolean, std::uint8_t>({}, 0);
    expect_split<nitrix::Log, float>({}, 1e-5);
    expect_split<nitrix::Log, double>({}, 1e-13);
}

// ---- Errors
// ----------------------------------------------------------------------------------------------------------

TEST(Nearest, GivesValuesAndColumns) {
    const Array<double> points({4, 2}, {0, 0, 3, 4, 0, 1, 6, 8});
    const auto near = nitrix::semiring::nearest(points, points.transposed(), 2);
    EXPECT_EQ(near.values.shape(), (Shape{4, 2}));
    EXPECT_EQ(std::vector<int>(near.indices.begin(), near.indices.end()), (std::vector<int>{0, 2, 1, 2, 2, 0, 3, 1}));
    EXPECT_EQ(near.values(3, 1), 5);
    const auto cheap = nitrix::semiring::nearest(points, points.transposed(), 5, nitrix::TropicalMinPlus{});
    EXPECT_EQ(cheap.values(1, 0), 3); // both by way of the first axis
    EXPECT_EQ(cheap.indices(1, 4), -1);
    EXPECT_EQ(status_of([&] { nitrix::semiring::nearest(points, points.transposed(), 0); }), NITRIX_ERROR_VALUE);
    EXPECT_EQ(status_of([&] { nitrix::semiring::nearest(points, points.transposed(), 1, nitrix::Real{}); }),
              NITRIX_ERROR_TYPE);
}

TEST(Bits, ProductsOfWordsAreThoseOfBytes) {
    Array<std::uint8_t> a({3, 70}), b({70, 5});
    for (std::int64_t k = 0; k < 70; ++k) {
        a(k % 3, k) = k % 7 == 0 ? 4 : 0; // any byte but 0 is true
        b(k, k % 5) = k % 4 == 0;
    }
    const Array<std::uint32_t> left = nitrix::semiring::pack_bits(a), right = nitrix::semiring::pack_bits(b, -2);
    EXPECT_EQ(left.shape(), (Shape{3, 3}));
    EXPECT_EQ(right.shape(), (Shape{3, 5}));
    EXPECT_EQ(left(0, 0), (1U << 0) | (1U << 21));
    const Array<std::uint8_t> words = nitrix::semiring::matmul_bits(left, right);
    const Array<std::uint8_t> bytes = nitrix::semiring::matmul(a, b, nitrix::Boolean{});
    EXPECT_EQ(words.shape(), (Shape{3, 5}));
    EXPECT_EQ(std::vector<int>(words.begin(), words.end()), std::vector<int>(bytes.begin(), bytes.end()));
    EXPECT_EQ(status_of([&] { nitrix::semiring::pack_bits(a, 0); }), NITRIX_ERROR_VALUE);
}

TEST(Paths, PowerAndClosure) {
    const float inf = std::numeric_limits<float>::infinity();
    const Array<float> edges({3, 3}, {inf, 2, inf, inf, inf, 5, 1, inf, inf});
    const Array<float> two = nitrix::semiring::power(edges, 2, nitrix::TropicalMinPlus{});
    EXPECT_EQ(two(0, 2), 7);
    EXPECT_EQ(two(0, 1), inf);
    const Array<float> all = nitrix::semiring::closure(edges, nitrix::TropicalMinPlus{});
    EXPECT_EQ(std::vector<float>(all.begin(), all.end()), (std::vector<float>{0, 2, 7, 6, 0, 5, 1, 3, 0}));
    EXPECT_EQ(nitrix::semiring::power(edges, 0, nitrix::Real{})(1, 1), 1);
    EXPECT_EQ(status_of([&] { nitrix::semiring::power(edges, -1, nitrix::Real{}); }), NITRIX_ERROR_VALUE);
    EXPECT_EQ(status_of([&] { nitrix::semiring::closure(edges, nitrix::Real{}); }), NITRIX_ERROR_TYPE);
}

TEST(Errors, CarryStatusAndMessage) {
    const Array<float> a(Shape{2, 3});
    const Array<float> b(Shape{4, 5});
    try {
        nitrix::semiring::matmul(a, b, nitrix::Real{});
        FAIL() << "shapes do not fit, and nothing was thrown";
    } catch (const nitrix::Error &error) {
        EXPECT_EQ(error.status(), NITRIX_ERROR_VALUE);
        EXPECT_EQ(std::string(error.what()), nitrix_last_error());
        EXPECT_NE(std::string(error.what()).find('4'), std::string::npos) << error.what();
    }
    EXPECT_EQ(status_of([&] { nitrix::semiring::matmul(a, Array<float>(Shape{3}), nitrix::Real{}); }),
              NITRIX_ERROR_VALUE);
    EXPECT_EQ(status_of([&] { nitrix::semiring::matmul(a, a.transposed(), nitrix::NamedSemiring("reel")); }),
              NITRIX_ERROR_VALUE);
    const Array<std::int32_t> integers(Shape{2, 2});
    EXPECT_EQ(status_of([&] { nitrix::semiring::matmul(integers, integers, nitrix::Real{}); }), NITRIX_ERROR_TYPE);
}

TEST(Errors, BelongToTheirThread) {
    const Array<float> a(Shape{2, 3});
    EXPECT_EQ(status_of([&] { nitrix::semiring::matmul(a, a, nitrix::Real{}); }), NITRIX_ERROR_VALUE);
    std::string other = "not run";
    std::thread([&other] { other = nitrix_last_error(); }).join();
    EXPECT_EQ(other, "");
    EXPECT_STRNE(nitrix_last_error(), "");
}

// ---- Options and contexts
// --------------------------------------------------------------------------------------------

TEST(Options, BuildTheStruct) {
    int stream = 0;
    alignas(64) char memory[64];
    const nitrix::Options options = nitrix::Options()
                                        .backend("naive")
                                        .variant("semiring-matmul/real/f32/any/naive")
                                        .mode(NITRIX_MODE_VERIFY)
                                        .reproducible()
                                        .threads(3)
                                        .stream(&stream)
                                        .workspace(memory, sizeof memory);
    const nitrix::Options copy = options;
    const nitrix_options raw = copy.get();
    EXPECT_EQ(raw.size, sizeof raw);
    EXPECT_EQ(raw.context, nullptr);
    EXPECT_STREQ(raw.backend, "naive");
    EXPECT_STREQ(raw.variant, "semiring-matmul/real/f32/any/naive");
    EXPECT_EQ(raw.mode, NITRIX_MODE_VERIFY);
    EXPECT_EQ(raw.flags, NITRIX_REPRODUCIBLE);
    EXPECT_EQ(raw.threads, 3);
    EXPECT_EQ(raw.stream, &stream);
    EXPECT_EQ(raw.workspace, memory);
    EXPECT_EQ(raw.workspace_size, sizeof memory);
    EXPECT_EQ(nitrix::Options().get().backend, nullptr);
    EXPECT_EQ(nitrix::Options().reproducible().reproducible(false).get().flags, 0u);
}

TEST(Options, ReachTheCall) {
    const Array<float> a = counted<float>({40, 40}, 37);
    const Array<float> best = nitrix::semiring::matmul(a, a, nitrix::Real{});
    const Array<float> naive = nitrix::semiring::matmul(a, a, nitrix::Real{}, nitrix::Options().backend("naive"));
    EXPECT_NE(nitrix::last_variant().find("/naive"), std::string::npos) << nitrix::last_variant();
    EXPECT_TRUE(std::equal(best.begin(), best.end(), naive.begin()));
    EXPECT_EQ(status_of([&] { nitrix::semiring::matmul(a, a, nitrix::Real{}, nitrix::Options().backend("abacus")); }),
              NITRIX_ERROR_VALUE);
}

TEST(Options, WorkspaceOfTheCallers) {
    const Array<float> a = counted<float>({65, 129}, 37);
    const Array<float> want = nitrix::semiring::matmul(a, a.transposed(), nitrix::Real{});
    Array<float> c({65, 65});
    const std::size_t bytes = nitrix::semiring::matmul_workspace_size(a, a.transposed(), c, nitrix::Real{});
    Array<std::uint8_t> memory(Shape{static_cast<std::int64_t>(bytes) + 64});
    nitrix::semiring::matmul(a, a.transposed(), c, nitrix::Real{},
                             nitrix::Options().workspace(memory.data(), memory.size()));
    EXPECT_TRUE(std::equal(c.begin(), c.end(), want.begin()));
}

TEST(Context, BringsItsOwnAllocator) {
    struct Balance {
        std::atomic<int> taken{0}, given{0};
    } balance;
    nitrix_context_options options{};
    options.allocate = [](std::size_t bytes, void *user) -> void * {
        ++static_cast<Balance *>(user)->taken;
        return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    };
    options.release = [](void *memory, void *user) {
        ++static_cast<Balance *>(user)->given;
        std::free(memory);
    };
    options.user = &balance;
    {
        const nitrix::Context context(options);
        const Array<float> a = counted<float>({70, 70}, 37);
        const Array<float> want = nitrix::semiring::matmul(a, a, nitrix::Real{});
        const Array<float> got = nitrix::semiring::matmul(a, a, nitrix::Real{}, nitrix::Options().context(context));
        EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin()));
        Array<float> c({70, 70});
        if (nitrix::semiring::matmul_workspace_size(a, a, c, nitrix::Real{}) > 0) {
            EXPECT_GT(balance.taken, 0);
        }
    }
    EXPECT_EQ(balance.taken, balance.given);
}

TEST(Context, RefusesHalfAnAllocator) {
    nitrix_context_options options{};
    options.release = [](void *, void *) {};
    EXPECT_EQ(status_of([&] { const nitrix::Context context(options); }), NITRIX_ERROR_VALUE);
}

TEST(Asking, ReturnsWholeTexts) {
    const Array<float> a({1, 1}, {1});
    Array<float> c({1, 1});
    nitrix::semiring::matmul(a, a, c, nitrix::Real{});
    EXPECT_EQ(nitrix::version(), NITRIX_VERSION);
    for (const std::string &text :
         {nitrix::info(), nitrix::counters(), nitrix::semiring::matmul_explain(a, a, c, nitrix::Real{})}) {
        ASSERT_GE(text.size(), 2u);
        EXPECT_EQ(text.front(), '{');
        EXPECT_EQ(text.find('\0'), std::string::npos);
        EXPECT_EQ(text.back(), '}') << text;
    }
    EXPECT_NE(nitrix::info().find("tropical_max_plus"), std::string::npos);
    EXPECT_NE(nitrix::counters().find("semiring-matmul/real/f32"), std::string::npos);
}

} // namespace
