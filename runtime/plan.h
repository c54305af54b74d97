// Plans: in which order kernels walk the rows of a sparse matrix.
#pragma once

#include <cstdint>
#include <vector>

#include "array.h"

namespace nitrix {

// Rows of a result in an order that suits the cache, in sections whose rows have about as many entries: the kernel
// semiring_ell_rows computes one section after the other.
struct Plan {
    struct Section {
        int64_t row, rows;    // in `rows`
        int64_t entry, depth; // in `slots`, and how many entries a row has
        int64_t index, apart; // in `indices`: where the first row begins, and how far apart rows are, `depth` or more
        bool side_by_side;    // whether those of each row lie side by side: then only the first is in `slots`
    };
    std::vector<Section> sections;
    std::vector<int32_t> rows;
    std::vector<int32_t> slots;   // positions in the caller's values
    std::vector<int32_t> indices; // -1: padding. Behind those of a row, if there are more: look_ahead

    // Behind the indices of each row, columns that rows soon after it are the first to name: what its kernel asks of
    // memory, where the others are in the cache by then. `n`: columns in all.
    void look_ahead(int64_t n);
    static constexpr int64_t rows_ahead = 24; // that is: enough to outlast the latency of memory
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

// How many sources are fetched if each is fetched once in every window of rows, in `order` (empty: their own).
int64_t fetches(const Lists &lists, int64_t n, const std::vector<int32_t> &order);

struct Orders {
    std::vector<int32_t> rows, columns;
};

// Patches of neighbours: a patch and what surrounds it fit into the cache however wide the graph is.
Orders neighbours_first(const Lists &by_row, const Lists &by_column);

// All lists, in `order` (empty: their own), as sections: by ceil(log2(length)), or by the numbers in `buckets`.
Plan make_plan(const Lists &lists, const std::vector<int32_t> &order, const std::vector<int32_t> &bucket_of_list = {});

} // namespace nitrix
