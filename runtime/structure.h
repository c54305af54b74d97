// Index structures: what nitrix_structure_create checks and copies, and the plans by which kernels walk it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "array.h"

namespace nitrix {

// Rows of a result in an order that suits the cache, in sections whose rows have about as many entries: the kernel
// semiring_ell_rows computes one section after the other.
struct Plan {
    struct Section {
        int64_t row, rows;    // in `rows`
        int64_t entry, depth; // in `slots`: rows x depth of them
        int64_t index, apart; // in `indices`: where the first row begins, and how far apart rows are, `depth` or more
    };
    std::vector<Section> sections;
    std::vector<int32_t> rows;
    std::vector<int32_t> slots;   // positions in the caller's values
    std::vector<int32_t> indices; // -1: padding. Behind those of a row, if there are more: look_ahead

    // Behind the indices of each row, columns that rows soon after it are the first to name: what its kernel asks of
    // memory, where the others are in the cache by then. `n`: columns in all.
    void look_ahead(int64_t n);
};

// Entries of a sparse matrix row by row, or column by column.
struct Lists {
    std::vector<int64_t> starts;  // of each list, and the end of the last
    std::vector<int32_t> slots;   // positions of the entries in (m, k)
    std::vector<int32_t> indices; // their columns, or rows
};

// Whether positions in (m, k) have room in a plan.
bool can_plan(int64_t m, int64_t k, int64_t n);

// The entries of one (m, k) item of valid indices, by rows, and by columns in the order of rows and then k.
Lists lists_by_row(const Array &indices);
Lists lists_by_column(const Array &indices, int64_t n);

// Those of flat indices (entries) of rows with that many entries each; of columns, the rows in which they are.
Lists ragged_by_row(const Array &indices, const Array &counts);
Lists ragged_by_column(const Lists &by_row, int64_t n);

// Refuses counts that are negative or do not add up to as many entries as there are indices.
void check_counts(const std::string &where, const Array &counts, int64_t entries);

// All lists, in `order` (empty: their own), as sections: by ceil(log2(length)), or by the numbers in `buckets`.
Plan make_plan(const Lists &lists, const std::vector<int32_t> &order, const std::vector<int32_t> &bucket_of_list = {});

class Structure {
public:
    // `indices` (..., m, k) have been checked.
    Structure(const Array &indices, int64_t n);
    // Flat `indices` of rows with `counts` entries, checked as well; `buckets` of the rows or empty.
    Structure(const Array &indices, const Array &counts, std::vector<int32_t> buckets, int64_t n);
    ~Structure();
    Structure(const Structure &) = delete;
    Structure &operator=(const Structure &) = delete;

    const DLTensor &tensor() const { return tensor_; }
    int64_t columns() const { return n_; }
    // nullptr where rows are best walked as they stand.
    const Plan *forward() const { return forward_.get(); }
    const Plan &by_row() const;     // forward(), or the rows as they stand: built once, by the first who asks
    const Plan &transposed() const; // built once, by the first who asks
    Array array() const;
    bool has_counts(const Array &counts) const; // int32: of ragged rows

private:
    void own(const Array &indices);
    void plan_forward(const Lists &by_row);
    Lists by_column() const;

    int64_t shape_[max_rank];
    int64_t n_;
    std::vector<int32_t> indices_;
    std::vector<int32_t> counts_, buckets_; // of ragged rows
    DLTensor tensor_;
    std::unique_ptr<Plan> forward_;
    mutable std::vector<int32_t> column_order_; // what suits the cache, if that was looked for
    mutable std::once_flag once_, natural_once_;
    mutable std::unique_ptr<Plan> natural_;
    mutable std::unique_ptr<Plan> transposed_;
};

// The live structure whose own indices this array is; nullptr: anyone's memory.
const Structure *find_structure(const Array &indices);

} // namespace nitrix
