#include "storage.h"

#include <algorithm>

#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

// Conversions go through memory in its own order: a transposed operand stays one.
bool is_transposed(const Array &a) {
    return a.rank >= 2 && a.strides[a.rank - 2] == 1 && a.strides[a.rank - 1] != 1 && a.shape[a.rank - 1] != 1;
}

// The result that a gradient reads was rounded when it was stored, so that no term equals it: it is computed once more.
void compute_again(Orchestrator &o, const Call &call, Array *wide) {
    const Op &forward = ops[call.op->forward];
    int64_t shape[max_rank] = {};
    int rank = 0;
    Array &result = wide[forward.n_inputs];
    for (int i = 0; i < forward.n_inputs; ++i)
        rank = std::max(rank, wide[i].rank - forward.arguments[i].rank);
    std::fill(shape, shape + rank, 1);
    for (int i = 0; i < forward.n_inputs; ++i)
        for (int d = 0, own = wide[i].rank - forward.arguments[i].rank; d < own; ++d)
            if (wide[i].shape[d] != 1)
                shape[rank - own + d] = wide[i].shape[d];
    const int core = forward.arguments[forward.n_inputs].rank;
    std::copy(result.shape + result.rank - core, result.shape + result.rank, shape + rank);
    result = o.scratch(DType::f32, shape, rank + core);
    o.call(forward.name, call.algebra, wide, call.attributes);
}

void compute(Orchestrator &o, const Call &call) {
    const bool again = call.op->forward >= 0 && algebras[call.algebra].passing != Passing::linear;
    const int stored_result = again ? ops[call.op->forward].n_inputs : -1;
    Array wide[max_arguments];
    for (int i = 0; i < call.op->n_arguments; ++i) {
        const bool is_input = i < call.op->n_inputs;
        const Array &own = call.arrays[i];
        wide[i] = own;
        if (!own.given || own.dtype != call.dtype || i == stored_result)
            continue;
        const bool flip = is_input && is_transposed(own);
        const Array stored = flip ? transposed(own) : own;
        wide[i] = o.scratch(DType::f32, stored.shape, stored.rank);
        if (is_input && !stored.empty())
            o.call("semiring_widen", -1, {stored, wide[i]});
        if (flip)
            wide[i] = transposed(wide[i]);
    }
    if (again)
        compute_again(o, call, wide);
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
