#include "structure.h"

#include <algorithm>
#include <climits>
#include <map>
#include <shared_mutex>
#include <unordered_map>

#include "error.h"
#include "indices.h"

namespace nitrix {

namespace {

// Rows whose sources are thought to stay in the cache together.
constexpr int64_t window = 2048;

struct Live {
    std::shared_mutex lock;
    std::unordered_map<const void *, const Structure *> structures; // by the address of their indices
};

Live &live() {
    static Live *const all = new Live; // outlives every static object of the caller
    return *all;
}

// How many sources are fetched if each is fetched once in every window of rows.
int64_t fetches(const Lists &lists, int64_t n, const std::vector<int32_t> &order) {
    std::vector<int32_t> last(static_cast<size_t>(n), -1);
    const int64_t rows = static_cast<int64_t>(lists.starts.size()) - 1;
    int64_t count = 0;
    for (int64_t r = 0; r < rows; ++r) {
        const size_t row = static_cast<size_t>(order.empty() ? r : order[static_cast<size_t>(r)]);
        for (int64_t e = lists.starts[row]; e < lists.starts[row + 1]; ++e) {
            int32_t &seen = last[static_cast<size_t>(lists.indices[static_cast<size_t>(e)])];
            count += seen != r / window;
            seen = static_cast<int32_t>(r / window);
        }
    }
    return count;
}

struct Orders {
    std::vector<int32_t> rows, columns;
};

// Patches of neighbours: breadth first from a row until there are `patch` of them, then from the row that has waited
// longest at the edge of one. A patch and what surrounds it fit into the cache however wide the graph is.
Orders neighbours_first(const Lists &by_row, const Lists &by_column) {
    constexpr size_t patch = 256;
    constexpr int64_t hub = 64; // a column with more rows is followed once: else many such would take forever
    const size_t m = by_row.starts.size() - 1, n = by_column.starts.size() - 1;
    Orders orders;
    orders.rows.reserve(m);
    orders.columns.reserve(n);
    std::vector<bool> row_seen(m), column_seen(n);
    std::vector<int32_t> waiting, near;
    size_t oldest = 0, unseen = 0;
    const auto meet = [&](size_t row) {
        if (!row_seen[row] && near.size() < 8 * patch) { // enough to go on from, however many there are
            row_seen[row] = true;
            near.push_back(static_cast<int32_t>(row));
        }
    };
    while (orders.rows.size() < m) {
        while (oldest < waiting.size() && row_seen[static_cast<size_t>(waiting[oldest])])
            ++oldest;
        while (oldest == waiting.size() && row_seen[unseen])
            ++unseen;
        near.clear();
        meet(oldest < waiting.size() ? static_cast<size_t>(waiting[oldest]) : unseen);
        size_t next = 0;
        for (; next < near.size() && next < patch; ++next) {
            const size_t row = static_cast<size_t>(near[next]);
            orders.rows.push_back(near[next]);
            for (int64_t e = by_row.starts[row]; e < by_row.starts[row + 1]; ++e) {
                const size_t column = static_cast<size_t>(by_row.indices[static_cast<size_t>(e)]);
                const int64_t first = by_column.starts[column], last = by_column.starts[column + 1];
                const bool known = column_seen[column];
                if (!known) {
                    column_seen[column] = true;
                    orders.columns.push_back(static_cast<int32_t>(column));
                }
                if (m == n) // a graph: the column is a row too
                    meet(column);
                else if (!known || last - first <= hub)
                    for (int64_t f = first; f < last; ++f)
                        meet(static_cast<size_t>(by_column.indices[static_cast<size_t>(f)]));
            }
        }
        for (; next < near.size(); ++next) {
            row_seen[static_cast<size_t>(near[next])] = false;
            waiting.push_back(near[next]);
        }
    }
    for (size_t column = 0; column < n; ++column)
        if (!column_seen[column])
            orders.columns.push_back(static_cast<int32_t>(column));
    return orders;
}

int bucket_of(int64_t length) {
    int bucket = 0;
    while ((int64_t{1} << bucket) < length)
        ++bucket;
    return bucket;
}

} // namespace

bool can_plan(int64_t m, int64_t k, int64_t n) {
    int64_t slots = 0;
    return !__builtin_mul_overflow(m, k, &slots) && slots <= INT32_MAX && n <= INT32_MAX && m <= INT32_MAX;
}

template <typename Visit> static void each_entry(const Array &indices, const Visit &visit) {
    const int64_t m = indices.shape[indices.rank - 2], k = indices.shape[indices.rank - 1];
    const int64_t down = indices.strides[indices.rank - 2], across = indices.strides[indices.rank - 1];
    const int32_t *const first = reinterpret_cast<const int32_t *>(indices.data);
    for (int64_t i = 0; i < m; ++i)
        for (int64_t e = 0; e < k; ++e)
            if (const int32_t index = first[i * down + e * across]; index >= 0)
                visit(static_cast<int32_t>(i), static_cast<int32_t>(i * k + e), index);
}

// Counting sort: entries of one list keep their order.
template <typename Key> static Lists lists_by(const Array &indices, int64_t count, bool by_row, const Key &key) {
    Lists lists;
    lists.starts.assign(static_cast<size_t>(count) + 1, 0);
    each_entry(indices, [&](int32_t row, int32_t, int32_t column) { ++lists.starts[key(row, column) + 1]; });
    for (size_t i = 0; i < static_cast<size_t>(count); ++i)
        lists.starts[i + 1] += lists.starts[i];
    lists.slots.resize(static_cast<size_t>(lists.starts.back()));
    lists.indices.resize(lists.slots.size());
    std::vector<int64_t> at(lists.starts.begin(), lists.starts.end() - 1);
    each_entry(indices, [&](int32_t row, int32_t slot, int32_t column) {
        const size_t e = static_cast<size_t>(at[key(row, column)]++);
        lists.slots[e] = slot;
        lists.indices[e] = by_row ? column : row;
    });
    return lists;
}

Lists lists_by_row(const Array &indices) {
    return lists_by(indices, indices.shape[indices.rank - 2], true,
                    [](int32_t row, int32_t) { return static_cast<size_t>(row); });
}

Lists lists_by_column(const Array &indices, int64_t n) {
    return lists_by(indices, n, false, [](int32_t, int32_t column) { return static_cast<size_t>(column); });
}

Lists ragged_by_row(const Array &indices, const Array &counts) {
    Lists lists;
    const int64_t m = counts.shape[0], entries = indices.shape[0];
    lists.starts.reserve(static_cast<size_t>(m) + 1);
    lists.starts.push_back(0);
    int64_t at = 0;
    for (int64_t i = 0; i < m; ++i) {
        const int64_t end = at + reinterpret_cast<const int32_t *>(counts.data)[i * counts.strides[0]];
        for (; at < end && at < entries; ++at) {
            const int32_t index = reinterpret_cast<const int32_t *>(indices.data)[at * indices.strides[0]];
            if (index < 0)
                continue;
            lists.slots.push_back(static_cast<int32_t>(at));
            lists.indices.push_back(index);
        }
        lists.starts.push_back(static_cast<int64_t>(lists.slots.size()));
    }
    return lists;
}

Lists ragged_by_column(const Lists &by_row, int64_t n) {
    Lists lists;
    lists.starts.assign(static_cast<size_t>(n) + 1, 0);
    for (const int32_t column : by_row.indices)
        ++lists.starts[static_cast<size_t>(column) + 1];
    for (size_t i = 0; i < static_cast<size_t>(n); ++i)
        lists.starts[i + 1] += lists.starts[i];
    lists.slots.resize(by_row.slots.size());
    lists.indices.resize(by_row.slots.size());
    std::vector<int64_t> at(lists.starts.begin(), lists.starts.end() - 1);
    for (size_t row = 0; row + 1 < by_row.starts.size(); ++row)
        for (int64_t e = by_row.starts[row]; e < by_row.starts[row + 1]; ++e) {
            const size_t to = static_cast<size_t>(at[static_cast<size_t>(by_row.indices[static_cast<size_t>(e)])]++);
            lists.slots[to] = by_row.slots[static_cast<size_t>(e)];
            lists.indices[to] = static_cast<int32_t>(row);
        }
    return lists;
}

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

Plan make_plan(const Lists &lists, const std::vector<int32_t> &order, const std::vector<int32_t> &bucket_of_list) {
    const size_t count = lists.starts.size() - 1;
    const auto list = [&](size_t i) { return order.empty() ? i : static_cast<size_t>(order[i]); };
    const auto length = [&](size_t i) { return lists.starts[i + 1] - lists.starts[i]; };
    Plan plan;
    std::map<int32_t, std::vector<int32_t>> buckets;
    for (size_t i = 0; i < count; ++i) {
        const int32_t bucket = bucket_of_list.empty() ? bucket_of(length(list(i))) : bucket_of_list[list(i)];
        buckets[bucket].push_back(static_cast<int32_t>(list(i)));
    }
    for (const auto &[number, bucket] : buckets) {
        int64_t depth = 1; // lists without entries have padding
        for (const int32_t i : bucket)
            depth = std::max(depth, length(static_cast<size_t>(i)));
        plan.sections.push_back({static_cast<int64_t>(plan.rows.size()), static_cast<int64_t>(bucket.size()),
                                 static_cast<int64_t>(plan.slots.size()), depth,
                                 static_cast<int64_t>(plan.indices.size()), depth});
        plan.rows.insert(plan.rows.end(), bucket.begin(), bucket.end());
        for (const int32_t i : bucket) {
            const auto first = lists.starts[static_cast<size_t>(i)], last = lists.starts[static_cast<size_t>(i) + 1];
            plan.slots.insert(plan.slots.end(), lists.slots.begin() + first, lists.slots.begin() + last);
            plan.indices.insert(plan.indices.end(), lists.indices.begin() + first, lists.indices.begin() + last);
            const size_t padding = static_cast<size_t>(depth - (last - first));
            plan.slots.insert(plan.slots.end(), padding, 0);
            plan.indices.insert(plan.indices.end(), padding, -1);
        }
    }
    return plan;
}

void Plan::look_ahead(int64_t n) {
    constexpr int64_t rows_ahead = 8;   // enough to outlast the latency of memory
    constexpr int64_t most_columns = 8; // for a row: of more the processor has several under way at once
    std::vector<int64_t> met(static_cast<size_t>(n), -window - 1); // where a column was last named
    std::vector<int32_t> all;
    int64_t before = 0; // rows of the sections before
    for (Section &section : sections) {
        struct First {
            int64_t row;
            int32_t column;
        };
        std::vector<First> firsts;
        const int32_t *const own = indices.data() + section.index;
        for (int64_t e = 0; e < section.rows * section.depth; ++e) {
            if (own[e] < 0)
                continue;
            const int64_t row = e / section.depth;
            int64_t &last = met[static_cast<size_t>(own[e])];
            if (before + row - last > window)
                firsts.push_back({row, own[e]});
            last = before + row;
        }
        before += section.rows;

        // A quarter more than a row needs on average. What is not fewer than its own columns would gain nothing.
        const int64_t needed = (5 * static_cast<int64_t>(firsts.size()) / 4 + section.rows - 1) / section.rows;
        const int64_t spare = needed < section.depth ? std::min(needed, most_columns) : 0;
        const size_t begin = all.size(), apart = static_cast<size_t>(section.depth + spare);
        for (int64_t row = 0; row < section.rows; ++row) {
            const int32_t *const first = own + row * section.depth;
            all.insert(all.end(), first, first + section.depth);
            all.insert(all.end(), static_cast<size_t>(spare), *first); // no gap, which would be a branch mispredicted
        }
        // From the last one: as late as there is room.
        int64_t row = section.rows, room = 0;
        for (auto first = firsts.rbegin(); spare > 0 && first != firsts.rend(); ++first) {
            if (first->row - rows_ahead < row || room == 0) {
                row = std::min(row - 1, first->row - rows_ahead);
                room = spare;
            }
            if (row < 0)
                break;
            all[begin + static_cast<size_t>(row) * apart + static_cast<size_t>(section.depth + --room)] = first->column;
        }
        section.index = static_cast<int64_t>(begin);
        section.apart = static_cast<int64_t>(apart);
    }
    indices = std::move(all);
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
