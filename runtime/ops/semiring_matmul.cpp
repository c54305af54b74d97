// LOG's product is computed by its lowering (generators/algebra/log.h), whose kernel leaves a mark where the sum
// underflowed or an operand was infinite. Here those entries are computed in the streaming form: the submatrix of the
// rows and columns that have any where they fill much of it, a list of them where they do not. Either way an entry has
// the same bits, so the cut between the two is a matter of speed alone.
#include <algorithm>
#include <climits>
#include <cstring>
#include <new>
#include <optional>

#include "call.h"
#include "halide_hooks.h"
#include "run.h"
#include "scratch.h"

namespace nitrix {

namespace {

constexpr int64_t list_capacity = 4096, most_rows = 128, most_columns = 256; // of a list, of a submatrix
// What an entry of a list takes, and a column of B that is copied, in entries of a submatrix.
constexpr int64_t cost_in_list = 9, cost_of_column = 6, rows_of_tile = 4;

// How many rows of A or columns of B a submatrix takes at once: copies of them fit into the second-level cache.
int64_t side(int64_t depth, int64_t most) {
    return std::clamp<int64_t>((int64_t{1} << 18) / std::max<int64_t>(depth, 1) / 16 * 16, 16, most);
}

// Where the elements of one item of the batch lie.
struct Matrix {
    char *data;
    int64_t rows, columns, row_stride, column_stride; // strides in elements

    char *at(int64_t i, int64_t j, int size) const { return data + (i * row_stride + j * column_stride) * size; }
};

Array as_array(DType dtype, void *data, std::initializer_list<int64_t> shape, std::initializer_list<int64_t> strides) {
    Array a;
    a.data = static_cast<char *>(data);
    a.given = true;
    a.dtype = dtype;
    a.rank = static_cast<int>(shape.size());
    std::copy(shape.begin(), shape.end(), a.shape);
    std::copy(strides.begin(), strides.end(), a.strides);
    return a;
}

Array as_array(DType dtype, const Matrix &m) {
    return as_array(dtype, m.data, {m.rows, m.columns}, {m.row_stride, m.column_stride});
}

template <typename Bits> class Streaming {
public:
    Streaming(const Call &call, const Variant &variant, KernelContext &kernel, Bits mark)
        : call_(call), variant_(variant), kernel_(kernel), mark_(mark) {}

    void finish(const Matrix &a, const Matrix &b, const Matrix &c) {
        const int64_t most = side(a.columns, most_rows);
        constexpr int parts = 32;
        constexpr int64_t too_few = 1 << 16; // entries, for threads
        const auto first_row = [&](int64_t part) { return c.rows * part / parts; };
        bool may_have[parts]; // marks
        std::fill_n(may_have, parts, true);
        if (kernel_.threads > 1 && c.rows * c.columns >= too_few)
            parallel_for(kernel_, parts, [&](int64_t part) {
                int64_t i = first_row(part);
                while (i < first_row(part + 1) && !count(c, i))
                    ++i;
                may_have[part] = i < first_row(part + 1);
            });
        for (int part = 0; part < parts; ++part) {
            if (!may_have[part])
                continue;
            for (int64_t i = first_row(part); i < first_row(part + 1); ++i) {
                const int64_t marked = count(c, i);
                if (!marked)
                    continue;
                rows_[n_rows_++] = i;
                marked_ += marked;
                if (n_rows_ == most)
                    stream_rows(a, b, c);
            }
        }
        if (n_rows_)
            stream_rows(a, b, c);
        stream_list(a, b, c);
    }

    // Of a submatrix: whether each column has a mark, the columns that do, copies of the operands' parts, the outputs.
    static int64_t work_bytes(int64_t rows, int64_t depth, int64_t columns) {
        const int64_t height = std::min(side(depth, most_rows), rows),
                      width = std::min(side(depth, most_columns), columns);
        return flags_and_columns(columns) + (depth * (height + width) + 3 * height * width) * size;
    }

private:
    static constexpr int size = sizeof(Bits);

    static int64_t flags_and_columns(int64_t columns) { return (columns * 9 + 63) / 64 * 64; }

    static Bits load(const char *at) {
        Bits bits;
        std::memcpy(&bits, at, size);
        return bits;
    }

    int64_t count(const Matrix &c, int64_t i) const {
        int64_t marked = 0, j = 0;
        if (c.column_stride == 1) {
            constexpr int64_t several = 64; // a number of iterations that the compiler knows: it vectorises
            for (; j + several <= c.columns; j += several) {
                Bits bits[several], equal = 0;
                std::memcpy(bits, c.at(i, j, size), sizeof bits);
                for (const Bits b : bits)
                    equal += b == mark_;
                marked += static_cast<int64_t>(equal);
            }
        }
        for (; j < c.columns; ++j)
            marked += is_marked(c, i, j);
        return marked;
    }

    bool is_marked(const Matrix &c, int64_t i, int64_t j) const { return load(c.at(i, j, size)) == mark_; }

    void stream_rows(const Matrix &a, const Matrix &b, const Matrix &c) {
        if (!work_)
            work_.emplace(kernel_, work_bytes(c.rows, a.columns, c.columns));
        int64_t *const chosen = reinterpret_cast<int64_t *>(work_->data());
        char *const in_any = work_->data() + c.columns * sizeof(int64_t);
        std::memset(in_any, 0, c.columns);
        for (int64_t r = 0; r < n_rows_; ++r)
            for (int64_t j = 0; j < c.columns; ++j)
                in_any[j] |= static_cast<char>(is_marked(c, rows_[r], j));
        int64_t n_columns = 0;
        for (int64_t j = 0; j < c.columns; ++j)
            if (in_any[j])
                chosen[n_columns++] = j;
        const int64_t height = (n_rows_ + rows_of_tile - 1) / rows_of_tile * rows_of_tile;
        if (n_columns * (height + cost_of_column) < cost_in_list * marked_)
            stream_submatrix(a, b, c, chosen, n_columns);
        else
            for (int64_t r = 0; r < n_rows_; ++r)
                list_row(a, b, c, rows_[r]);
        n_rows_ = marked_ = 0;
    }

    void stream_submatrix(const Matrix &a, const Matrix &b, const Matrix &c, const int64_t *chosen, int64_t n) {
        const int64_t most = std::min(side(a.columns, most_columns), c.columns);
        char *const a_copy = work_->data() + flags_and_columns(c.columns);
        char *const b_copy = a_copy + a.columns * std::min(side(a.columns, most_rows), c.rows) * size;
        char *const out = b_copy + a.columns * most * size;
        const Matrix left = chosen_rows(a, rows_, n_rows_, a_copy);
        for (int64_t first = 0; first < n; first += most) {
            const int64_t n_now = std::min(most, n - first), results = n_rows_ * n_now;
            const Matrix right = transposed(chosen_rows(transposed(b), chosen + first, n_now, b_copy));
            const Matrix value = {out, n_rows_, n_now, n_now, 1};
            Matrix maximum = value, sum = value;
            maximum.data += results * size;
            sum.data += 2 * results * size;
            const Array arrays[] = {as_array(call_.dtype, left), as_array(call_.dtype, right),
                                    as_array(call_.dtype, value), as_array(call_.dtype, maximum),
                                    as_array(call_.dtype, sum)};
            run_helper(call_, variant_, "semiring_matmul_streamed", arrays, kernel_);
            for (int64_t r = 0; r < n_rows_; ++r)
                for (int64_t e = 0; e < n_now; ++e)
                    if (char *at = c.at(rows_[r], chosen[first + e], size); load(at) == mark_)
                        std::memcpy(at, value.at(r, e, size), size);
        }
    }

    static Matrix transposed(const Matrix &m) { return {m.data, m.columns, m.rows, m.column_stride, m.row_stride}; }

    // Neighbours with a unit stride in either direction where they lie, others in a copy with the same direction.
    static Matrix chosen_rows(const Matrix &m, const int64_t *rows, int64_t count, char *copy) {
        if (rows[count - 1] - rows[0] == count - 1 && (m.column_stride == 1 || m.row_stride == 1))
            return {m.at(rows[0], 0, size), count, m.columns, m.row_stride, m.column_stride};
        const bool interleaved = m.column_stride != 1;
        const Matrix to = {copy, count, m.columns, interleaved ? 1 : m.columns, interleaved ? count : 1};
        const auto move = [&](int64_t r, int64_t e) { std::memcpy(to.at(r, e, size), m.at(rows[r], e, size), size); };
        if (interleaved)
            for (int64_t e = 0; e < m.columns; ++e)
                for (int64_t r = 0; r < count; ++r)
                    move(r, e);
        else
            for (int64_t r = 0; r < count; ++r)
                for (int64_t e = 0; e < m.columns; ++e)
                    move(r, e);
        return to;
    }

    void list_row(const Matrix &a, const Matrix &b, const Matrix &c, int64_t i) {
        for (int64_t j = 0; j < c.columns; ++j) {
            if (!is_marked(c, i, j))
                continue;
            if (!list_)
                list_.emplace(kernel_, list_bytes());
            rows()[listed_] = static_cast<int32_t>(i);
            columns()[listed_] = static_cast<int32_t>(j);
            if (++listed_ == list_capacity)
                stream_list(a, b, c);
        }
    }

    void stream_list(const Matrix &a, const Matrix &b, const Matrix &c) {
        if (!listed_)
            return;
        char *values = list_->data() + list_capacity * 2 * sizeof(int32_t);
        const auto column = [&](DType dtype, void *data) { return as_array(dtype, data, {listed_}, {1}); };
        const Array arrays[] = {as_array(call_.dtype, a),
                                as_array(call_.dtype, b),
                                column(DType::i32, rows()),
                                column(DType::i32, columns()),
                                column(call_.dtype, values),
                                column(call_.dtype, values + list_capacity * size),
                                column(call_.dtype, values + 2 * list_capacity * size)};
        run_helper(call_, variant_, "semiring_matmul_entries", arrays, kernel_);
        for (int64_t e = 0; e < listed_; ++e)
            std::memcpy(c.at(rows()[e], columns()[e], size), values + e * size, size);
        listed_ = 0;
    }

    static int64_t list_bytes() { return list_capacity * static_cast<int64_t>(2 * sizeof(int32_t) + 3 * size); }
    int32_t *rows() const { return reinterpret_cast<int32_t *>(list_->data()); }
    int32_t *columns() const { return rows() + list_capacity; }

    const Call &call_;
    const Variant &variant_;
    KernelContext &kernel_;
    const Bits mark_;
    std::optional<Scratch> list_, work_;
    int64_t listed_ = 0, n_rows_ = 0, marked_ = 0;
    int64_t rows_[most_rows]; // that have marks
};

// One argument's matrix of the batch item whose broadcast indices are given.
Matrix matrix_of(const Call &call, int argument, const int64_t *index) {
    const Array &a = call.arrays[argument];
    const int leading = a.rank - 2;
    int64_t offset = 0;
    for (int d = 0; d < leading; ++d)
        if (a.shape[d] != 1)
            offset += index[call.batch_rank - leading + d] * a.strides[d];
    return {a.data + offset * dtype_bytes(a.dtype), a.shape[leading], a.shape[leading + 1], a.strides[leading],
            a.strides[leading + 1]};
}

template <typename Bits> void finish_items(const Call &call, const Variant &variant, KernelContext &kernel, Bits mark) {
    int64_t index[max_rank] = {};
    for (;;) {
        Streaming<Bits>(call, variant, kernel, mark)
            .finish(matrix_of(call, 0, index), matrix_of(call, 1, index), matrix_of(call, 2, index));
        int d = call.batch_rank - 1;
        for (; d >= 0; --d) {
            if (++index[d] < call.batch[d])
                break;
            index[d] = 0;
        }
        if (d < 0)
            return;
    }
}

uint64_t mark_of(const Call &call) {
    return call.algebra < 0 ? 0 : algebras[call.algebra].unresolved[call.dtype == DType::f64];
}

} // namespace

void finish_semiring_matmul(const Call &call, const Variant &variant, KernelContext &kernel) {
    const uint64_t mark = mark_of(call);
    if (!mark)
        return;
    if (call.dtype == DType::f64)
        finish_items<uint64_t>(call, variant, kernel, mark);
    else
        finish_items<uint32_t>(call, variant, kernel, static_cast<uint32_t>(mark));
}

int64_t finish_bytes_semiring_matmul(const Call &call, const Variant &) {
    if (!mark_of(call))
        return 0;
    // The list, the submatrix, and what the streaming kernel of either keeps.
    const int64_t m = call.dims[0], depth = call.dims[1], n = call.dims[2], size = dtype_bytes(call.dtype);
    if (std::max({m, depth, n}) > INT_MAX) // kernels count with 32 bits: asked about, but never served
        return INT64_MAX;
    const int64_t work =
        size == 8 ? Streaming<uint64_t>::work_bytes(m, depth, n) : Streaming<uint32_t>::work_bytes(m, depth, n);
    const int64_t height = std::min(most_rows, m), width = std::min(most_columns, n);
    const int64_t states = 2 * size * std::max(list_capacity, height * width);
    const int64_t panels = depth * 64 * call.options.threads; // a vector of columns, for each thread
    return list_capacity * (8 + 3 * size) + work + states + panels;
}

} // namespace nitrix
