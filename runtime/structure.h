// Index structures: what nitrix_structure_create checks and copies.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "array.h"
#include "plan.h"

namespace nitrix {

// Refuses counts that are negative or do not add up to as many entries as there are indices.
void check_counts(const std::string &where, const Array &counts, int64_t entries);

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
