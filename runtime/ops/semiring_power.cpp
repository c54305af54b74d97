// C = A^n by repeated squaring, the bits of n from the highest on: each squares what there is, and a 1 multiplies it by
// A. Two matrices in turn hold it, C and one of the same size, so that the last product ends in C.
#include "pack.h"
#include "run.h"
#include "square.h"

namespace nitrix {

namespace {

void copy(Orchestrator &o, const Call &call, const Array &from, const Array &to) {
    if (call.dtype == DType::u8) // any byte but 0 is true
        merge_states(o, call.algebra, from, from, to);
    else if (!o.dry)
        copy_elements(to, from);
}

void power(Orchestrator &o, const Call &call) {
    const Array &a = call.arrays[0], &c = call.arrays[1];
    const int64_t n = attribute(call, "n").i;
    if (c.empty())
        return;
    if (n == 0) {
        if (!o.dry) {
            fill(c, algebras[call.algebra].identity);
            fill(diagonal_of(c), unit_of(call.algebra));
        }
        return;
    }
    if (n == 1)
        return copy(o, call, a, c);
    const int bits = 64 - __builtin_clzll(static_cast<uint64_t>(n));
    int left = bits - 1 + __builtin_popcountll(static_cast<uint64_t>(n)) - 1; // products
    const Array other = left > 1 ? o.scratch(call.dtype, c.shape, c.rank) : c;
    Array held = a;
    const auto multiply = [&](const Array &by) {
        const Array &target = --left % 2 ? other : c;
        o.call("semiring_matmul", call.algebra, {held, by, target});
        held = target;
    };
    for (int bit = bits - 2; bit >= 0; --bit) {
        multiply(held);
        if (n >> bit & 1)
            multiply(a);
        if (o.dry) // all products are of one size
            return;
    }
}

} // namespace

extern const Composition compose_semiring_power;
const Composition compose_semiring_power = Composed<power>::composition;

} // namespace nitrix
