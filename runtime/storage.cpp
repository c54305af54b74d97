#include "storage.h"

#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

// Conversions go through memory in its own order: a transposed operand stays one.
bool is_transposed(const Array &a) {
    return a.rank >= 2 && a.strides[a.rank - 2] == 1 && a.strides[a.rank - 1] != 1 && a.shape[a.rank - 1] != 1;
}

void compute(Orchestrator &o, const Call &call) {
    Array wide[max_arguments];
    for (int i = 0; i < call.op->n_arguments; ++i) {
        const bool is_input = i < call.op->n_inputs;
        const Array &own = call.arrays[i];
        wide[i] = own;
        if (!own.given || own.dtype != call.dtype)
            continue;
        const bool flip = is_input && is_transposed(own);
        const Array stored = flip ? transposed(own) : own;
        wide[i] = o.scratch(DType::f32, stored.shape, stored.rank);
        if (is_input && !stored.empty())
            o.call("semiring_widen", -1, {stored, wide[i]});
        if (flip)
            wide[i] = transposed(wide[i]);
    }
    o.call(call.op->name, call.algebra, wide, call.attributes);
    const char *const served_by = last_variant;
    for (int i = call.op->n_inputs; i < call.op->n_arguments; ++i)
        if (wide[i].given && wide[i].dtype != call.arrays[i].dtype && !wide[i].empty())
            o.call("semiring_narrow", -1, {wide[i], call.arrays[i]});
    last_variant = served_by;
}

} // namespace

const Composition computed_in_float32 = Composed<compute>::composition;

} // namespace nitrix
