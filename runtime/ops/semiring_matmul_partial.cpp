// The monoid's state after a product over a slice of k. One component: the product itself. LOG: (largest term, sum of
// exp(term - largest)), from the MAX_PLUS product and its own, which are both far faster than the streaming form.
#include "orchestrate.h"

namespace nitrix {

namespace {

void partial(Orchestrator &o, const Call &call) {
    const Array &a = call.arrays[0], &b = call.arrays[1], &state = call.arrays[2], &sum = call.arrays[3];
    if (algebras[call.algebra].components == 1) {
        o.call("semiring_matmul", call.algebra, {a, b, state});
        return;
    }
    const Array product = o.scratch(call.dtype, state.shape, state.rank);
    o.call("semiring_matmul", find_algebra("tropical_max_plus"), {a, b, state});
    o.call("semiring_matmul", call.algebra, {a, b, product});
    o.call("semiring_matmul_log_sum", call.algebra, {product, state, sum});
}

} // namespace

extern const Composition compose_semiring_matmul_partial;
const Composition compose_semiring_matmul_partial = Composed<partial>::composition;

} // namespace nitrix
