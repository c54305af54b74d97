// LOG's product is computed by its lowering (generators/algebra/log.h), whose kernel leaves a mark where the sum
// underflowed or an operand was infinite. Here those entries are computed in the streaming form: a list of them where
// they are few, whole rows where they are many. Either way an entry has the same bits, so the cut between the two is a
// matter of speed alone.
#include <algorithm>
#include <cstring>
#include <new>
#include <optional>

#include "call.h"
#include "run.h"
#include "scratch.h"

namespace nitrix {

namespace {

constexpr int64_t rows_at_a_time = 16, list_capacity = 4096;

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
        for (int64_t first = 0; first < c.rows; first += rows_at_a_time) {
            const int64_t n_rows = std::min(rows_at_a_time, c.rows - first);
            int64_t marked = 0;
            for (int64_t i = first; i < first + n_rows; ++i)
                marked += count(c, i);
            if (marked == 0)
                continue;
            if (4 * marked > n_rows * c.columns)
                stream_rows(a, b, c, first, n_rows);
            else
                for (int64_t i = first; i < first + n_rows; ++i)
                    list_row(a, b, c, i);
        }
        stream_list(a, b, c);
    }

private:
    static constexpr int size = sizeof(Bits);

    static Bits load(const char *at) {
        Bits bits;
        std::memcpy(&bits, at, size);
        return bits;
    }

    int64_t count(const Matrix &c, int64_t i) const {
        int64_t marked = 0;
        if (c.column_stride == 1) {
            const char *row = c.at(i, 0, size);
            for (int64_t j = 0; j < c.columns; ++j)
                marked += load(row + j * size) == mark_;
        } else {
            for (int64_t j = 0; j < c.columns; ++j)
                marked += load(c.at(i, j, size)) == mark_;
        }
        return marked;
    }

    // The streaming form of a few whole rows; only what was marked is taken.
    void stream_rows(const Matrix &a, const Matrix &b, const Matrix &c, int64_t first, int64_t n_rows) {
        const int64_t n = n_rows * c.columns;
        const Scratch scratch(kernel_, 3 * n * size);
        const Matrix rows = {a.at(first, 0, size), n_rows, a.columns, a.row_stride, a.column_stride};
        const Matrix value = {scratch.data(), n_rows, c.columns, c.columns, 1};
        Matrix maximum = value, sum = value;
        maximum.data += n * size;
        sum.data += 2 * n * size;
        const Array arrays[] = {as_array(call_.dtype, rows), as_array(call_.dtype, b), as_array(call_.dtype, value),
                                as_array(call_.dtype, maximum), as_array(call_.dtype, sum)};
        run_helper(call_, variant_, "semiring_matmul_streamed", arrays, kernel_);
        for (int64_t i = 0; i < n_rows; ++i)
            for (int64_t j = 0; j < c.columns; ++j)
                if (char *at = c.at(first + i, j, size); load(at) == mark_)
                    std::memcpy(at, value.at(i, j, size), size);
    }

    void list_row(const Matrix &a, const Matrix &b, const Matrix &c, int64_t i) {
        for (int64_t j = 0; j < c.columns; ++j) {
            if (load(c.at(i, j, size)) != mark_)
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
    std::optional<Scratch> list_;
    int64_t listed_ = 0;
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
    // The list, or a few rows' values, and what the streaming kernel of either keeps.
    const int64_t size = dtype_bytes(call.dtype), in_rows = std::min(rows_at_a_time, call.dims[0]) * call.dims[2];
    const int64_t panel = call.dims[1] * 64; // a vector of columns, for each thread
    return list_capacity * (8 + 5 * size) + in_rows * 5 * size + panel * call.options.threads;
}

} // namespace nitrix
