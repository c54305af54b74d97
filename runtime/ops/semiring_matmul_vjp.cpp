// The vector-Jacobian product of semiring_matmul: dA and dB from dC. With w the weight of k in C[i, j],
//   dA[i, k] = sum over j of dC[i, j] w[i, j, k],   dB[k, j] = sum over i of dC[i, j] w[i, j, k].
// The gradient of a broadcast operand is summed over the broadcast dimensions, in their order.
#include <cstring>

#include "error.h"
#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

enum { A, B, C, dC, winner, dA, dB };

// w = b or a: two products of the same kernel, with transposed operands.
void real(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    const BroadcastSum for_a(call, x[A], 2), for_b(call, x[B], 2);
    sum_terms(o, for_a, x[dA], 2, [&](int64_t t, const Array &target) {
        o.call("semiring_matmul", call.algebra, {for_a.term(x[dC], 2, t), transposed(for_a.term(x[B], 2, t)), target});
    });
    sum_terms(o, for_b, x[dB], 2, [&](int64_t t, const Array &target) {
        o.call("semiring_matmul", call.algebra, {transposed(for_b.term(x[A], 2, t)), for_b.term(x[dC], 2, t), target});
    });
}

void vjp(Orchestrator &o, const Call &call) {
    bool empty = call.batch_size() == 0;
    for (int d = 0; d < call.op->n_dims; ++d)
        empty |= call.dims[d] == 0;
    if (empty) {
        if (!o.dry) {
            fill(call.arrays[dA], 0);
            fill(call.arrays[dB], 0);
        }
        return;
    }
    const char *const algebra = call.algebra_name();
    if (!std::strcmp(algebra, "real"))
        return real(o, call);
    refuse(NITRIX_ERROR_UNSUPPORTED, std::string(call.op->name) + ": no gradient for semiring '" + algebra + "'");
}

} // namespace

extern const Orchestration orchestrate_semiring_matmul_vjp;
const Orchestration orchestrate_semiring_matmul_vjp = Orchestrated<vjp>::orchestration;

} // namespace nitrix
