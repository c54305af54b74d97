#include "structure.h"

#include <shared_mutex>
#include <unordered_map>

#include "error.h"
#include "indices.h"

namespace nitrix {

namespace {

struct Live {
    std::shared_mutex lock;
    std::unordered_map<const void *, const Structure *> structures; // by the address of their indices
};

Live &live() {
    static Live *const all = new Live; // outlives every static object of the caller
    return *all;
}

} // namespace

void check_counts(const std::string &where, const Array &counts, int64_t entries) {
    int64_t sum = 0;
    for (int64_t i = 0; i < counts.shape[0]; ++i) {
        const char *const at = counts.data + i * counts.strides[0] * dtype_bytes(counts.dtype);
        const int64_t count = counts.dtype == DType::i64 ? *reinterpret_cast<const int64_t *>(at)
                                                         : *reinterpret_cast<const int32_t *>(at);
        if (count < 0 || count > entries || (sum += count) > entries)
            refuse_value(where + ": element (" + std::to_string(i) + ") is " + std::to_string(count) +
                         ": counts must not be negative, nor add up to more than the " + std::to_string(entries) +
                         " entries");
    }
    if (sum != entries)
        refuse_value(where + ": adds up to " + std::to_string(sum) + ", must be the number of entries, " +
                     std::to_string(entries));
}

// One that is used again and again.
static std::unique_ptr<Plan> lasting_plan(const Lists &lists, int64_t n, const std::vector<int32_t> &order,
                                          const std::vector<int32_t> &bucket_of_list = {}) {
    auto plan = std::make_unique<Plan>(make_plan(lists, order, bucket_of_list));
    plan->look_ahead(n);
    return plan;
}

Structure::Structure(const Array &indices, int64_t n) : n_(n) {
    own(indices);
    if (indices.rank == 2 && indices_.size() > 1 && n > 0 && can_plan(shape_[0], shape_[1], n))
        plan_forward(lists_by_row(array()));
}

Structure::Structure(const Array &indices, const Array &counts, std::vector<int32_t> buckets, int64_t n)
    : n_(n), buckets_(std::move(buckets)) {
    for (int64_t i = 0; i < counts.shape[0]; ++i)
        counts_.push_back(reinterpret_cast<const int32_t *>(counts.data)[i * counts.strides[0]]);
    own(indices);
    plan_forward(ragged_by_row(array(), counts));
}

void Structure::own(const Array &indices) {
    int64_t count = 1;
    for (int d = 0; d < indices.rank; ++d)
        count *= shape_[d] = indices.shape[d];
    indices_.resize(static_cast<size_t>(count) + 1); // an address of its own even where it is empty
    int64_t at[max_rank] = {};
    for (int64_t e = 0; e < count; ++e) {
        int64_t offset = 0;
        for (int d = 0; d < indices.rank; ++d)
            offset += at[d] * indices.strides[d];
        const int32_t index = reinterpret_cast<const int32_t *>(indices.data)[offset];
        indices_[static_cast<size_t>(e)] = index < 0 ? -1 : index;
        for (int d = indices.rank - 1; d >= 0 && ++at[d] == indices.shape[d]; --d)
            at[d] = 0;
    }
    tensor_ = {indices_.data(), {kDLCPU, 0}, indices.rank, {kDLInt, 32, 1}, shape_, nullptr, 0};
    const std::unique_lock hold(live().lock);
    live().structures[indices_.data()] = this;
}

Structure::~Structure() {
    const std::unique_lock hold(live().lock);
    live().structures.erase(indices_.data());
}

Array Structure::array() const {
    Array a;
    read_array(&tensor_, "indices", true, a);
    return a;
}

bool Structure::has_counts(const Array &counts) const {
    bool same = counts.shape[0] == static_cast<int64_t>(counts_.size());
    for (size_t i = 0; same && i < counts_.size(); ++i)
        same =
            reinterpret_cast<const int32_t *>(counts.data)[static_cast<int64_t>(i) * counts.strides[0]] == counts_[i];
    return same;
}

Lists Structure::by_column() const {
    if (tensor_.ndim != 1)
        return lists_by_column(array(), n_);
    Array counts;
    counts.data = reinterpret_cast<char *>(const_cast<int32_t *>(counts_.data()));
    counts.shape[0] = static_cast<int64_t>(counts_.size());
    counts.strides[0] = 1;
    return ragged_by_column(ragged_by_row(array(), counts), n_);
}

void Structure::plan_forward(const Lists &by_row) {
    const int64_t entries = by_row.starts.back(), natural = fetches(by_row, n_, {});
    const bool ragged = tensor_.ndim == 1; // has no other form
    // With no window that fetches again what another has fetched, there is nothing to gain.
    if (natural > n_ + n_ / 4) {
        Orders orders = neighbours_first(by_row, by_column());
        if (fetches(by_row, n_, orders.rows) < natural - natural / 8) {
            forward_ = lasting_plan(by_row, n_, orders.rows, buckets_);
            column_order_ = std::move(orders.columns);
            return;
        }
    }
    if (ragged || shape_[0] * shape_[1] > 4 * entries) // mostly padding
        forward_ = lasting_plan(by_row, n_, {}, buckets_);
}

const Plan &Structure::by_row() const {
    if (forward_)
        return *forward_;
    std::call_once(natural_once_, [&] { natural_ = lasting_plan(lists_by_row(array()), n_, {}); });
    return *natural_;
}

const Plan &Structure::transposed() const {
    std::call_once(once_, [&] {
        const int64_t rows = tensor_.ndim == 1 ? static_cast<int64_t>(counts_.size()) : shape_[tensor_.ndim - 2];
        transposed_ = lasting_plan(by_column(), rows, column_order_);
        column_order_ = {};
    });
    return *transposed_;
}

const Structure *find_structure(const Array &indices) {
    const std::shared_lock hold(live().lock);
    const auto found = live().structures.find(indices.data);
    if (found == live().structures.end())
        return nullptr;
    const Structure &s = *found->second;
    const DLTensor &own = s.tensor();
    bool same = indices.dtype == DType::i32 && indices.rank == own.ndim;
    int64_t step = 1;
    for (int d = own.ndim - 1; same && d >= 0; --d) {
        same = indices.shape[d] == own.shape[d] && (own.shape[d] == 1 || indices.strides[d] == step);
        step *= own.shape[d];
    }
    return same ? &s : nullptr;
}

} // namespace nitrix

struct nitrix_structure : nitrix::Structure {
    using nitrix::Structure::Structure;
};

extern "C" nitrix_status nitrix_structure_create(const DLTensor *indices, int64_t n_cols,
                                                 nitrix_structure **structure) {
    return nitrix::guarded([&] {
        using namespace nitrix;
        if (!structure)
            refuse_value("nitrix_structure_create: structure is NULL");
        if (n_cols < 0 || n_cols > INT32_MAX)
            refuse_value("nitrix_structure_create: n_cols is " + std::to_string(n_cols) +
                         ", must be between 0 and 2147483647");
        Array array;
        read_array(indices, "indices", true, array);
        if (array.dtype != DType::i32 && array.dtype != DType::i64)
            refuse_type(std::string("argument 'indices': dtype is ") + dtype_name(array.dtype) +
                        ", must be int32 or int64");
        if (array.rank < 2)
            refuse_value("argument 'indices': has " + std::to_string(array.rank) +
                         " dimensions, must have at least 2: rows, and entries of a row");
        check_index_array(array, "argument 'indices'", n_cols, "n_cols");
        *structure = new nitrix_structure(narrowed(array), n_cols);
    });
}

static nitrix::Array read_indices(const DLTensor *tensor, const char *name, int rank) {
    using namespace nitrix;
    Array array;
    read_array(tensor, name, true, array);
    const std::string where = std::string("argument '") + name + "': ";
    if (array.dtype != DType::i32 && array.dtype != DType::i64)
        refuse_type(where + "dtype is " + dtype_name(array.dtype) + ", must be int32 or int64");
    if (array.rank != rank)
        refuse_value(where + "has " + std::to_string(array.rank) + " dimensions, must have " + std::to_string(rank));
    return array;
}

extern "C" nitrix_status nitrix_structure_create_ragged(const DLTensor *indices, const DLTensor *counts,
                                                        const DLTensor *buckets, int64_t n_cols,
                                                        nitrix_structure **structure) {
    return nitrix::guarded([&] {
        using namespace nitrix;
        if (!structure)
            refuse_value("nitrix_structure_create_ragged: structure is NULL");
        if (n_cols < 0 || n_cols > INT32_MAX)
            refuse_value("nitrix_structure_create_ragged: n_cols is " + std::to_string(n_cols) +
                         ", must be between 0 and 2147483647");
        const Array flat = read_indices(indices, "indices", 1), rows = read_indices(counts, "counts", 1);
        if (!can_plan(flat.shape[0], 1, n_cols) || rows.shape[0] > INT32_MAX)
            refuse(NITRIX_ERROR_UNSUPPORTED,
                   "nitrix_structure_create_ragged: entries and rows must be below 2147483648");
        check_index_array(flat, "argument 'indices'", n_cols, "n_cols");
        check_counts("argument 'counts'", rows, flat.shape[0]);
        std::vector<int32_t> numbers;
        if (buckets) {
            const Array given = narrowed(read_indices(buckets, "buckets", 1));
            if (given.shape[0] != rows.shape[0])
                refuse_value("argument 'buckets': has " + std::to_string(given.shape[0]) + " elements, must have " +
                             std::to_string(rows.shape[0]) + ", one for each row");
            for (int64_t i = 0; i < given.shape[0]; ++i)
                numbers.push_back(reinterpret_cast<const int32_t *>(given.data)[i * given.strides[0]]);
        }
        *structure = new nitrix_structure(narrowed(flat), narrowed(rows), std::move(numbers), n_cols);
    });
}

extern "C" void nitrix_structure_destroy(nitrix_structure *structure) { delete structure; }

extern "C" const DLTensor *nitrix_structure_indices(const nitrix_structure *structure) {
    return structure ? &structure->tensor() : nullptr;
}
