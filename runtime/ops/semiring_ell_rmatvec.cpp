// The transposed product: Y[n, :] = reduce over the entries (i, k) with indices[i, k] = n, in the order of i and then
// k, of combine(values[i, k], X[i, :]). By the plan of the transposed structure: no two threads meet in a row of Y.
#include "ell.h"
#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

enum { values, indices, X, Y };

void rmatvec(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    if (x[Y].empty())
        return;
    if (call.is_empty()) {
        if (!o.dry)
            fill(x[Y], algebras[call.algebra].identity);
        return;
    }
    const BroadcastSum all(call, x[Y], 2);
    Plans plans(o, call, x[indices], call.dims[call.op->indirect_axis], true);
    RowOfValues row(o, x[values]);
    const OutputInParts output(o, x[Y]);
    for (int64_t item = 0; item < (o.dry ? 1 : all.items()); ++item) {
        const auto at = [&](int argument) { return all.item_of_term(x[argument], 2, item, 0); };
        each_section(plans.of(at(indices)), [&](const Array &slots, const Array &sources, const Array &rows) {
            o.call_in_part("semiring_ell_rows", call.algebra,
                           {row.of(at(values)), slots, sources, rows, at(X), output.of(at(Y))});
        });
        output.store(at(Y));
    }
}

} // namespace

extern const Composition compose_semiring_ell_rmatvec;
const Composition compose_semiring_ell_rmatvec = Composed<rmatvec>::composition;

} // namespace nitrix
