// The library's answers about itself: info, explain, counters.
#include <cstring>

#include "cpu_features.h"
#include "dispatch.h"
#include "environment.h"
#include "error.h"
#include "json.h"
#include "pack.h"
#include "run.h"

namespace nitrix {

static void copy_out(const std::string &text, char *buffer, size_t capacity, size_t *needed) {
    if (needed)
        *needed = text.size() + 1;
    if (!buffer && capacity)
        refuse_value("text is NULL, must hold capacity bytes");
    if (!capacity)
        return;
    const size_t n = std::min(capacity - 1, text.size());
    std::memcpy(buffer, text.data(), n);
    buffer[n] = 0;
}

static void write_argument(Json &json, const Op &op, const Argument &a) {
    static const char *const roles[] = {"input", "output", "residual", "structure"};
    json.open('{').field("name", a.name).field("role", roles[static_cast<int>(a.role)]);
    const char *const dtype = a.dtype == any_dtype     ? "T"
                              : a.dtype == index_dtype ? "index"
                                                       : dtype_name(static_cast<DType>(a.dtype));
    json.field("dtype", dtype).field("doc", a.doc);
    json.field("optional", a.optional).field("like", a.like < 0 ? "" : op.arguments[a.like].name).key("dims").open('[');
    for (int d = 0; d < a.rank; ++d)
        json.value(op.dims[a.dims[d]]);
    json.close(']').key("algebras").open('['); // that have it; none: all
    for (int algebra = 0; algebra < n_algebras; ++algebra)
        if (a.algebras >> algebra & 1)
            json.value(algebras[algebra].name);
    json.close(']').close('}');
}

static void write_op(Json &json, int index) {
    const Op &op = ops[index];
    json.open('{')
        .field("name", op.name)
        .field("area", op.area)
        .field("doc", op.doc)
        .field("signature", op.signature)
        .field("shape_by_library", op.shape != nullptr)
        .field("indirect_axis", op.indirect_axis < 0 ? "" : op.dims[op.indirect_axis]);
    json.key("arguments").open('[');
    for (int i = 0; i < op.n_arguments; ++i)
        write_argument(json, op, op.arguments[i]);
    json.close(']').key("attributes").open('[');
    for (int i = 0; i < op.n_attributes; ++i)
        json.open('{')
            .field("name", op.attributes[i].name)
            .field("type", op.attributes[i].type)
            .field("doc", op.attributes[i].doc)
            .close('}');
    json.close(']').key("algebras").open('[');
    for (int a = 0; a < n_algebras; ++a) {
        bool any = false;
        for (int t = 0; t < n_dtypes; ++t)
            any |= serves(index, a, static_cast<DType>(t));
        if (any)
            json.value(algebras[a].name);
    }
    json.close(']').key("dtypes").open('[');
    for (int t = 0; t < n_dtypes; ++t) {
        bool any = false;
        for (int a = -1; a < n_algebras; ++a)
            any |= serves(index, a, static_cast<DType>(t));
        if (any)
            json.value(dtype_name(static_cast<DType>(t)));
    }
    json.close(']').close('}');
}

static std::string info() {
    Json json;
    json.open('{');
    json.field("version", std::to_string(NITRIX_VERSION_MAJOR) + "." + std::to_string(NITRIX_VERSION_MINOR) + "." +
                              std::to_string(NITRIX_VERSION_PATCH));
    json.key("features").open('[');
    for (int f = 0; known_cpu_features[f]; ++f)
        if (cpu_has(known_cpu_features[f]))
            json.value(known_cpu_features[f]);
    json.close(']').field("threads", default_context().threads).key("targets").open('[');
    for (int t = 0; t < n_targets; ++t)
        json.open('{')
            .field("name", targets[t].name)
            .field("rounding", targets[t].rounding)
            .field("priority", targets[t].priority)
            .field("runs_here", machine_has(t))
            .close('}');
    json.close(']').key("algebras").open('[');
    for (int a = 0; a < n_algebras; ++a) {
        json.open('{')
            .field("name", algebras[a].name)
            .field("strict", algebras[a].strict)
            .field("identity", algebras[a].identity)
            .field("components", algebras[a].components)
            .key("annihilator");
        if (algebras[a].has_annihilator)
            json.value(algebras[a].annihilator);
        else
            json.null();
        json.close('}');
    }
    json.close(']').key("ops").open('[');
    for (int o = 0; o < n_ops; ++o)
        if (!ops[o].internal)
            write_op(json, o);
    json.close(']').key("variants").open('[');
    for (int i = 0; i < n_variants; ++i) {
        if (ops[variants[i].op].internal)
            continue;
        const Variant &v = variants[i];
        json.open('{').field("id", v.id).field("op", ops[v.op].name);
        json.field("algebra", v.algebra < 0 ? "" : algebras[v.algebra].name).field("dtype", dtype_name(v.dtype));
        json.field("target", targets[v.target].name).field("rounding", targets[v.target].rounding);
        json.field("condition", v.condition ? v.condition : "").field("runs_here", machine_has(v.target)).close('}');
    }
    json.close(']').close('}');
    return json.text();
}

static std::string explain(const Call &call) {
    Json json;
    json.open('{').field("op", call.op->name).field("shapes", signature_text(call));
    json.field("dtype", dtype_name(call.dtype)).field("algebra", call.algebra_name());
    json.field("backend", call.options.backend ? call.options.backend : "auto").field("threads", call.options.threads);
    static const char *const modes[] = {"default", "off", "on", "verify"};
    json.field("mode", modes[call.options.mode]);
    const bool zero = call.is_empty();
    if (call.op->flops)
        json.field("flops", zero ? 0.0 : call.op->flops(call.dims) * static_cast<double>(call.batch_size()));
    if (const Composition *composition = composition_of(call)) {
        const size_t bytes = composition->workspace_bytes(call);
        const bool refused = is_over_budget(call, bytes);
        json.field("chosen", refused ? "none" : "composed").field("fallback", false);
        json.field("scratch_bytes", static_cast<int64_t>(bytes));
        json.key("notes").open('[').value(
            call.op->composition ? "computed by calls of other ops, each of which chooses its variant"
                                 : "widened, computed in float32 and narrowed: three steps that choose their variants");
        if (refused)
            json.value("refused: the budget of scratch memory is " + std::to_string(call.options.budget) + " bytes");
        json.close(']').key("candidates").open('[').close(']').close('}');
        return json.text();
    }
    const Choice choice = choose(call);
    json.field("chosen", zero ? "none" : choice.variant->id).field("fallback", choice.fallback && !zero);
    json.field("scratch_bytes", zero ? int64_t{0} : scratch_of(*choice.variant, call));
    json.key("notes").open('[');
    if (zero)
        json.value("a size of zero is answered without a kernel");
    if (is_forked_child() && !call.options.context->parallel_for)
        json.value("the child of a fork has none of its parent's threads: the call runs on the calling one");
    else if (call.options.threads < call.options.threads_asked)
        json.value(std::to_string(call.options.threads_asked) + " threads were asked for, the pool has " +
                   std::to_string(call.options.threads));
    for (int i = call.op->n_inputs; i < call.op->n_arguments && !zero; ++i)
        if (!has_unit_inner_stride(call, i))
            json.value(std::string("output '") + call.op->arguments[i].name +
                       "' has no unit inner stride: computed into a compact copy, then stored");
    json.close(']').key("candidates").open('[');
    const Cell rows = cell(call.op_index, call.algebra, call.dtype);
    bool taken = zero;
    for (int r = rows.first; r < rows.first + rows.count; ++r) {
        const Variant &v = variants[r];
        const Refusal refusal = judge(v, call);
        const bool takes = refusal == Refusal::none && !taken;
        json.open('{').field("id", v.id).field("priority", v.priority).field("taken", takes);
        json.field("refusal", takes ? "none" : refusal == Refusal::none ? "outranked" : refusal_name(refusal));
        json.field("reason", takes                      ? refusal_sentence(v, refusal, call)
                             : refusal == Refusal::none ? std::string("a better one serves the call")
                                                        : refusal_sentence(v, refusal, call));
        json.field("scratch_bytes", scratch_of(v, call)).close('}');
        taken |= takes;
    }
    json.close(']').close('}');
    return json.text();
}

} // namespace nitrix

using namespace nitrix;

extern "C" nitrix_status nitrix_info(char *text, size_t capacity, size_t *needed) {
    return guarded([&] { copy_out(info(), text, capacity, needed); });
}

extern "C" nitrix_status nitrix_counters(char *text, size_t capacity, size_t *needed) {
    return guarded([&] {
        Json json;
        json.open('{');
        for (int i = 0; i < n_variants; ++i)
            if (times_served(variants[i]))
                json.field(variants[i].id, times_served(variants[i]));
        copy_out(json.close('}').text(), text, capacity, needed);
    });
}

extern "C" nitrix_status nitrix_explain(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                        const nitrix_attribute *attributes, int32_t n_attributes,
                                        const nitrix_options *options, char *text, size_t capacity, size_t *needed) {
    return guarded([&] {
        Call call;
        bind_call({op_named(op), arrays, n_arrays, attributes, n_attributes, options}, false, call);
        copy_out(explain(call), text, capacity, needed);
    });
}
