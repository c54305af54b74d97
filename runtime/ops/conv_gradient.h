// What the two halves of semiring_conv_vjp share: its arguments, and the forms of a gradient.
#pragma once

#include "orchestrate.h"

namespace nitrix::conv_gradient {

enum { X, K, Y, dY, dX, dK };
constexpr int axes = 3, of_x = axes + 1, of_k = axes + 2; // core dimensions: the arrays are padded to three axes

inline int64_t size_of(const Call &call, int argument, int core) {
    return call.dims[call.op->arguments[argument].dims[core]];
}

// Each operand's gradient by its kernel: terms weighed by what the algebra's derivative says.
void weighted(Orchestrator &o, const Call &call);

// LOG in one of its two forms, `weighted` or by a REAL convolution where it is exact; nothing computed before says
// which one a dry run would take.
void log_sums(Orchestrator &o, const Call &call, bool lowered);

} // namespace nitrix::conv_gradient
