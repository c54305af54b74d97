// What the halves of semiring_matmul_vjp share: its arguments, and LOG's half.
#pragma once

#include <algorithm>
#include <type_traits>

#include "orchestrate.h"

namespace nitrix::matmul_gradient {

enum { A, B, C, dC, winner, dA, dB };

// The shape of C with every leading dimension, into `shape`.
inline int64_t *full_shape(const Call &call, int64_t *shape, int64_t rows, int64_t columns) {
    std::copy(call.batch, call.batch + call.batch_rank, shape);
    shape[call.batch_rank] = rows;
    shape[call.batch_rank + 1] = columns;
    return shape;
}

// body(step), which a step of 1 reaches as a constant: its loops become vectors.
template <typename Body> void by_step(int64_t step, const Body &body) {
    if (step == 1)
        body(std::integral_constant<int64_t, 1>());
    else
        body(step);
}

// LOG's gradient: its weights are recomputed, never stored.
void log_sums(Orchestrator &o, const Call &call);

} // namespace nitrix::matmul_gradient
