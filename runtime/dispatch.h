// Which variant serves a call, and why the others do not.
#pragma once

#include "call.h"

namespace nitrix {

// Why a variant was passed over.
enum class Refusal {
    none,
    cpu,       // the processor lacks a feature
    target,    // above NITRIX_TARGET
    backend,   // another backend was asked for
    mode,      // mode off: only the generic implementation
    rounding,  // reproducible: another rounding class was asked for
    condition, // the shape is not of its class
    disabled,  // NITRIX_DISABLE
    budget,    // over the context's memory budget
    unknown,   // there is a budget, and its scratch memory is not known from shapes
    inexact,   // its tolerance is not 0
    reference, // what verify compares with
    unnamed,   // another variant was named
};

const char *refusal_name(Refusal refusal);
std::string refusal_sentence(const Variant &variant, Refusal refusal, const Call &call);

Refusal judge(const Variant &variant, const Call &call);

// Whether passing over a variant means that the caller gets less than the machine and the request allow.
bool is_loss(const Variant &variant, Refusal refusal);

// What the kernel itself holds at most; negative: not known.
int64_t kernel_bytes(const Variant &variant, const Call &call);

// Scratch bytes that the call needs at most if the variant serves it, compact copies of outputs included; negative: not
// known.
int64_t scratch_of(const Variant &variant, const Call &call);

struct Choice {
    const Variant *variant;
    bool fallback; // something better was wanted: tell
};

// Throws NITRIX_ERROR_UNSUPPORTED where a named variant cannot serve the call.
Choice choose(const Call &call);

// Emits the warning of a fallback, once per (function, shapes, dtype, backend); throws when strict.
void report_fallback(const Call &call, const Choice &choice);

// Whether this machine runs a target's code.
bool machine_has(int target);

// The best target that this process may use: what a caller expects to be served by.
int wanted_target();

void count_served(const Variant &variant);
int64_t times_served(const Variant &variant);

} // namespace nitrix
