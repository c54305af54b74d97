// C = semiring_matmul(A, B) of a tropical algebra, and for each entry the smallest k that attains it: the product
// carries its winning blocks, which are then searched. To carry k itself through the inner loop would double the
// product's time.
#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

void argmax(Orchestrator &o, const Call &call) {
    const Array &a = call.arrays[0], &b = call.arrays[1], &c = call.arrays[2], &index = call.arrays[3];
    if (c.empty())
        return;
    if (a.empty()) { // nothing to reduce
        if (!o.dry) {
            fill(c, algebras[call.algebra].identity);
            fill(index, -1);
        }
        return;
    }
    const Array block = o.scratch(DType::i32, c.shape, c.rank);
    o.call("semiring_matmul_carry", call.algebra, {a, b, c, block});
    o.call("semiring_matmul_refine", call.algebra, {a, b, c, block, index});
}

} // namespace

extern const Composition compose_semiring_matmul_argmax;
const Composition compose_semiring_matmul_argmax = Composed<argmax>::composition;

} // namespace nitrix
