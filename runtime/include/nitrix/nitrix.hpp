/* nitrix for C++17: arrays, exceptions, options and contexts over the C contract. Header only; link the C library.
 *
 *     nitrix::Array<float> a({2, 3}, {1, 2, 3, 4, 5, 6});        // owns its memory, row-major
 *     nitrix::View<const float> b(pointer, {3, 2}, {1, 3});      // borrows it, any strides (in elements)
 *     nitrix::Array<float> c = nitrix::semiring::matmul(a, b, nitrix::TropicalMinPlus{});
 *
 * Every function throws nitrix::Error where the C function under it returns another status than NITRIX_OK, and may be
 * called from any thread. What a call means (broadcasting, non-finite values, order of reductions) is in nitrix.h.
 */
#ifndef NITRIX_NITRIX_HPP
#define NITRIX_NITRIX_HPP

#include <nitrix/nitrix.h>
#include <nitrix/nitrix_ops.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace nitrix {
// The library is C++ too and has classes of its own in namespace nitrix: these have other symbols, so that a static
// link never takes one for the other.
inline namespace api {

// ---- Errors
// ----------------------------------------------------------------------------------------------------------

/// A call that nitrix refused: which argument, what it was, what it must be.
class Error : public std::runtime_error {
public:
    Error(nitrix_status status, const std::string &message) : std::runtime_error(message), status_(status) {}
    nitrix_status status() const noexcept { return status_; }

private:
    nitrix_status status_;
};

/// Throws what a C function reported. For those who call the C functions from C++ themselves.
inline void check(nitrix_status status) {
    if (status != NITRIX_OK) {
        throw Error(status, nitrix_last_error());
    }
}

// ---- Arrays
// ----------------------------------------------------------------------------------------------------------

using Shape = std::vector<std::int64_t>;

namespace detail {

template <class T> constexpr DLDataType dtype_of() {
    static_assert(std::is_arithmetic_v<T>, "nitrix: an array's elements are numbers or bool");
    constexpr auto bits = static_cast<std::uint8_t>(8 * sizeof(T));
    if constexpr (std::is_same_v<T, bool>) {
        static_assert(sizeof(T) == 1, "nitrix: bool is one byte");
        return DLDataType{kDLBool, bits, 1};
    } else if constexpr (std::is_floating_point_v<T>) {
        static_assert(sizeof(T) <= 8, "nitrix: long double has no kernels");
        return DLDataType{kDLFloat, bits, 1};
    } else if constexpr (std::is_signed_v<T>) {
        return DLDataType{kDLInt, bits, 1};
    } else {
        return DLDataType{kDLUInt, bits, 1};
    }
}

inline Shape compact_strides(const Shape &shape) {
    Shape strides(shape.size(), 1);
    std::uint64_t stride = 1; // unsigned: an empty array's other extents may overflow, and nothing reads its strides
    for (std::size_t i = shape.size(); i-- > 1;) {
        stride *= static_cast<std::uint64_t>(shape[i]);
        strides[i - 1] = static_cast<std::int64_t>(stride);
    }
    return strides;
}

inline std::size_t element_count(const Shape &shape, std::size_t element_size) {
    const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
    std::size_t count = empty ? 0 : 1;
    for (const std::int64_t extent : shape) {
        if (extent < 0) {
            throw Error(NITRIX_ERROR_VALUE,
                        "shape: an extent is " + std::to_string(extent) + ", it must not be negative");
        }
        const auto factor = static_cast<std::size_t>(extent);
        if (!empty && factor > std::numeric_limits<std::size_t>::max() / element_size / count) {
            throw Error(NITRIX_ERROR_MEMORY, "shape: the array would not fit the address space");
        }
        count *= factor;
    }
    return count;
}

} // namespace detail

/// Borrowed memory with a shape and strides (in elements). View<const T> can only be read.
template <class T> class View {
public:
    using value_type = std::remove_const_t<T>;

    View(T *data, Shape shape) : data_(data), shape_(std::move(shape)), strides_(detail::compact_strides(shape_)) {}
    View(T *data, Shape shape, Shape strides) : data_(data), shape_(std::move(shape)), strides_(std::move(strides)) {
        if (strides_.size() != shape_.size()) {
            throw Error(NITRIX_ERROR_VALUE, "strides: there are " + std::to_string(strides_.size()) + ", shape has " +
                                                std::to_string(shape_.size()) + " extents");
        }
    }

    /// Reading what may be written is always fine.
    template <class U, class = std::enable_if_t<std::is_same_v<const U, T> && !std::is_const_v<U>>>
    View(const View<U> &other) // NOLINT(google-explicit-constructor)
        : data_(other.data()), shape_(other.shape()), strides_(other.strides()) {}

    T *data() const noexcept { return data_; }
    const Shape &shape() const noexcept { return shape_; }
    const Shape &strides() const noexcept { return strides_; }
    std::size_t rank() const noexcept { return shape_.size(); }

    /// One element; as many indices as dimensions, unchecked as with a pointer.
    template <class... Index> T &operator()(Index... index) const noexcept {
        std::size_t axis = 0;
        std::int64_t offset = 0;
        ((offset += static_cast<std::int64_t>(index) * strides_[axis++]), ...);
        return data_[offset];
    }

    /// The same memory with the last two dimensions exchanged.
    View transposed() const {
        if (rank() < 2) {
            throw Error(NITRIX_ERROR_VALUE, "transposed: rank is " + std::to_string(rank()) + ", it must be 2 or more");
        }
        View result = *this;
        std::swap(result.shape_[rank() - 1], result.shape_[rank() - 2]);
        std::swap(result.strides_[rank() - 1], result.strides_[rank() - 2]);
        return result;
    }

    /// For the C functions. Points into this view and lives no longer; C takes inputs as DLTensor too, which has no
    /// const, and does not write them.
    DLTensor dltensor() const noexcept {
        DLTensor tensor{};
        tensor.data = const_cast<value_type *>(data_);
        tensor.device = DLDevice{kDLCPU, 0};
        tensor.ndim = static_cast<std::int32_t>(shape_.size());
        tensor.dtype = detail::dtype_of<value_type>();
        tensor.shape = const_cast<std::int64_t *>(shape_.data());
        tensor.strides = const_cast<std::int64_t *>(strides_.data());
        return tensor;
    }

private:
    T *data_;
    Shape shape_;
    Shape strides_;
};

/// Row-major memory of its own, 64-byte aligned.
template <class T> class Array {
    static_assert(!std::is_const_v<T>, "nitrix: an Array is written; View<const T> borrows what must not be");

public:
    using value_type = T;

    explicit Array(Shape shape, T fill = T{}) : Array(std::move(shape), Uninitialised{}) {
        std::fill_n(data(), size(), fill);
    }
    Array(Shape shape, std::initializer_list<T> values) : Array(std::move(shape), Uninitialised{}) {
        if (values.size() != size()) {
            throw Error(NITRIX_ERROR_VALUE, "values: there are " + std::to_string(values.size()) +
                                                ", the shape holds " + std::to_string(size()));
        }
        std::copy(values.begin(), values.end(), data());
    }
    Array(const Array &other) : Array(other.shape(), Uninitialised{}) { std::copy_n(other.data(), size(), data()); }
    Array(Array &&) noexcept = default; // what is moved from may only be assigned to or destroyed
    Array &operator=(Array other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(size_, other.size_);
        std::swap(view_, other.view_);
        return *this;
    }
    ~Array() = default;

    T *data() noexcept { return memory_.get(); }
    const T *data() const noexcept { return memory_.get(); }
    const Shape &shape() const noexcept { return view_.shape(); }
    const Shape &strides() const noexcept { return view_.strides(); }
    std::size_t rank() const noexcept { return view_.rank(); }
    std::size_t size() const noexcept { return size_; }
    T *begin() noexcept { return data(); }
    T *end() noexcept { return data() + size(); }
    const T *begin() const noexcept { return data(); }
    const T *end() const noexcept { return data() + size(); }

    View<T> view() { return view_; }
    View<const T> view() const { return view_; }
    View<T> transposed() { return view_.transposed(); }
    View<const T> transposed() const { return view_.transposed(); }
    template <class... Index> T &operator()(Index... index) noexcept { return view_(index...); }
    template <class... Index> const T &operator()(Index... index) const noexcept { return view_(index...); }
    DLTensor dltensor() const noexcept { return view_.dltensor(); }

private:
    static constexpr std::align_val_t alignment{64};
    struct Uninitialised {};
    struct Release {
        void operator()(T *memory) const noexcept { ::operator delete(memory, alignment); }
    };

    Array(Shape shape, Uninitialised /*unused*/)
        : size_(detail::element_count(shape, sizeof(T))),
          memory_(static_cast<T *>(::operator new(size_ * sizeof(T), alignment))),
          view_(memory_.get(), std::move(shape)) {}

    std::size_t size_;
    std::unique_ptr<T, Release> memory_;
    View<T> view_;
};

// ---- Contexts and options
// --------------------------------------------------------------------------------------------

/// What a group of calls shares: allocator, threads, memory budget. Must outlive the calls that use it.
class Context {
public:
    Context() : Context(nitrix_context_options{}) {}
    /// The C struct's fields; its `size` is filled in here.
    explicit Context(nitrix_context_options options) {
        options.size = sizeof options;
        nitrix_context *made = nullptr;
        check(nitrix_context_create(&options, &made));
        handle_.reset(made);
    }
    nitrix_context *get() const noexcept { return handle_.get(); }

private:
    struct Destroy {
        void operator()(nitrix_context *context) const noexcept { nitrix_context_destroy(context); }
    };
    std::unique_ptr<nitrix_context, Destroy> handle_;
};

/// How one call is to be served: Options().backend("cpu").threads(2).reproducible().
class Options {
public:
    Options &context(const Context &context) {
        options_.context = context.get();
        return *this;
    }
    /// "auto", "cpu", "cuda" or "naive".
    Options &backend(std::string name) {
        backend_ = std::move(name);
        return *this;
    }
    /// The id of the one variant that must serve the call.
    Options &variant(std::string id) {
        variant_ = std::move(id);
        return *this;
    }
    Options &mode(nitrix_mode mode) {
        options_.mode = mode;
        return *this;
    }
    /// The same bits on every machine, at a price on those without fused multiply-add.
    Options &reproducible(bool wanted = true) {
        options_.flags = wanted ? options_.flags | NITRIX_REPRODUCIBLE : options_.flags & ~NITRIX_REPRODUCIBLE;
        return *this;
    }
    Options &threads(std::int32_t most) {
        options_.threads = most;
        return *this;
    }
    Options &stream(void *cuda_stream) {
        options_.stream = cuda_stream;
        return *this;
    }
    /// Scratch memory of the caller's, 64-byte aligned, at least what the op's *_workspace_size says.
    Options &workspace(void *memory, std::size_t bytes) {
        options_.workspace = memory;
        options_.workspace_size = bytes;
        return *this;
    }

    /// For the C functions; points into this object.
    nitrix_options get() const noexcept {
        nitrix_options options = options_;
        options.backend = backend_.empty() ? nullptr : backend_.c_str();
        options.variant = variant_.empty() ? nullptr : variant_.c_str();
        return options;
    }

private:
    nitrix_options options_ = NITRIX_OPTIONS_INIT;
    std::string backend_;
    std::string variant_;
};

// ---- Algebras
// --------------------------------------------------------------------------------------------------------

/// An algebra is a type with a `name` that the library knows. An algebra of your own is such a struct as well.
struct Semiring {
    static constexpr std::size_t components = 1; // of the state of a reduction: as many arrays
};

/// Combine associates and distributes over the monoid, so a reduction may be split and merged. Functions that do so
/// take no other kind, and a relaxed algebra does not compile.
struct StrictSemiring : Semiring {};

struct Real : StrictSemiring { // sum of a * b
    static constexpr const char *name = "real";
};
struct Log : StrictSemiring { // log of the sum of exp(a + b)
    static constexpr std::size_t components = 2;
    static constexpr const char *name = "log";
};
struct TropicalMaxPlus : StrictSemiring { // largest a + b
    static constexpr const char *name = "tropical_max_plus";
};
struct TropicalMinPlus : StrictSemiring { // smallest a + b
    static constexpr const char *name = "tropical_min_plus";
};
struct Boolean : StrictSemiring { // any of a && b
    static constexpr const char *name = "boolean";
};
struct Euclidean : Semiring { // sqrt of the sum of (a - b)^2; relaxed
    static constexpr const char *name = "euclidean";
};

/// An algebra that is known only when the program runs; nothing is promised about it, so it counts as relaxed.
struct NamedSemiring : Semiring {
    explicit NamedSemiring(std::string algebra) : name(std::move(algebra)) {}
    std::string name;
};

template <class T> inline constexpr bool is_semiring = std::is_base_of_v<Semiring, T>;
template <class T> inline constexpr bool is_strict_semiring = std::is_base_of_v<StrictSemiring, T>;

// ---- Asking
// ----------------------------------------------------------------------------------------------------------

namespace detail {

/// The C convention for text: ask for the size, then for the text; again if it grew in between.
template <class Write> std::string text(Write write) {
    std::string result;
    std::size_t needed = 0;
    check(write(nullptr, std::size_t{0}, &needed));
    while (needed > result.size()) {
        result.resize(needed);
        check(write(result.data(), result.size(), &needed));
    }
    result.resize(needed > 0 ? needed - 1 : 0);
    return result;
}

} // namespace detail

/// The linked library's NITRIX_VERSION.
inline int version() noexcept { return nitrix_version(); }

/// The library as JSON: version, this machine's features, targets, ops, algebras, variants.
inline std::string info() {
    return detail::text([](char *to, std::size_t size, std::size_t *needed) { return nitrix_info(to, size, needed); });
}

/// Calls served so far by each variant, as JSON.
inline std::string counters() {
    return detail::text(
        [](char *to, std::size_t size, std::size_t *needed) { return nitrix_counters(to, size, needed); });
}

/// The id of the variant that served the calling thread's latest successful call.
inline std::string last_variant() { return nitrix_last_variant(); }

// ---- Semiring ops
// ----------------------------------------------------------------------------------------------------

namespace detail {

inline const char *c_string(const char *text) noexcept { return text; }
inline const char *c_string(const std::string &text) noexcept { return text.c_str(); }

template <class A, class B, class C, class Algebra> constexpr void check_matmul_types() {
    using T = typename std::decay_t<C>::value_type;
    static_assert(is_semiring<Algebra>, "nitrix: the algebra is a Semiring, such as nitrix::Real{}");
    static_assert(std::is_same_v<typename A::value_type, T> && std::is_same_v<typename B::value_type, T>,
                  "nitrix: A, B and C have one dtype");
    static_assert(!std::is_const_v<std::remove_pointer_t<decltype(std::declval<C &>().data())>>,
                  "nitrix: C is written, so it is no View<const T> and no const Array");
}

/// NumPy's rule. What does not fit gets a shape all the same: the library refuses it and says which argument is wrong.
inline Shape matmul_shape(const Shape &a, const Shape &b) {
    if (a.size() < 2 || b.size() < 2) {
        return {0, 0};
    }
    Shape shape(std::max(a.size(), b.size()), 1);
    for (const Shape *operand : {&a, &b}) {
        const std::size_t offset = shape.size() - operand->size();
        for (std::size_t axis = 0; axis + 2 < operand->size(); ++axis) {
            if (shape[offset + axis] == 1) {
                shape[offset + axis] = (*operand)[axis];
            }
        }
    }
    shape[shape.size() - 2] = a[a.size() - 2];
    shape[shape.size() - 1] = b[b.size() - 1];
    return shape;
}

/// NumPy's rule for two arrays of any rank; what does not fit is left to the library to refuse.
inline Shape broadcast(const Shape &a, const Shape &b) {
    Shape shape(std::max(a.size(), b.size()), 1);
    for (const Shape *operand : {&a, &b}) {
        const std::size_t offset = shape.size() - operand->size();
        for (std::size_t axis = 0; axis < operand->size(); ++axis) {
            if (shape[offset + axis] == 1) {
                shape[offset + axis] = (*operand)[axis];
            }
        }
    }
    return shape;
}

template <class T, class Algebra> std::array<Array<T>, Algebra::components> new_state(const Shape &shape) {
    static_assert(Algebra::components == 1 || Algebra::components == 2, "nitrix: a state has one or two components");
    if constexpr (Algebra::components == 1) {
        return {Array<T>(shape)};
    } else {
        return {Array<T>(shape), Array<T>(shape)};
    }
}

/// A state for the C functions, which take NULL for the component that an algebra lacks. Outlived by the arrays.
template <class T, class Algebra> class StateTensors {
public:
    explicit StateTensors(const std::array<Array<T>, Algebra::components> &state) {
        for (std::size_t i = 0; i < state.size(); ++i) {
            tensors_[i] = state[i].dltensor();
        }
    }
    DLTensor *first() noexcept { return &tensors_[0]; }
    DLTensor *second() noexcept { return Algebra::components > 1 ? &tensors_[Algebra::components - 1] : nullptr; }

private:
    std::array<DLTensor, Algebra::components> tensors_;
};

} // namespace detail

namespace semiring {

/// C = A (x) B over the algebra. A, B: Array or View; C: Array or View of the same dtype with the product's shape.
template <class A, class B, class C, class Algebra, class = std::enable_if_t<is_semiring<std::decay_t<Algebra>>>>
void matmul(const A &a, const B &b, C &&c, const Algebra &algebra, const Options &options = {}) {
    detail::check_matmul_types<A, B, C, Algebra>();
    const DLTensor a_tensor = a.dltensor();
    const DLTensor b_tensor = b.dltensor();
    DLTensor c_tensor = c.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_matmul(&a_tensor, &b_tensor, &c_tensor, detail::c_string(algebra.name), &c_options));
}

/// The product as a new array.
template <class A, class B, class Algebra, class = std::enable_if_t<is_semiring<Algebra>>>
Array<typename A::value_type> matmul(const A &a, const B &b, const Algebra &algebra, const Options &options = {}) {
    Array<typename A::value_type> c(detail::matmul_shape(a.shape(), b.shape()));
    matmul(a, b, c, algebra, options);
    return c;
}

/// Truth values, bool or bytes, 32 to a word along the last axis (-1: rows, for a left operand) or the one before it
/// (-2: columns, for a right one). Bit b of word w is entry 32 w + b.
template <class X> Array<std::uint32_t> pack_bits(const X &x, std::int64_t axis = -1, const Options &options = {}) {
    static_assert(sizeof(typename X::value_type) == 1, "nitrix: truth values are bool or std::uint8_t");
    Shape shape = x.shape();
    if (shape.size() >= 2 && (axis == -1 || axis == -2)) { // what else there may be is refused below
        std::int64_t &size = shape[shape.size() + static_cast<std::size_t>(axis)];
        size = (size + 31) / 32;
    }
    Array<std::uint32_t> words(shape);
    const DLTensor x_tensor = x.dltensor();
    DLTensor tensor = words.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_pack_bits(&x_tensor, &tensor, detail::c_string(Boolean::name), axis, &c_options));
    return words;
}

/// The product over Boolean of words of truth values: C[i, j] = whether any A[i, w] & B[w, j] has a bit.
template <class A, class B> Array<std::uint8_t> matmul_bits(const A &a, const B &b, const Options &options = {}) {
    Array<std::uint8_t> c(detail::matmul_shape(a.shape(), b.shape()));
    const DLTensor a_tensor = a.dltensor();
    const DLTensor b_tensor = b.dltensor();
    DLTensor c_tensor = c.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_matmul_bits(&a_tensor, &b_tensor, &c_tensor, detail::c_string(Boolean::name), &c_options));
    return c;
}

/// Scratch bytes that the product would allocate at most; nothing is computed.
template <class A, class B, class C, class Algebra>
std::size_t matmul_workspace_size(const A &a, const B &b, C &&c, const Algebra &algebra, const Options &options = {}) {
    detail::check_matmul_types<A, B, C, Algebra>();
    const DLTensor a_tensor = a.dltensor();
    const DLTensor b_tensor = b.dltensor();
    DLTensor c_tensor = c.dltensor();
    const nitrix_options c_options = options.get();
    std::size_t bytes = 0;
    check(nitrix_semiring_matmul_workspace_size(&a_tensor, &b_tensor, &c_tensor, detail::c_string(algebra.name),
                                                &c_options, &bytes));
    return bytes;
}

/// Which variants the product would consider and why each is taken or refused, as JSON.
template <class A, class B, class C, class Algebra>
std::string matmul_explain(const A &a, const B &b, C &&c, const Algebra &algebra, const Options &options = {}) {
    detail::check_matmul_types<A, B, C, Algebra>();
    DLTensor tensors[] = {a.dltensor(), b.dltensor(), c.dltensor()};
    DLTensor *arrays[] = {&tensors[0], &tensors[1], &tensors[2]};
    const nitrix_attribute attribute{"semiring", NITRIX_ATTRIBUTE_STRING,        0,
                                     0.0,        detail::c_string(algebra.name), nullptr};
    const nitrix_options c_options = options.get();
    return detail::text([&](char *to, std::size_t size, std::size_t *needed) {
        return nitrix_explain("semiring_matmul", arrays, 3, &attribute, 1, &c_options, to, size, needed);
    });
}

/// The n-th power of square matrices over a strict algebra; n = 0: the neutral element on the diagonal.
template <class A, class Algebra, class = std::enable_if_t<is_strict_semiring<Algebra>>>
Array<typename A::value_type> power(const A &a, std::int64_t n, const Algebra &algebra, const Options &options = {}) {
    Array<typename A::value_type> c(a.shape());
    const DLTensor a_tensor = a.dltensor();
    DLTensor c_tensor = c.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_power(&a_tensor, &c_tensor, detail::c_string(algebra.name), n, &c_options));
    return c;
}

/// The sum of all powers of square matrices from 0 on over TropicalMinPlus (all-pairs shortest paths), TropicalMaxPlus
/// or Boolean (reachability).
template <class A, class Algebra, class = std::enable_if_t<is_strict_semiring<Algebra>>>
Array<typename A::value_type> closure(const A &a, const Algebra &algebra, const Options &options = {}) {
    Array<typename A::value_type> c(a.shape());
    const DLTensor a_tensor = a.dltensor();
    DLTensor c_tensor = c.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_closure(&a_tensor, &c_tensor, detail::c_string(algebra.name), &c_options));
    return c;
}

/// The k smallest entries of each row of a product, and their columns.
template <class T> struct Nearest {
    Array<T> values;             // [..., m, k], ascending
    Array<std::int32_t> indices; // -1 where B has fewer than k columns
};

/// The k smallest entries of each row of A (x) B over Euclidean or TropicalMinPlus, which is never stored. Of equal
/// entries the smaller column comes first, NaN after everything.
template <class A, class B, class Algebra = Euclidean, class = std::enable_if_t<is_semiring<Algebra>>>
Nearest<typename A::value_type> nearest(const A &a, const B &b, std::int64_t k, const Algebra &algebra = {},
                                        const Options &options = {}) {
    using T = typename A::value_type;
    Shape shape = detail::matmul_shape(a.shape(), b.shape());
    shape.back() = std::max<std::int64_t>(k, 0);
    Nearest<T> result{Array<T>(shape), Array<std::int32_t>(shape)};
    detail::check_matmul_types<A, B, Array<T>, Algebra>();
    const DLTensor a_tensor = a.dltensor();
    const DLTensor b_tensor = b.dltensor();
    DLTensor values = result.values.dltensor();
    DLTensor indices = result.indices.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_nearest(&a_tensor, &b_tensor, &values, &indices, detail::c_string(algebra.name), k,
                                  &c_options));
    return result;
}

/// The state of a reduction over a part of K: one array per component. Log: the largest term, and the sum of
/// exp(term - largest); the others: the product of the part.
template <class T, class Algebra> using State = std::array<Array<T>, Algebra::components>;

/// The state of A (x) B, where A and B hold a part of K. Merge the states of all parts, then finalize. Takes strict
/// algebras alone: with Euclidean{} this does not compile.
template <class A, class B, class Algebra, class = std::enable_if_t<is_strict_semiring<Algebra>>>
State<typename A::value_type, Algebra> matmul_partial(const A &a, const B &b, const Algebra &algebra,
                                                      const Options &options = {}) {
    using T = typename A::value_type;
    auto state = detail::new_state<T, Algebra>(detail::matmul_shape(a.shape(), b.shape()));
    detail::check_matmul_types<A, B, Array<T>, Algebra>();
    const DLTensor a_tensor = a.dltensor();
    const DLTensor b_tensor = b.dltensor();
    detail::StateTensors<T, Algebra> out(state);
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_matmul_partial(&a_tensor, &b_tensor, out.first(), out.second(),
                                         detail::c_string(algebra.name), &c_options));
    return state;
}

/// The state of two parts of K together; `left` is the one with the smaller k.
template <class T, std::size_t N, class Algebra,
          class = std::enable_if_t<is_strict_semiring<Algebra> && N == Algebra::components>>
std::array<Array<T>, N> matmul_merge(const std::array<Array<T>, N> &left, const std::array<Array<T>, N> &right,
                                     const Algebra &algebra, const Options &options = {}) {
    auto state = detail::new_state<T, Algebra>(detail::broadcast(left[0].shape(), right[0].shape()));
    detail::StateTensors<T, Algebra> a(left);
    detail::StateTensors<T, Algebra> b(right);
    detail::StateTensors<T, Algebra> out(state);
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_matmul_merge(a.first(), a.second(), b.first(), b.second(), out.first(), out.second(),
                                       detail::c_string(algebra.name), &c_options));
    return state;
}

/// The product from the state of all of K.
template <class T, std::size_t N, class Algebra,
          class = std::enable_if_t<is_strict_semiring<Algebra> && N == Algebra::components>>
Array<T> matmul_finalize(const std::array<Array<T>, N> &state, const Algebra &algebra, const Options &options = {}) {
    Array<T> c(state[0].shape());
    detail::StateTensors<T, Algebra> in(state);
    DLTensor c_tensor = c.dltensor();
    const nitrix_options c_options = options.get();
    check(nitrix_semiring_matmul_finalize(in.first(), in.second(), &c_tensor, detail::c_string(algebra.name),
                                          &c_options));
    return c;
}

} // namespace semiring
} // namespace api
} // namespace nitrix

#endif // NITRIX_NITRIX_HPP
