#include "dispatch.h"

#include <atomic>
#include <cstring>
#include <memory>

#include "cpu_features.h"
#include "environment.h"
#include "error.h"
#include "pack.h"
#include "run.h"

namespace nitrix {

bool machine_has(int target) {
    static const std::unique_ptr<bool[]> has = [] {
        auto all = std::make_unique<bool[]>(n_targets);
        for (int t = 0; t < n_targets; ++t) {
            all[t] = true;
            for (int f = 0; f < targets[t].n_cpu_features; ++f)
                all[t] &= cpu_has(targets[t].cpu_features[f]);
        }
        return all;
    }();
    return has[target];
}

static bool is_naive(const Variant &v) { return targets[v.target].priority == 0; }
static bool is_fused(const Variant &v) { return targets[v.target].rounding[0] == 'f'; }

static bool is_disabled(const Variant &v) {
    for (const std::string &part : environment().disabled)
        if (std::strstr(v.id, part.c_str()))
            return true;
    return false;
}

int64_t kernel_bytes(const Variant &v, const Call &call) {
    int64_t strided = 0;
    for (int i = 0; i < call.op->n_arguments; ++i)
        if (!has_unit_inner_stride(call, i))
            strided |= int64_t{1} << i;
    return v.scratch_bytes(call.dims, call.batch_size(), call.options.threads, strided);
}

int64_t scratch_of(const Variant &v, const Call &call) {
    if (call.op->serve) {
        const int64_t helpers = call.op->serve_bytes(call, v);
        if (helpers != not_served)
            return helpers;
    }
    const int64_t kernel = kernel_bytes(v, call);
    const int64_t after = call.op->finish ? call.op->finish_bytes(call, v) : 0;
    int64_t sum = 0;
    if (kernel < 0 || after < 0)
        return -1;
    const bool overflow = __builtin_add_overflow(kernel, packed_bytes(call), &sum);
    return __builtin_add_overflow(sum, after, &sum) || overflow ? INT64_MAX : sum;
}

Refusal judge(const Variant &v, const Call &call) {
    const Options &options = call.options;
    if (!machine_has(v.target))
        return Refusal::cpu;
    if (options.variant) {
        if (options.variant != &v)
            return Refusal::unnamed;
        return v.applies && !v.applies(call.dims) ? Refusal::condition : Refusal::none;
    }
    if (targets[v.target].reference)
        return Refusal::reference;
    if (v.tolerance != 0)
        return Refusal::inexact;
    if (v.applies && !v.applies(call.dims))
        return Refusal::condition;
    if (is_naive(v))
        return Refusal::none; // what everything falls back to cannot be switched off
    if (options.backend && !std::strcmp(options.backend, "naive"))
        return Refusal::backend;
    if (options.mode == NITRIX_MODE_OFF)
        return Refusal::mode;
    const Environment &env = environment();
    if (env.target >= 0 && targets[v.target].priority > targets[env.target].priority)
        return Refusal::target;
    if (options.reproducible && !is_fused(v) && (v.algebra < 0 || algebras[v.algebra].rounds))
        return Refusal::rounding;
    if (!env.disabled.empty() && is_disabled(v))
        return Refusal::disabled;
    const uint64_t budget = options.budget;
    if (budget) {
        const int64_t scratch = scratch_of(v, call);
        if (scratch < 0)
            return Refusal::unknown;
        if (static_cast<uint64_t>(scratch) > budget)
            return Refusal::budget;
    }
    return Refusal::none;
}

const char *refusal_name(Refusal refusal) {
    static const char *const names[] = {"none",     "cpu",       "target",   "backend", "mode",
                                        "rounding", "condition", "disabled", "budget",  "unknown",
                                        "inexact",  "reference", "unnamed"};
    return names[static_cast<int>(refusal)];
}

std::string refusal_sentence(const Variant &v, Refusal refusal, const Call &call) {
    const Target &target = targets[v.target];
    switch (refusal) {
    case Refusal::none:
        return "serves the call";
    case Refusal::cpu: {
        std::string missing;
        for (int f = 0; f < target.n_cpu_features; ++f)
            if (!cpu_has(target.cpu_features[f]))
                missing += std::string(" ") + target.cpu_features[f];
        return "this processor lacks" + missing;
    }
    case Refusal::target:
        return std::string("NITRIX_TARGET=") + targets[environment().target].name + " excludes it";
    case Refusal::backend:
        return "backend naive was asked for";
    case Refusal::mode:
        return "mode off: only the generic implementation";
    case Refusal::rounding:
        return std::string("reproducible: its rounding class is ") + target.rounding;
    case Refusal::condition:
        return std::string("serves only shapes with ") + v.condition;
    case Refusal::disabled:
        return "NITRIX_DISABLE names it";
    case Refusal::budget:
        return "needs " + std::to_string(scratch_of(v, call)) + " bytes of scratch memory, the budget is " +
               std::to_string(call.options.budget);
    case Refusal::unknown:
        return "its scratch memory is not known from shapes alone, and there is a budget of " +
               std::to_string(call.options.budget);
    case Refusal::inexact:
        return "its tolerance is not 0: it runs only when named";
    case Refusal::reference:
        return "the reference of its rounding class: it runs only when named";
    case Refusal::unnamed:
        return "another variant was named";
    }
    return "";
}

bool is_loss(const Variant &v, Refusal refusal) {
    if (is_naive(v))
        return false;
    switch (refusal) {
    case Refusal::disabled:
    case Refusal::budget:
    case Refusal::unknown:
    case Refusal::rounding:
        return true;
    case Refusal::target: // the user's own limit; below it, everything is as asked
    case Refusal::cpu:
    case Refusal::condition:
    case Refusal::backend:
    case Refusal::mode:
    case Refusal::unnamed:
    case Refusal::inexact:
    case Refusal::reference:
    case Refusal::none:
        break;
    }
    return false;
}

int wanted_target() {
    const int limit = environment().target;
    int best = 0;
    for (int t = 0; t < n_targets; ++t)
        if (machine_has(t) && (limit < 0 || targets[t].priority <= targets[limit].priority) &&
            targets[t].priority > targets[best].priority)
            best = t;
    return best;
}

Choice choose(const Call &call) {
    const Cell rows = cell(call.op_index, call.algebra, call.dtype);
    const char *backend = call.options.backend;
    bool loss = backend && !std::strcmp(backend, "cuda");
    for (int r = rows.first; r < rows.first + rows.count; ++r) {
        const Variant &v = variants[r];
        const Refusal refusal = judge(v, call);
        if (refusal != Refusal::none) {
            loss |= is_loss(v, refusal);
            continue;
        }
        if (call.options.variant)
            return {&v, false};
        const bool asked_for_naive =
            (backend && !std::strcmp(backend, "naive")) || call.options.mode == NITRIX_MODE_OFF;
        static const int wanted = wanted_target();
        const bool lower = !asked_for_naive && targets[v.target].priority < targets[wanted].priority;
        return {&v, loss || lower};
    }
    const Variant *named = call.options.variant;
    if (named && (named->op != call.op_index || named->algebra != call.algebra || named->dtype != call.dtype))
        refuse_value(std::string("options: variant: '") + named->id + "' does not serve " + call.op->name + " with " +
                     call.algebra_name() + " " + dtype_name(call.dtype));
    if (named)
        refuse(NITRIX_ERROR_UNSUPPORTED, std::string("options: variant: '") + named->id + "' cannot serve this call: " +
                                             refusal_sentence(*named, judge(*named, call), call));
    refuse(NITRIX_ERROR_INTERNAL, std::string(call.op->name) + ": no variant serves this call");
}

static std::atomic<int64_t> *counters() {
    static const std::unique_ptr<std::atomic<int64_t>[]> all = [] {
        auto counts = std::make_unique<std::atomic<int64_t>[]>(n_variants);
        for (int i = 0; i < n_variants; ++i)
            counts[i] = 0;
        return counts;
    }();
    return all.get();
}

void count_served(const Variant &v) { counters()[&v - variants].fetch_add(1, std::memory_order_relaxed); }
int64_t times_served(const Variant &v) { return counters()[&v - variants].load(std::memory_order_relaxed); }

} // namespace nitrix
