/* Sparse products and aggregations over edges for C++17: nitrix.hpp's arrays with the columns of a matrix in ELL form.
 *
 *     nitrix::sparse::Structure ring(indices, n);               // (m, k) columns below n, checked once
 *     nitrix::Array<float> c = nitrix::semiring::ell_matmul(values, ring, b, nitrix::TropicalMaxPlus{});
 *
 * Where a function takes `indices` it takes a Structure, or an Array or View of int32 or int64, which is checked on
 * every call. A negative index is padding. What a call means is in nitrix.h and docs/sparse.md.
 */
#ifndef NITRIX_NITRIX_SPARSE_HPP
#define NITRIX_NITRIX_SPARSE_HPP

#include <nitrix/nitrix.hpp>

namespace nitrix {
inline namespace api {

namespace sparse {

/// The columns of a sparse matrix in ELL form, copied and checked, with the order in which its rows are best walked.
class Structure {
public:
    /// indices: (..., m, k), int32 or int64, each below n_cols.
    template <class Indices> Structure(const Indices &indices, std::int64_t n_cols) : columns_(n_cols) {
        const DLTensor tensor = indices.dltensor();
        nitrix_structure *made = nullptr;
        check(nitrix_structure_create(&tensor, n_cols, &made));
        handle_.reset(made);
        const DLTensor &own = *nitrix_structure_indices(made);
        shape_.assign(own.shape, own.shape + own.ndim);
    }

    const Shape &shape() const noexcept { return shape_; }
    std::int64_t columns() const noexcept { return columns_; }
    View<const std::int32_t> indices() const {
        return {static_cast<const std::int32_t *>(nitrix_structure_indices(handle_.get())->data), shape_};
    }
    DLTensor dltensor() const noexcept { return *nitrix_structure_indices(handle_.get()); }

private:
    struct Destroy {
        void operator()(nitrix_structure *structure) const noexcept { nitrix_structure_destroy(structure); }
    };
    std::unique_ptr<nitrix_structure, Destroy> handle_;
    std::int64_t columns_;
    Shape shape_;
};

} // namespace sparse

namespace detail {

/// The broadcast leading dimensions of matrices, then rows and columns.
inline Shape matrix_shape(std::initializer_list<const Shape *> operands, std::int64_t rows, std::int64_t columns) {
    Shape lead;
    for (const Shape *operand : operands) {
        if (operand->size() > 2) {
            lead = broadcast(lead, Shape(operand->begin(), operand->end() - 2));
        }
    }
    lead.push_back(rows);
    lead.push_back(columns);
    return lead;
}

/// An extent counted from the last; 0 where there is none, which the library then refuses by name.
inline std::int64_t extent(const Shape &shape, std::size_t from_last) {
    return shape.size() < from_last ? 0 : shape[shape.size() - from_last];
}

template <class Indices, class X, class W, class Algebra>
Array<typename X::value_type> ell_edge_mlp(const Indices &indices, const X &x, const W &weight, const DLTensor *bias,
                                           const Shape &biases, typename X::value_type slope, const Algebra &algebra,
                                           const Options &options) {
    using T = typename X::value_type;
    static_assert(std::is_same_v<typename W::value_type, T>, "nitrix: x and weight have one dtype");
    Shape rows = biases; // a matrix of one row
    rows.insert(rows.end() - (rows.empty() ? 0 : 1), 1);
    Array<T> y(matrix_shape({&indices.shape(), &x.shape(), &weight.shape(), &rows}, extent(indices.shape(), 2),
                            extent(weight.shape(), 1)));
    const View<const T> scalar(&slope, {});
    const DLTensor at = indices.dltensor(), nodes = x.dltensor(), weights = weight.dltensor(), s = scalar.dltensor();
    DLTensor out = y.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_ell_edge_mlp(&at, &nodes, &weights, bias, &s, &out, c_string(algebra.name), &c_options));
    return y;
}

} // namespace detail

namespace semiring {

/// C[i, j] reduces combine(values[i, k], B[indices[i, k], j]) over k. values, indices: (..., m, k); b: (..., n, d).
template <class A, class Indices, class B, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
Array<typename B::value_type> ell_matmul(const A &values, const Indices &indices, const B &b, const Algebra &algebra,
                                         const Options &options = {}) {
    using T = typename B::value_type;
    static_assert(std::is_same_v<typename A::value_type, T>, "nitrix: values and B have one dtype");
    Array<T> c(detail::matrix_shape({&values.shape(), &indices.shape(), &b.shape()}, detail::extent(values.shape(), 2),
                                    detail::extent(b.shape(), 1)));
    const DLTensor v = values.dltensor(), at = indices.dltensor(), right = b.dltensor();
    DLTensor out = c.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_ell_matmul(&v, &at, &right, &out, detail::c_string(algebra.name), &c_options));
    return c;
}

/// The product of the transpose, (..., n_cols, d): Y[indices[i, k], j] reduces combine(values[i, k], X[i, j]).
template <class A, class Indices, class X, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
Array<typename X::value_type> ell_rmatvec(const A &values, const Indices &indices, const X &x, std::int64_t n_cols,
                                          const Algebra &algebra, const Options &options = {}) {
    using T = typename X::value_type;
    static_assert(std::is_same_v<typename A::value_type, T>, "nitrix: values and X have one dtype");
    Array<T> y(
        detail::matrix_shape({&values.shape(), &indices.shape(), &x.shape()}, n_cols, detail::extent(x.shape(), 1)));
    const DLTensor v = values.dltensor(), at = indices.dltensor(), right = x.dltensor();
    DLTensor out = y.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_ell_rmatvec(&v, &at, &right, &out, detail::c_string(algebra.name), &c_options));
    return y;
}

/// Gradients of sum(dc * C) for values and for B, with C = ell_matmul(values, indices, b).
template <class T> struct EllGradients { Array<T> values, b; };

template <class A, class Indices, class B, class C, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
EllGradients<typename B::value_type> ell_matmul_vjp(const A &values, const Indices &indices, const B &b, const C &c,
                                                    const C &dc, const Algebra &algebra, const Options &options = {}) {
    using T = typename B::value_type;
    static_assert(std::is_same_v<typename A::value_type, T> && std::is_same_v<typename C::value_type, T>,
                  "nitrix: values, B, C and dC have one dtype");
    EllGradients<T> gradients{Array<T>(values.shape()), Array<T>(b.shape())};
    const DLTensor v = values.dltensor(), at = indices.dltensor(), right = b.dltensor();
    const DLTensor result = c.dltensor(), passed = dc.dltensor();
    DLTensor to_values = gradients.values.dltensor(), to_b = gradients.b.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_ell_matmul_vjp(&v, &at, &right, &result, &passed, &to_values, &to_b,
                                         detail::c_string(algebra.name), &c_options));
    return gradients;
}

/// y[i, o] reduces combine(x[indices[i, s], c], weight[s, c, o]) over the channels c, then over the slots s of row i.
/// indices: (..., m, k); x: (..., n, c); weight: (..., k, c, o).
template <class Indices, class X, class W, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
Array<typename X::value_type> ell_conv(const Indices &indices, const X &x, const W &weight, const Algebra &algebra,
                                       const Options &options = {}) {
    using T = typename X::value_type;
    static_assert(std::is_same_v<typename W::value_type, T>, "nitrix: x and weight have one dtype");
    Shape slots = weight.shape(); // one dimension less: their leading ones are a matrix's
    if (!slots.empty()) {
        slots.pop_back();
    }
    Array<T> y(detail::matrix_shape({&indices.shape(), &x.shape(), &slots}, detail::extent(indices.shape(), 2),
                                    detail::extent(weight.shape(), 1)));
    const DLTensor at = indices.dltensor(), nodes = x.dltensor(), weights = weight.dltensor();
    DLTensor out = y.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_ell_conv(&at, &nodes, &weights, &out, detail::c_string(algebra.name), &c_options));
    return y;
}

/// Gradients of sum(dy * y) for x and for weight, with y = ell_conv(indices, x, weight).
template <class T> struct EllConvGradients { Array<T> x, weight; };

template <class Indices, class X, class W, class Y, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
EllConvGradients<typename X::value_type> ell_conv_vjp(const Indices &indices, const X &x, const W &weight, const Y &y,
                                                      const Y &dy, const Algebra &algebra,
                                                      const Options &options = {}) {
    using T = typename X::value_type;
    static_assert(std::is_same_v<typename W::value_type, T> && std::is_same_v<typename Y::value_type, T>,
                  "nitrix: x, weight, y and dy have one dtype");
    EllConvGradients<T> gradients{Array<T>(x.shape()), Array<T>(weight.shape())};
    const DLTensor at = indices.dltensor(), nodes = x.dltensor(), weights = weight.dltensor();
    const DLTensor result = y.dltensor(), passed = dy.dltensor();
    DLTensor to_x = gradients.x.dltensor(), to_weight = gradients.weight.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_ell_conv_vjp(&at, &nodes, &weights, &result, &passed, &to_x, &to_weight,
                                       detail::c_string(algebra.name), &c_options));
    return gradients;
}

/// y[i, j] reduces act(own[i, j] + source[indices[i, k], j]) over k in the algebra's monoid; act(x) is x above 0 and
/// slope * x elsewhere: 1 for no activation, 0 for ReLU. own: (..., m, d); source: (..., n, d); indices: (..., m, k).
template <class A, class B, class Indices, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
Array<typename A::value_type> ell_edge_reduce(const A &own, const B &source, const Indices &indices,
                                              typename A::value_type slope, const Algebra &algebra,
                                              const Options &options = {}) {
    using T = typename A::value_type;
    static_assert(std::is_same_v<typename B::value_type, T>, "nitrix: own and source have one dtype");
    Array<T> y(detail::matrix_shape({&own.shape(), &source.shape(), &indices.shape()}, detail::extent(own.shape(), 2),
                                    detail::extent(own.shape(), 1)));
    const View<const T> scalar(&slope, {});
    const DLTensor a = own.dltensor(), b = source.dltensor(), at = indices.dltensor(), s = scalar.dltensor();
    DLTensor out = y.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_ell_edge_reduce(&a, &b, &at, &s, &out, detail::c_string(algebra.name), &c_options));
    return y;
}

/// EdgeConv: y[i] reduces act(x[i] (W1 - W2) + bias + x[j] W2) over the neighbours j of row i, with W1 above W2 in
/// weight. indices: (..., m, k); x: (..., n, d), n >= m; weight: (..., 2 d, h); bias: (..., h).
template <class Indices, class X, class W, class B, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
Array<typename X::value_type> ell_edge_mlp(const Indices &indices, const X &x, const W &weight, const B &bias,
                                           typename X::value_type slope, const Algebra &algebra,
                                           const Options &options = {}) {
    static_assert(std::is_same_v<typename B::value_type, typename X::value_type>, "nitrix: x and bias have one dtype");
    const DLTensor terms = bias.dltensor();
    return detail::ell_edge_mlp(indices, x, weight, &terms, bias.shape(), slope, algebra, options);
}

/// The same without a bias.
template <class Indices, class X, class W, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
Array<typename X::value_type> ell_edge_mlp(const Indices &indices, const X &x, const W &weight,
                                           typename X::value_type slope, const Algebra &algebra,
                                           const Options &options = {}) {
    return detail::ell_edge_mlp(indices, x, weight, nullptr, {}, slope, algebra, options);
}

/// Gradients of sum(dy * y) for x, weight and bias, with y = ell_edge_mlp(indices, x, weight, bias, slope); a layer
/// without bias has one of zeros.
template <class T> struct EdgeMlpGradients { Array<T> x, weight, bias; };

template <class Indices, class X, class W, class B, class Y, class Algebra,
          class = std::enable_if_t<is_semiring<Algebra>>>
EdgeMlpGradients<typename X::value_type>
ell_edge_mlp_vjp(const Indices &indices, const X &x, const W &weight, const B &bias, typename X::value_type slope,
                 const Y &y, const Y &dy, const Algebra &algebra, const Options &options = {}) {
    using T = typename X::value_type;
    static_assert(std::is_same_v<typename W::value_type, T> && std::is_same_v<typename B::value_type, T> &&
                      std::is_same_v<typename Y::value_type, T>,
                  "nitrix: x, weight, bias, y and dy have one dtype");
    EdgeMlpGradients<T> gradients{Array<T>(x.shape()), Array<T>(weight.shape()), Array<T>(bias.shape())};
    const View<const T> scalar(&slope, {});
    const DLTensor at = indices.dltensor(), nodes = x.dltensor(), weights = weight.dltensor(), terms = bias.dltensor();
    const DLTensor s = scalar.dltensor(), result = y.dltensor(), passed = dy.dltensor();
    DLTensor to_x = gradients.x.dltensor(), to_weight = gradients.weight.dltensor(),
             to_bias = gradients.bias.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_ell_edge_mlp_vjp(&at, &nodes, &weights, &terms, &s, &result, &passed, &to_x, &to_weight,
                                           &to_bias, detail::c_string(algebra.name), &c_options));
    return gradients;
}

/// Gradients of sum(dy * y) for own and for source, with y = ell_edge_reduce(own, source, indices, slope).
template <class T> struct EdgeGradients { Array<T> own, source; };

template <class A, class B, class Indices, class Y, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
EdgeGradients<typename A::value_type> ell_edge_reduce_vjp(const A &own, const B &source, const Indices &indices,
                                                          typename A::value_type slope, const Y &y, const Y &dy,
                                                          const Algebra &algebra, const Options &options = {}) {
    using T = typename A::value_type;
    static_assert(std::is_same_v<typename B::value_type, T> && std::is_same_v<typename Y::value_type, T>,
                  "nitrix: own, source, y and dy have one dtype");
    EdgeGradients<T> gradients{Array<T>(own.shape()), Array<T>(source.shape())};
    const View<const T> scalar(&slope, {});
    const DLTensor a = own.dltensor(), b = source.dltensor(), at = indices.dltensor(), s = scalar.dltensor();
    const DLTensor result = y.dltensor(), passed = dy.dltensor();
    DLTensor to_own = gradients.own.dltensor(), to_source = gradients.source.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_ell_edge_reduce_vjp(&a, &b, &at, &s, &result, &passed, &to_own, &to_source,
                                              detail::c_string(algebra.name), &c_options));
    return gradients;
}

} // namespace semiring
} // namespace api
} // namespace nitrix

#endif // NITRIX_NITRIX_SPARSE_HPP
