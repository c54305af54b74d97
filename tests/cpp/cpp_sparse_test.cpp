// nitrix_sparse.hpp: products with matrices in ELL form, their gradients, aggregation over edges, and what is refused.
#include <nitrix/nitrix_sparse.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace {

using nitrix::Array;
using nitrix::Shape;
using nitrix::View;
using nitrix::sparse::Structure;
namespace semiring = nitrix::semiring;

constexpr std::int64_t m = 33, k = 5, n = 29, d = 70;

Array<double> counted(Shape shape, int modulus) {
    Array<double> result(std::move(shape));
    int value = 0;
    for (double &entry : result) {
        entry = (value = (value * 7 + 3) % modulus) - modulus / 2;
    }
    return result;
}

// Row 4 is empty; the others have padding here and there.
template <class Index> Array<Index> columns() {
    Array<Index> result({m, k});
    for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t e = 0; e < k; ++e) {
            result(i, e) = i == 4 || (i + e) % 6 == 0 ? Index{-1} : static_cast<Index>((i * 5 + e * 11) % n);
        }
    }
    return result;
}

double inner(const Array<double> &a, const Array<double> &b) {
    EXPECT_EQ(a.shape(), b.shape());
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        sum += a.data()[i] * b.data()[i];
    }
    return sum;
}

template <class Call> std::string refusal(Call call) {
    try {
        call();
    } catch (const nitrix::Error &error) {
        return error.what();
    }
    return "";
}

template <class A, class B> void expect_same(const A &a, const B &b) {
    ASSERT_EQ(a.shape(), b.shape());
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin()));
}

TEST(Ell, ProductsAgreeWithTheFormula) {
    const Array<double> values = counted({m, k}, 23), b = counted({n, d}, 101);
    const Array<std::int32_t> at = columns<std::int32_t>();
    const Array<double> sum = semiring::ell_matmul(values, at, b, nitrix::Real{});
    const Array<double> most = semiring::ell_matmul(values, at, b, nitrix::TropicalMaxPlus{});
    for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < d; ++j) {
            double s = 0, t = -std::numeric_limits<double>::infinity();
            for (std::int64_t e = 0; e < k; ++e) {
                if (at(i, e) >= 0) {
                    s += values(i, e) * b(at(i, e), j);
                    t = std::max(t, values(i, e) + b(at(i, e), j));
                }
            }
            ASSERT_EQ(sum(i, j), s);
            ASSERT_EQ(most(i, j), t);
        }
    }
}

TEST(Ell, TakesStructuresAndBothKindsOfIndices) {
    const Array<double> values = counted({m, k}, 23), b = counted({n, d}, 101);
    const Array<std::int64_t> wide = columns<std::int64_t>();
    const Structure structure(wide, n);
    EXPECT_EQ(structure.shape(), (Shape{m, k}));
    EXPECT_EQ(structure.columns(), n);
    EXPECT_EQ(structure.indices()(4, 0), -1);
    const Array<double> c = semiring::ell_matmul(values, columns<std::int32_t>(), b, nitrix::Euclidean{});
    expect_same(c, semiring::ell_matmul(values, wide, b, nitrix::Euclidean{}));
    expect_same(c, semiring::ell_matmul(values, structure, b, nitrix::NamedSemiring("euclidean")));
}

TEST(Ell, BroadcastsLeadingDimensions) {
    const Array<double> values = counted({3, 1, m, k}, 23), b = counted({2, n, d}, 101);
    const Array<double> c = semiring::ell_matmul(values, columns<std::int32_t>(), b, nitrix::Real{});
    ASSERT_EQ(c.shape(), (Shape{3, 2, m, d}));
    const View<const double> one(values.data() + m * k, {m, k}), right(b.data() + n * d, {n, d});
    Array<double> item({m, d});
    std::copy_n(&c(1, 1, 0, 0), m * d, item.data());
    expect_same(item, semiring::ell_matmul(one, columns<std::int32_t>(), right, nitrix::Real{}));
}

TEST(Ell, TransposeAndGradientsAreTheAdjoint) {
    const Array<double> values = counted({m, k}, 23), b = counted({n, d}, 101), dc = counted({m, d}, 31);
    const Structure structure(columns<std::int32_t>(), n);
    const Array<double> c = semiring::ell_matmul(values, structure, b, nitrix::Real{});
    const Array<double> y = semiring::ell_rmatvec(values, structure, dc, n, nitrix::Real{});
    ASSERT_EQ(y.shape(), (Shape{n, d}));
    EXPECT_EQ(inner(y, b), inner(dc, c)); // whole numbers
    const auto gradients = semiring::ell_matmul_vjp(values, structure, b, c, dc, nitrix::Real{});
    expect_same(gradients.b, y);
    EXPECT_EQ(inner(gradients.values, values), inner(dc, c));
}

TEST(Edges, AgreeWithTheFormula) {
    const Array<double> own = counted({m, d}, 23), source = counted({n, d}, 101), dy = counted({m, d}, 31);
    const Array<std::int32_t> at = columns<std::int32_t>();
    const Array<double> y = semiring::ell_edge_reduce(own, source, at, 0.0, nitrix::TropicalMaxPlus{});
    const auto gradients = semiring::ell_edge_reduce_vjp(own, source, at, 0.0, y, dy, nitrix::TropicalMaxPlus{});
    Array<double> down({m, d}), dsource({n, d});
    for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < d; ++j) {
            double best = -std::numeric_limits<double>::infinity(), before = 0;
            std::int64_t winner = -1;
            for (std::int64_t e = 0; e < k; ++e) {
                const double x = at(i, e) < 0 ? 0 : own(i, j) + source(at(i, e), j);
                if (at(i, e) >= 0 && std::max(x, 0.0) > best) {
                    best = std::max(x, 0.0), before = x, winner = at(i, e);
                }
            }
            ASSERT_EQ(y(i, j), best);
            if (winner >= 0 && before > 0) {
                down(i, j) = dy(i, j);
                dsource(winner, j) += dy(i, j);
            }
        }
    }
    expect_same(gradients.own, down);
    expect_same(gradients.source, dsource);
    const auto sum = semiring::ell_edge_reduce(own, source, Structure(at, n), 1.0, nitrix::Real{});
    const auto both = semiring::ell_edge_reduce_vjp(own, source, Structure(at, n), 1.0, sum, dy, nitrix::Real{});
    EXPECT_EQ(inner(both.own, own) + inner(both.source, source), inner(dy, sum));
}

TEST(Edges, LayersAgreeWithTheFormula) {
    constexpr std::int64_t c = 3, h = 20, nodes = 40; // one for each row at least
    const Array<double> x = counted({nodes, c}, 23), weight = counted({2 * c, h}, 31), bias = counted({h}, 17);
    const Array<std::int32_t> at = columns<std::int32_t>();
    const Array<double> y =
        semiring::ell_edge_mlp(Structure(at, nodes), x, weight, bias, 0.0, nitrix::TropicalMaxPlus{});
    const Array<double> sum = semiring::ell_edge_mlp(at, x, weight, 1.0, nitrix::Real{});
    ASSERT_EQ(y.shape(), (Shape{m, h}));
    for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < h; ++j) {
            double best = -std::numeric_limits<double>::infinity(), total = 0;
            for (std::int64_t e = 0; e < k; ++e) {
                if (at(i, e) < 0) {
                    continue;
                }
                double edge = 0;
                for (std::int64_t f = 0; f < c; ++f) {
                    edge += x(i, f) * weight(f, j) + (x(at(i, e), f) - x(i, f)) * weight(c + f, j);
                }
                best = std::max(best, std::max(edge + bias(j), 0.0));
                total += edge;
            }
            ASSERT_EQ(y(i, j), best); // whole numbers
            ASSERT_EQ(sum(i, j), total);
        }
    }
    const Array<double> dy = counted({m, h}, 13), zeros({h});
    const auto gradients = semiring::ell_edge_mlp_vjp(at, x, weight, zeros, 1.0, sum, dy, nitrix::Real{});
    EXPECT_EQ(inner(gradients.x, x), inner(dy, sum)); // whole numbers
    EXPECT_EQ(inner(gradients.weight, weight), inner(dy, sum));
    for (std::int64_t j = 0; j < h; ++j) {
        double edges = 0;
        for (std::int64_t i = 0; i < m; ++i) {
            for (std::int64_t e = 0; e < k; ++e) {
                edges += at(i, e) < 0 ? 0 : dy(i, j);
            }
        }
        ASSERT_EQ(gradients.bias(j), edges);
    }
    EXPECT_NE(refusal([&] { semiring::ell_edge_mlp(at, x, x, 0.0, nitrix::Real{}); }).find("must have 6"),
              std::string::npos);
}

TEST(Ell, ConvolutionsAgreeWithTheFormula) {
    constexpr std::int64_t c = 3, o = 20;
    const Array<double> x = counted({n, c}, 23), weight = counted({k, c, o}, 31), dy = counted({m, o}, 17);
    const Array<std::int32_t> at = columns<std::int32_t>();
    const Array<double> y = semiring::ell_conv(at, x, weight, nitrix::Real{});
    const Array<double> least = semiring::ell_conv(Structure(at, n), x, weight, nitrix::TropicalMinPlus{});
    ASSERT_EQ(y.shape(), (Shape{m, o}));
    for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < o; ++j) {
            double sum = 0, best = std::numeric_limits<double>::infinity();
            for (std::int64_t s = 0; s < k; ++s) {
                for (std::int64_t e = 0; at(i, s) >= 0 && e < c; ++e) {
                    sum += x(at(i, s), e) * weight(s, e, j);
                    best = std::min(best, x(at(i, s), e) + weight(s, e, j));
                }
            }
            ASSERT_EQ(y(i, j), sum);
            ASSERT_EQ(least(i, j), best);
        }
    }
    const auto gradients = semiring::ell_conv_vjp(at, x, weight, y, dy, nitrix::Real{});
    EXPECT_EQ(inner(gradients.x, x), inner(dy, y)); // whole numbers
    EXPECT_EQ(inner(gradients.weight, weight), inner(dy, y));
    EXPECT_NE(refusal([&] { semiring::ell_conv(at, x, x, nitrix::Real{}); }).find("'weight'"), std::string::npos);
}

TEST(Ell, RefusesWhatItCannotMean) {
    const Array<double> values = counted({m, k}, 23), b = counted({n, d}, 101);
    Array<std::int32_t> at = columns<std::int32_t>();
    at(7, 2) = n;
    EXPECT_NE(refusal([&] { Structure(at, n); }).find("(7,2)"), std::string::npos);
    EXPECT_NE(refusal([&] { semiring::ell_matmul(values, at, b, nitrix::Real{}); }).find("'indices'"),
              std::string::npos);
    EXPECT_NE(refusal([&] { semiring::ell_matmul(values, values, b, nitrix::Real{}); }).find("int32 or int64"),
              std::string::npos);
    const Array<double> row({k});
    EXPECT_NE(refusal([&] { semiring::ell_matmul(row, at, b, nitrix::Real{}); }).find("'values'"), std::string::npos);
    const Array<float> narrow({m, k});
    EXPECT_NE(refusal([&] { semiring::ell_rmatvec(values, columns<std::int32_t>(), b, n, nitrix::Real{}); }), "");
    EXPECT_NE(refusal([&] { semiring::ell_matmul(narrow, at, Array<float>({d}), nitrix::Real{}); }), "");
}

} // namespace
