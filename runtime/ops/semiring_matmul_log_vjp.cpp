// LOG's half of semiring_matmul_vjp: a softmax that is recomputed, through exponentials of whole arrays.
#include <algorithm>
#include <type_traits>

#include "bits.h"
#include "ops/matmul_gradient.h"
#include "run.h"

namespace nitrix {

using namespace matmul_gradient;

namespace {

// to += x * y, element by element of matrices; `to` counts as 0 if `fresh`.
template <typename T> void add_products(Orchestrator &o, const Array &to, const Array &x, const Array &y, bool fresh) {
    const int r = to.rank - 2;
    o.parallel(to.shape[r], [&](int64_t i) {
        T *const z = reinterpret_cast<T *>(to.data) + i * to.strides[r];
        const T *const f = reinterpret_cast<const T *>(x.data) + i * x.strides[x.rank - 2];
        const T *const g = reinterpret_cast<const T *>(y.data) + i * y.strides[y.rank - 2];
        by_step(to.strides[r + 1], [&](auto step) {
            if (fresh)
                for (int64_t j = 0; j < to.shape[r + 1]; ++j)
                    z[j * step] = T(0) + f[j] * g[j];
            else
                for (int64_t j = 0; j < to.shape[r + 1]; ++j)
                    z[j * step] += f[j] * g[j];
        });
    });
}

// One array in which every element is the same.
Array constant(Orchestrator &o, const Call &call, int64_t rows, int64_t columns) {
    const int64_t one = 1;
    Array zero = o.scratch(call.dtype, &one, 1);
    if (!o.dry)
        fill(zero, 0);
    zero.rank = 2;
    zero.shape[0] = rows;
    zero.shape[1] = columns;
    zero.strides[0] = zero.strides[1] = 0;
    return zero;
}

Array column_of(const Array &matrix, int64_t j) {
    Array column = matrix;
    column.rank = 1;
    column.shape[0] = matrix.shape[matrix.rank - 2];
    column.strides[0] = matrix.strides[matrix.rank - 2];
    if (column.data)
        column.data += j * matrix.strides[matrix.rank - 1] * dtype_bytes(matrix.dtype);
    return column;
}

// w = exp(a + b - c), the softmax over k, never stored. With EA = exp(A - row maxima), EB = exp(B - column maxima) and
// W = dC * exp(row + column - C): dA = EA * (W EB^T) and dB = EB * (EA^T W), products of REAL. An entry whose maxima
// lie so far apart that EA or EB may have underflowed is left out there; its terms follow, by runs of such entries.
template <typename T> class LogItem {
public:
    LogItem(Orchestrator &o, const Call &call)
        : o_(o), call_(call), m_(call.dims[0]), k_(call.dims[1]), n_(call.dims[2]), real_(find_algebra("real")),
          ea_(matrix(m_, k_)), eb_(matrix(k_, n_)), w_(matrix(m_, n_)), ga_(matrix(m_, k_)), gb_(matrix(k_, n_)),
          row_(matrix(m_, 1)), column_(matrix(1, n_)), terms_(matrix(std::min(longest_run, n_), k_)),
          zero_(constant(o, call, 1, 1)), marked_(bits()),
          fresh_a_(BroadcastSum(call, call.arrays[dA], 2).terms() == 1),
          fresh_b_(BroadcastSum(call, call.arrays[dB], 2).terms() == 1) {
        // The sum of several items starts at 0.
        if (!o.dry && !fresh_a_)
            fill(call.arrays[dA], 0);
        if (!o.dry && !fresh_b_)
            fill(call.arrays[dB], 0);
    }

    void run(Array a, Array b, Array c, Array dc, Array da, Array db) {
        for (Array *x : {&a, &b, &c, &dc, &da, &db})
            *x = last_two(*x);
        const int max_plus = find_algebra("tropical_max_plus");
        o_.call("semiring_matmul", max_plus, {a, zeros(k_, 1), row_});
        o_.call("semiring_matmul", max_plus, {zeros(1, k_), b, column_});
        const Array row = column_of(row_, 0), column = column_of(transposed(column_), 0);
        o_.call("semiring_matmul_log_operand", call_.algebra, {a, row, zeros(k_), ea_});
        o_.call("semiring_matmul_log_operand", call_.algebra, {b, zeros(k_), column, eb_});
        o_.call("semiring_matmul_log_weight", call_.algebra, {dc, c, row, column, w_});
        const bool marked = take_marked();
        o_.call("semiring_matmul", real_, {w_, transposed(eb_), ga_});
        o_.call("semiring_matmul", real_, {transposed(ea_), w_, gb_});
        add_products<T>(o_, da, ea_, ga_, fresh_a_);
        add_products<T>(o_, db, eb_, gb_, fresh_b_);
        if (o_.dry)
            return add_terms(0, 0, terms_.shape[0], a, b, c, dc, da, db);
        for (int64_t i = 0; marked && i < m_; ++i)
            for (int64_t j = 0; j < n_;) {
                const int64_t first = j;
                while (j < n_ && j - first < longest_run && is_marked(i * n_ + j))
                    ++j;
                if (j > first)
                    add_terms(i, first, j - first, a, b, c, dc, da, db);
                else
                    ++j;
            }
    }

private:
    static constexpr int64_t longest_run = 64; // of neighbours in a row of C
    using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

    Array matrix(int64_t rows, int64_t columns) {
        const int64_t shape[] = {rows, columns};
        return o_.scratch(call_.dtype, shape, 2);
    }
    Array bits() {
        const int64_t words = words_of(m_ * n_);
        return o_.scratch(DType::i32, &words, 1);
    }
    Array zeros(int64_t rows, int64_t columns) const {
        Array a = zero_;
        a.shape[0] = rows;
        a.shape[1] = columns;
        return a;
    }
    Array zeros(int64_t count) const {
        Array a = zero_;
        a.rank = 1;
        a.shape[0] = count;
        return a;
    }
    // Entries that carry the mark become 0, and a bit of marked_; false if there are none.
    bool take_marked() {
        if (o_.dry)
            return false;
        const Bits mark = static_cast<Bits>(algebras[call_.algebra].unresolved[sizeof(T) == 8]);
        Bits *const w = reinterpret_cast<Bits *>(w_.data);
        uint32_t *const bits = reinterpret_cast<uint32_t *>(marked_.data);
        bool any = false;
        for (int64_t first = 0; first < m_ * n_; first += word_bits) {
            const int64_t count = std::min<int64_t>(word_bits, m_ * n_ - first);
            Bits *const of_word = w + first;
            Bits found = 0;
            for (int64_t e = 0; e < count; ++e)
                found |= of_word[e] == mark;
            uint32_t word = 0;
            for (int64_t e = 0; found && e < count; ++e)
                if (of_word[e] == mark) {
                    of_word[e] = 0;
                    word |= uint32_t{1} << e;
                }
            bits[first / word_bits] = word;
            any |= found != 0;
        }
        return any;
    }

    bool is_marked(int64_t entry) const {
        return reinterpret_cast<const uint32_t *>(marked_.data)[entry / word_bits] >> entry % word_bits & 1;
    }

    static Array from(Array array, int64_t offset) {
        if (array.data)
            array.data += offset * static_cast<int64_t>(sizeof(T));
        return array;
    }

    // What the entries (i, j) to (i, j + count - 1) add: to each element of da and db in the order of j.
    void add_terms(int64_t i, int64_t j, int64_t count, const Array &a, const Array &b, const Array &c, const Array &dc,
                   const Array &da, const Array &db) {
        Array left = from(a, i * a.strides[0]), right = transposed(from(b, j * b.strides[1])), terms = terms_;
        left.shape[0] = right.shape[0] = terms.shape[0] = count;
        left.strides[0] = 0;
        const auto entries = [&](const Array &matrix) {
            Array row = from(matrix, i * matrix.strides[0] + j * matrix.strides[1]);
            row.rank = 1;
            row.shape[0] = count;
            row.strides[0] = matrix.strides[1];
            return row;
        };
        o_.call("semiring_matmul_log_terms", call_.algebra, {left, right, entries(c), entries(dc), terms});
        if (o_.dry)
            return;
        const T *const t = reinterpret_cast<const T *>(terms.data);
        T *const x = reinterpret_cast<T *>(da.data) + i * da.strides[0];
        T *const y = reinterpret_cast<T *>(db.data) + j * db.strides[1];
        for (int64_t e = 0; e < count; ++e)
            for (int64_t k = 0; k < k_; ++k)
                x[k * da.strides[1]] += t[e * k_ + k];
        for (int64_t k = 0; k < k_; ++k)
            for (int64_t e = 0; e < count; ++e)
                y[k * db.strides[0] + e * db.strides[1]] += t[e * k_ + k];
    }

    Orchestrator &o_;
    const Call &call_;
    const int64_t m_, k_, n_;
    const int real_;
    const Array ea_, eb_, w_, ga_, gb_, row_, column_, terms_, zero_, marked_;
    const bool fresh_a_, fresh_b_; // one item alone adds to each element of dA, of dB
};

template <typename T> void sums(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    // Items of an array that has every leading dimension: the products of one after the other, in their order.
    Array full = x[C];
    int64_t shape[max_rank];
    full.rank = call.batch_rank + 2;
    std::copy_n(full_shape(call, shape, call.dims[0], call.dims[2]), full.rank, full.shape);
    const BroadcastSum all(call, full, 2);
    LogItem<T> item(o, call);
    for (int64_t i = 0; i < (o.dry ? 1 : all.items()); ++i) {
        const auto at = [&](int argument) { return all.item_of_term(x[argument], 2, i, 0); };
        item.run(at(A), at(B), at(C), at(dC), at(dA), at(dB));
    }
}

} // namespace

void matmul_gradient::log_sums(Orchestrator &o, const Call &call) {
    call.dtype == DType::f64 ? sums<double>(o, call) : sums<float>(o, call);
}

} // namespace nitrix
