// Products with rows of different lengths, given row after row: by a structure's plan, or one made for the call.
#include <optional>

#include "ell.h"
#include "error.h"
#include "indices.h"
#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

enum { values, indices, counts, right, result };

class RaggedPlan {
public:
    RaggedPlan(Orchestrator &o, const Call &call, bool transposed) {
        const Array &at = call.arrays[indices], &rows = call.arrays[counts];
        const std::string op = call.op->name;
        if (at.rank != 1 || rows.rank != 1)
            refuse_value(op + ": arguments 'indices' and 'counts' have " + std::to_string(at.rank) + " and " +
                         std::to_string(rows.rank) +
                         " dimensions: all items of a batch share one structure, so 1 each");
        const int64_t n = call.dims[call.op->indirect_axis], entries = at.shape[0], m = rows.shape[0];
        if (!can_plan(entries, 1, n) || m > INT32_MAX)
            refuse(NITRIX_ERROR_UNSUPPORTED, op + ": entries and rows must be below 2147483648");
        if (o.dry) {
            made_.emplace();
            made_->sections.push_back({0, transposed ? n : m, 0, 1, 0, 1, true});
            const int64_t bytes = 8 * (m + n + 2) + 4 * (m + n) + 24 * entries;
            o.scratch(DType::u8, &bytes, 1);
            return;
        }
        check_counts(op + ": argument 'counts'", rows, entries);
        const Structure *const structure = find_structure(at);
        if (structure && structure->has_counts(rows) && (!transposed || structure->columns() == n)) {
            plan_ = transposed ? &structure->transposed() : structure->forward();
            return;
        }
        const Lists by_row = ragged_by_row(at, rows);
        made_ = make_plan(transposed ? ragged_by_column(by_row, n) : by_row, {});
    }
    const Plan &plan() const { return plan_ ? *plan_ : *made_; }

private:
    const Plan *plan_ = nullptr;
    std::optional<Plan> made_;
};

// One row of an item's values, which are flat already.
Array flat(Array item) {
    item.shape[0] = item.shape[item.rank - 1];
    item.strides[0] = item.strides[item.rank - 1];
    item.rank = 1;
    return item;
}

template <bool transposed> void multiply(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    if (x[result].empty())
        return;
    const RaggedPlan ragged(o, call, transposed);
    if (call.is_empty()) {
        if (!o.dry)
            fill(x[result], algebras[call.algebra].identity);
        return;
    }
    const Array &v = x[values];
    const bool copies = v.shape[v.rank - 1] > 1 && v.strides[v.rank - 1] != 1;
    const Array copy = copies ? o.scratch(v.dtype, &v.shape[v.rank - 1], 1) : Array();
    const OutputInParts output(o, x[result]);
    const BroadcastSum all(call, x[result], 2);
    for (int64_t item = 0; item < (o.dry ? 1 : all.items()); ++item) {
        Array row = flat(all.item_of_term(v, 1, item, 0));
        if (copies) {
            Array column = row;
            column.rank = 2;
            column.shape[1] = 1;
            column.strides[1] = 1;
            row = o.dry ? copy : copy_to_row(column, copy.data);
        }
        const Array b = all.item_of_term(x[right], 2, item, 0), c = all.item_of_term(x[result], 2, item, 0);
        each_section(ragged.plan(), [&](const Array &slots, const Array &sources, const Array &rows) {
            o.call_in_part("semiring_ell_rows", call.algebra, {row, slots, sources, rows, b, output.of(c)});
        });
        output.store(c);
    }
}

} // namespace

extern const Composition compose_semiring_ragged_matmul, compose_semiring_ragged_rmatvec;
const Composition compose_semiring_ragged_matmul = Composed<multiply<false>>::composition;
const Composition compose_semiring_ragged_rmatvec = Composed<multiply<true>>::composition;

} // namespace nitrix
