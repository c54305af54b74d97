// The loud fallback: a slower path says so, once, or fails when the user wants it to.
#include <cstdio>
#include <cstring>
#include <mutex>
#include <unordered_set>

#include "dispatch.h"
#include "environment.h"
#include "error.h"

namespace nitrix {

static void print_warning(const nitrix_warning *warning, void *) { std::fprintf(stderr, "%s\n", warning->message); }

static std::mutex callback_mutex;
static nitrix_warning_callback callback = print_warning;
static void *callback_user = nullptr;

static bool first_time(const std::string &key) {
    static std::mutex mutex;
    static auto *seen = new std::unordered_set<std::string>; // never destroyed: calls may come during exit
    const std::lock_guard<std::mutex> lock(mutex);
    return seen->insert(key).second;
}

// The first refusal that cost the caller something, in words.
static std::string reason_of(const Call &call, const Choice &choice) {
    const char *backend = call.options.backend;
    if (backend && !std::strcmp(backend, "cuda"))
        return "this library holds no CUDA variants";
    const Cell rows = cell(call.op_index, call.algebra, call.dtype);
    for (int r = rows.first; &variants[r] != choice.variant; ++r) {
        const Refusal refusal = judge(variants[r], call);
        if (is_loss(variants[r], refusal))
            return std::string(variants[r].id) + ": " + refusal_sentence(variants[r], refusal, call);
    }
    return "no better variant of this op was built for this machine";
}

void report_fallback(const Call &call, const Choice &choice) {
    const Environment &env = environment();
    const char *backend = call.options.backend ? call.options.backend : "cpu";
    const std::string shapes = signature_text(call), reason = reason_of(call, choice);
    const std::string wanted = std::strcmp(backend, "cpu") != 0 ? backend : targets[wanted_target()].name;
    const std::string got = targets[choice.variant->target].name;
    const std::string message = std::string("NitrixBackendFallback: ") + call.op->name + " " + shapes + " " +
                                dtype_name(call.dtype) + ": wanted " + wanted + ", got " + got + ": " + reason;
    if (env.strict_backend)
        refuse(NITRIX_ERROR_FALLBACK, message + " (NITRIX_STRICT_BACKEND=1)");
    if (env.silence_fallback)
        return;
    if (!first_time(std::string(call.op->name) + "|" + shapes + "|" + dtype_name(call.dtype) + "|" + backend))
        return;
    nitrix_warning warning = {sizeof(nitrix_warning), call.op->name, shapes.c_str(), dtype_name(call.dtype),
                              wanted.c_str(),         got.c_str(),   reason.c_str(), message.c_str()};
    nitrix_warning_callback to = nullptr;
    void *user = nullptr;
    {
        const std::lock_guard<std::mutex> lock(callback_mutex);
        to = callback;
        user = callback_user;
    }
    to(&warning, user);
}

} // namespace nitrix

extern "C" void nitrix_set_warning_callback(nitrix_warning_callback callback, void *user) {
    const std::lock_guard<std::mutex> lock(nitrix::callback_mutex);
    nitrix::callback = callback ? callback : nitrix::print_warning;
    nitrix::callback_user = callback ? user : nullptr;
}
