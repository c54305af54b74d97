// The k smallest entries of each row of a product, and where they are. The product is computed in blocks that stay in
// the second-level cache. Each row keeps a list of candidates: entries below a threshold, which a comparison that
// vectorises finds; nearly all are above. When a list is full, all but the k best leave it and the worst of those is
// the new threshold.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "error.h"
#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

enum { A, B, values, indices };

constexpr int64_t block_rows = 512, block_bytes = 1 << 20;
// Rows whose lists are held at once, and for which B is copied once if it has to be.
constexpr int64_t list_rows = 2048;
// Entries that are compared at once.
constexpr int64_t group = 64;

template <typename T> struct Entry {
    T value;
    int32_t index;
};

// The order of the result: by value, NaN after everything, equals by index.
struct Precedes {
    template <typename T> bool operator()(const Entry<T> &x, const Entry<T> &y) const {
        return x.value < y.value || (!(y.value < x.value) && wins_tie(x, y));
    }
    template <typename T> static bool wins_tie(const Entry<T> &x, const Entry<T> &y) {
        const bool x_is_nan = std::isnan(x.value), y_is_nan = std::isnan(y.value);
        return x_is_nan == y_is_nan ? x.index < y.index : y_is_nan;
    }
};

// Room for a group beyond the entries at which a list is cut down to the best k.
constexpr int64_t full_list(int64_t k) { return k + std::clamp<int64_t>(k, 64, 4096); }
constexpr int64_t list_capacity(int64_t k) { return full_list(k) + group; }

// The candidates of one row. Before them lies what is known of the row: the threshold, and how many there are.
template <typename T> class Candidates {
public:
    Candidates(Entry<T> *list, int64_t k) : threshold_(list->value), count_(list->index), entry_(list + 1), k_(k) {}

    // The row's entries first, first + 1, ..., `count` of them; a row starts with those from 0 on.
    void take(const T *entry, int64_t count, int64_t first) {
        if (first == 0)
            count_ = 0;
        int64_t j = 0;
        if (count_ == first && !(first == 0 && guess_threshold(entry, count))) { // all are candidates so far
            for (; j < count && count_ < full_list(k_); ++j)
                append(entry[j], first + j);
            if (count_ < full_list(k_))
                return;
            keep_best();
        }
        for (; j + group <= count; j += group)
            if (std::isnan(threshold_) || any_below(entry + j))
                take_group(entry + j, first + j);
        for (; j < count; ++j)
            if (is_below(entry[j]))
                append(entry[j], first + j);
        if (count_ >= full_list(k_))
            keep_best();
    }

    const Entry<T> *sorted() {
        keep_best();
        std::sort(entry_, entry_ + k_, Precedes());
        return entry_;
    }

private:
    // What equals the threshold has a larger index than the entry that set it, and stays out.
    bool is_below(T value) const { return std::isnan(threshold_) ? !std::isnan(value) : value < threshold_; }

    void append(T value, int64_t index) { entry_[count_++] = {value, static_cast<int32_t>(index)}; }

    // With the entries dealt out to lanes, each lane's least is an entry of its own: the k-th of them is above at least
    // k entries, and not many more. False where that takes more entries than there are.
    bool guess_threshold(const T *entry, int64_t count) {
        T least[256];
        int64_t lanes = 32;
        while (lanes < 2 * k_)
            lanes *= 2;
        if (lanes > 256 || 2 * lanes > count)
            return false;
        std::copy(entry, entry + lanes, least);
        for (int64_t j = lanes; j + lanes <= count; j += lanes)
            for (int64_t i = 0; i < lanes; ++i)
                least[i] = entry[j + i] < least[i] ? entry[j + i] : least[i];
        for (int64_t i = 0; i < lanes; ++i)
            least[i] = std::isnan(least[i]) ? std::numeric_limits<T>::infinity() : least[i];
        std::nth_element(least, least + k_ - 1, least + lanes);
        threshold_ = std::nextafter(least[k_ - 1], std::numeric_limits<T>::infinity());
        return threshold_ < std::numeric_limits<T>::infinity();
    }

    // Vectors of the compiler's, as an or of truth values is not vectorised well.
    bool any_below(const T *entry) const {
        using Mask = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
        constexpr int64_t lanes = 16 / sizeof(T);
        typedef T Values __attribute__((vector_size(16)));
        typedef Mask Masks __attribute__((vector_size(16)));
        const Values threshold = threshold_ - Values{};
        Masks any = {};
        for (int64_t i = 0; i < group; i += lanes) {
            Values values;
            std::memcpy(&values, entry + i, sizeof values);
            any |= values < threshold;
        }
        int64_t halves[2];
        std::memcpy(halves, &any, sizeof any);
        return halves[0] | halves[1];
    }

    void take_group(const T *entry, int64_t first) {
        uint8_t below[group];
        for (int64_t i = 0; i < group; ++i)
            below[i] = is_below(entry[i]);
        uint64_t bits = 0;
        for (int64_t i = 0; i < group; i += 8) {
            uint64_t bytes;
            std::memcpy(&bytes, below + i, 8);
            bits |= bytes * 0x0102040810204080 >> 56 << i; // the eight truth values of a word next to each other
        }
        for (; bits; bits &= bits - 1) {
            const int64_t j = __builtin_ctzll(bits);
            append(entry[j], first + j);
        }
        if (count_ >= full_list(k_))
            keep_best();
    }

    void keep_best() {
        if (count_ > k_)
            std::nth_element(entry_, entry_ + k_ - 1, entry_ + count_, Precedes());
        count_ = static_cast<int32_t>(k_);
        threshold_ = entry_[k_ - 1].value;
    }

    T &threshold_;
    int32_t &count_;
    Entry<T> *const entry_;
    const int64_t k_;
};

// Scratch arrays for blocks of any size up to the largest: parts of them have the largest one's strides.
struct Blocks {
    Blocks(Orchestrator &o, const Call &call, int64_t k)
        : columns(std::min(call.dims[2], block_bytes / (block_rows * dtype_bytes(call.dtype)))),
          product(matrix(o, call.dtype, std::min(call.dims[0], block_rows), columns)),
          right(matrix(o, call.dtype, call.dims[1], columns)),
          lists(matrix(o, DType::f64, std::min(call.dims[0], list_rows),
                       (1 + list_capacity(k)) * (call.dtype == DType::f64 ? 2 : 1))) {}

    static Array matrix(Orchestrator &o, DType dtype, int64_t rows, int64_t columns) {
        const int64_t shape[] = {rows, columns};
        return o.scratch(dtype, shape, 2);
    }

    const int64_t columns;
    const Array product, right, lists;
};

template <typename T> T *row_of(const Array &matrix, int64_t row) {
    return reinterpret_cast<T *>(matrix.data) + row * matrix.strides[0];
}

template <typename T> class Selection {
public:
    Selection(Orchestrator &o, const Call &call)
        : o_(o), call_(call), n_(call.dims[2]), k_(call.dims[3]), held_(std::min(n_, k_)), blocks_(o, call, held_) {}

    void run(const Array &a, const Array &b, const Array &value, const Array &index) {
        for (int64_t row = 0; row < a.shape[0]; row += list_rows)
            select(a, b, value, index, row, std::min(list_rows, a.shape[0] - row));
    }

    // Calls the product once for every size of block, which is what its memory depends on.
    void estimate(const Array &a, const Array &b) {
        const int64_t m = a.shape[0], width = blocks_.columns;
        for (const int64_t rows : {std::min(m, block_rows), m % block_rows})
            for (const int64_t columns : {width, n_ % width})
                if (rows > 0 && columns > 0)
                    multiply(block_of(a, 0, rows, 0, a.shape[1]), compact(block_of(b, 0, b.shape[0], 0, columns)));
    }

private:
    // Some rows of the result.
    void select(const Array &a, const Array &b, const Array &value, const Array &index, int64_t row, int64_t rows) {
        const int64_t width = blocks_.columns;
        for (int64_t column = 0; column < n_; column += width) {
            const int64_t columns = std::min(width, n_ - column);
            const Array right = compact(block_of(b, 0, b.shape[0], column, columns));
            for (int64_t at = 0; at < rows; at += block_rows) {
                const int64_t in_block = std::min(block_rows, rows - at);
                const Array product = multiply(block_of(a, row + at, in_block, 0, a.shape[1]), right);
                o_.parallel(in_block,
                            [&](int64_t i) { candidates(at + i).take(row_of<T>(product, i), columns, column); });
            }
        }
        o_.parallel(rows, [&](int64_t i) { store(candidates(i).sorted(), value, index, row + i); });
    }

    Array multiply(const Array &a, const Array &b) {
        const Array product = block_of(blocks_.product, 0, a.shape[0], 0, b.shape[1]);
        o_.call("semiring_matmul", call_.algebra, {a, b, product});
        return product;
    }

    // What the product reads again and again, with its rows in one piece.
    Array compact(const Array &columns) {
        if (columns.strides[1] == 1 || columns.shape[1] == 1)
            return columns;
        const Array copy = block_of(blocks_.right, 0, columns.shape[0], 0, columns.shape[1]);
        constexpr int64_t tile = 16;
        o_.parallel((columns.shape[1] + tile - 1) / tile, [&](int64_t t) {
            const int64_t last = std::min(columns.shape[1], (t + 1) * tile);
            for (int64_t i = 0; i < columns.shape[0]; ++i)
                for (int64_t j = t * tile; j < last; ++j)
                    row_of<T>(copy, i)[j] = row_of<T>(columns, i)[j * columns.strides[1]];
        });
        return copy;
    }

    Candidates<T> candidates(int64_t row) const {
        static_assert(sizeof(Entry<T>) == (sizeof(T) == 8 ? 2 : 1) * sizeof(double));
        return {reinterpret_cast<Entry<T> *>(row_of<double>(blocks_.lists, row)), held_};
    }

    void store(const Entry<T> *entry, const Array &value, const Array &index, int64_t row) const {
        T *const values = row_of<T>(value, row);
        int32_t *const indices = row_of<int32_t>(index, row);
        for (int64_t i = 0; i < k_; ++i) {
            values[i * value.strides[1]] = i < held_ ? entry[i].value : static_cast<T>(identity());
            indices[i * index.strides[1]] = i < held_ ? entry[i].index : -1;
        }
    }
    double identity() const { return algebras[call_.algebra].identity; }

    Orchestrator &o_;
    const Call &call_;
    const int64_t n_, k_, held_;
    const Blocks blocks_;
};

template <typename T> void select_items(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    const BroadcastSum all(call, x[values], 2);
    Selection<T> selection(o, call);
    for (int64_t i = 0; i < (o.dry ? 1 : all.items()); ++i) {
        const auto at = [&](int argument) { return last_two(all.item_of_term(x[argument], 2, i, 0)); };
        if (o.dry)
            selection.estimate(at(A), at(B));
        else
            selection.run(at(A), at(B), at(values), at(indices));
    }
}

void nearest(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    if (x[values].empty())
        return;
    if (call.dims[2] == 0) { // nothing to select from
        if (!o.dry) {
            fill(x[values], algebras[call.algebra].identity);
            fill(x[indices], -1);
        }
        return;
    }
    if (call.dims[2] > INT32_MAX)
        refuse(NITRIX_ERROR_UNSUPPORTED,
               where(*call.op, "B") + "has " + std::to_string(call.dims[2]) + " columns, must have at most 2147483647");
    if (call.dtype == DType::f64)
        select_items<double>(o, call);
    else
        select_items<float>(o, call);
}

} // namespace

extern const Composition compose_semiring_nearest;
const Composition compose_semiring_nearest = Composed<nearest>::composition;

} // namespace nitrix
