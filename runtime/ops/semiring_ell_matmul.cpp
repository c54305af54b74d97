// A product with the indices of a structure follows the structure's plan: section after section, the rows of each in an
// order that suits the cache, each stored where the caller wants it.
#include <algorithm>
#include <optional>

#include "ell.h"
#include "pack.h"
#include "past_caches.h"
#include "run.h"
#include "scratch.h"
#include "structure.h"

namespace nitrix {

namespace {

enum { values, indices, B, C };

// One argument's item of the batch, without leading dimensions.
Array item_of(const Call &call, int argument, const int64_t *index) {
    Array a = call.arrays[argument];
    const int leading = a.rank - 2;
    for (int d = 0; d < leading; ++d)
        if (a.shape[d] != 1)
            a.data += index[call.batch_rank - leading + d] * a.strides[d] * dtype_bytes(a.dtype);
    std::copy(a.shape + leading, a.shape + a.rank, a.shape);
    std::copy(a.strides + leading, a.strides + a.rank, a.strides);
    a.rank = 2;
    return a;
}

// Whether rows that are best walked as they stand follow a plan nevertheless: only its kernel stores what it makes past
// the caches, which takes 0.55 to 0.65 of the time (with 16 registers 0.75 to 1.27). In rows of several blocks of k,
// padding between entries counts without a plan alone, so bits would depend on where the result lies.
bool plans_for_stores(const Call &call, const Variant &variant) {
    constexpr int64_t block = 256, wide_tile = 512;
    if (call.dims[1] > block || !can_plan(call.dims[0], call.dims[1], call.dims[2]))
        return false;
    const int64_t index[max_rank] = {}, columns = wide_tile / dtype_bytes(call.dtype);
    Array tile = item_of(call, C, index);
    tile.shape[1] = std::min(tile.shape[1], columns);
    return goes_past_caches(tile) && columns_of_tile(call.algebra, call.dtype, targets[variant.target]) == columns;
}

const Plan *plan_of(const Call &call, const Variant &variant) {
    const Structure *const structure =
        call.has_data && call.arrays[indices].rank == 2 ? find_structure(call.arrays[indices]) : nullptr;
    if (!structure)
        return nullptr;
    return !structure->forward() && plans_for_stores(call, variant) ? &structure->by_row() : structure->forward();
}

} // namespace

bool serve_semiring_ell_matmul(const Call &call, const Variant &variant, KernelContext &kernel) {
    const Plan *const plan = plan_of(call, variant);
    if (!plan || packed_bytes(call)) // then once more, with compact outputs
        return false;
    std::optional<Scratch> copy;
    if (!in_one_row(call.arrays[values]))
        copy.emplace(kernel, call.dims[0] * call.dims[1] * dtype_bytes(call.dtype));
    int64_t index[max_rank] = {};
    for (;;) {
        Array row = item_of(call, values, index);
        row = copy ? copy_to_row(row, copy->data()) : as_row(row);
        for (const Plan::Section &section : plan->sections) {
            const Array arrays[] = {row,
                                    section_slots(*plan, section),
                                    section_indices(*plan, section),
                                    section_rows(*plan, section),
                                    item_of(call, B, index),
                                    item_of(call, C, index)};
            run_helper(call, variant, "semiring_ell_rows", arrays, kernel);
        }
        int d = call.batch_rank - 1;
        for (; d >= 0; --d) {
            if (++index[d] < call.batch[d])
                break;
            index[d] = 0;
        }
        if (d < 0)
            return true;
    }
}

int64_t serve_bytes_semiring_ell_matmul(const Call &call, const Variant &variant) {
    // Compact copies of the output and of the values, and the row that each thread is making.
    const int64_t copy = in_one_row(call.arrays[values]) ? 0 : call.dims[0] * call.dims[1];
    const int64_t elements = copy + call.options.threads * call.dims[3];
    return plan_of(call, variant) ? packed_bytes(call) + elements * dtype_bytes(call.dtype) : not_served;
}

} // namespace nitrix
