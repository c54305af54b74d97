#pragma once

#include "call.h"

namespace nitrix {

// Runs one variant on a bound call whose sizes are all positive; returns the most scratch bytes it held at once.
int64_t run_variant(const Call &original, const Variant &variant);

// The variant's kernel alone, on a part of a call that runs.
void run_kernel(const Call &call, const Variant &variant, KernelContext &kernel);

// The dtype of a call: that of its arrays which have no dtype of their own.
DType dtype_of(const Op &op, const Array *arrays);

// Runs the row of another op that belongs to `serving`'s target: same algebra, every size positive; `arrays` in the
// helper's order, outputs with unit inner stride and all leading dimensions.
void run_helper(const Call &call, const Variant &serving, const char *op, const Array *arrays, KernelContext &kernel);
// Its scratch bytes.
int64_t helper_bytes(const Call &call, const Variant &serving, const char *op, const Array *arrays);
// What a planned op's serve_bytes says where no helper serves the call, so that its own kernel does.
constexpr int64_t not_served = -1;

// Id of what served the calling thread's latest call.
extern thread_local const char *last_variant;

// How a call is computed by calls of other ops; nullptr: variants serve it.
const Composition *composition_of(const Call &call);

// Scratch bytes of the call at most, with the bookkeeping of a caller's workspace; 0 where a size of zero needs none.
size_t workspace_bytes(const Call &call);

// Whether an op that is made of others needs more than its context's budget: then it does not run at all.
bool is_over_budget(const Call &call, size_t bytes);

// Every element of an array becomes value.
void fill(const Array &array, double value);

} // namespace nitrix
