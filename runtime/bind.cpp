// From the arguments of the C ABI to a Call: names, dtypes, the op's shape rule, broadcasting, overlap.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "call.h"
#include "environment.h"
#include "error.h"
#include "indices.h"

namespace nitrix {

static std::string where(const Op &op, const char *argument) {
    return std::string(op.name) + ": argument '" + argument + "': ";
}

static std::string algebra_names(int op, DType dtype) {
    std::string names;
    for (int a = 0; a < n_algebras; ++a)
        if (serves(op, a, dtype))
            names += (names.empty() ? "" : ", ") + std::string(algebras[a].name);
    return names;
}

static std::string op_names() {
    std::string names;
    for (int o = 0; o < n_ops; ++o)
        if (!ops[o].internal)
            names += (names.empty() ? "" : ", ") + std::string(ops[o].name);
    return names;
}

static void read_options(const nitrix_options *given, Options &out) {
    const Environment &env = environment();
    nitrix_options options = NITRIX_OPTIONS_INIT;
    if (given) {
        // The first release's struct is the least that any caller can have.
        constexpr size_t least = sizeof(nitrix_options);
        if (given->size < least || given->size > 4096)
            refuse_value("options: size is " + std::to_string(given->size) + ", must be sizeof(nitrix_options) (" +
                         std::to_string(least) + ")");
        std::memcpy(&options, given, sizeof options);
    }
    const int mode = raw_enum(options.mode);
    out.context = options.context ? options.context : &default_context();
    const char *backend = options.backend && std::strcmp(options.backend, "auto") != 0 ? options.backend : env.backend;
    if (backend && std::strcmp(backend, "auto") != 0) {
        if (std::strcmp(backend, "cpu") != 0 && std::strcmp(backend, "cuda") != 0 && std::strcmp(backend, "naive") != 0)
            refuse_value((backend == env.backend ? "NITRIX_BACKEND: " : "options: backend: ") +
                         unknown_name(backend, "auto, cpu, cuda, naive"));
        out.backend = backend;
    } else {
        out.backend = nullptr;
    }
    if (!env.error.empty())
        refuse_value(env.error);
    out.variant = nullptr;
    if (options.variant && !(out.variant = find_variant(options.variant)))
        refuse_value("options: variant: no variant is called '" + std::string(options.variant) +
                     "', nitrix_info() lists them");
    if (mode < NITRIX_MODE_DEFAULT || mode > NITRIX_MODE_VERIFY)
        refuse_value("options: mode is " + std::to_string(mode) + ", must be a nitrix_mode (0 to 3)");
    out.mode = mode == NITRIX_MODE_DEFAULT ? env.mode : static_cast<nitrix_mode>(mode);
    if (env.strict_check && out.mode == NITRIX_MODE_ON)
        out.mode = NITRIX_MODE_VERIFY;
    if (options.flags & ~NITRIX_REPRODUCIBLE)
        refuse_value("options: flags is " + std::to_string(options.flags) + ", known bits: NITRIX_REPRODUCIBLE (1)");
    out.reproducible = (options.flags & NITRIX_REPRODUCIBLE) || env.reproducible;
    if (options.threads < 0)
        refuse_value("options: threads is " + std::to_string(options.threads) + ", must be 0 (default) or more");
    out.threads_asked = options.threads ? options.threads : out.context->threads;
    out.threads = out.context->parallel_for ? out.threads_asked : std::min(out.threads_asked, pool_threads());
    if (options.workspace && reinterpret_cast<uintptr_t>(options.workspace) % 64)
        refuse_value("options: workspace is not 64-byte aligned");
    out.workspace = static_cast<char *>(options.workspace);
    out.workspace_size = options.workspace ? options.workspace_size : 0;
}

static void read_attributes(Call &call, const nitrix_attribute *attributes, int n) {
    const Op &op = *call.op;
    call.algebra = -1;
    if (n < 0 || (n > 0 && !attributes))
        refuse_value(std::string(op.name) + ": attributes is NULL");
    const char *semiring = nullptr;
    for (int i = 0; i < n; ++i) {
        const nitrix_attribute &a = attributes[i];
        if (op.has_algebra && a.name && !std::strcmp(a.name, "semiring")) {
            if (raw_enum(a.kind) != NITRIX_ATTRIBUTE_STRING)
                refuse_type(where(op, "semiring") + "must be a string");
            semiring = a.s;
            if (!semiring)
                refuse_value(where(op, "semiring") + unknown_name(nullptr, algebra_names(call.op_index, call.dtype)));
        } else {
            std::string known = op.has_algebra ? "semiring" : "";
            for (int k = 0; k < op.n_attributes; ++k)
                known += std::string(known.empty() ? "" : ", ") + op.attributes[k].name;
            refuse_value(std::string(op.name) + ": attribute: " + unknown_name(a.name, known));
        }
    }
    if (!op.has_algebra)
        return;
    if (!semiring)
        semiring = "real";
    call.algebra = find_algebra(semiring);
    if (call.algebra < 0)
        refuse_value(where(op, "semiring") + unknown_name(semiring, algebra_names(call.op_index, call.dtype)));
    for (int r = 0; r < op.n_refusals; ++r)
        if (!std::strcmp(op.refusals[r].algebra, semiring))
            refuse_type(where(op, "semiring") + "got '" + semiring + "': " + op.refusals[r].reason);
    if (!serves(call.op_index, call.algebra, call.dtype)) {
        const std::string served = algebra_names(call.op_index, call.dtype);
        refuse_type(std::string(op.name) + ": semiring '" + semiring + "' has no " + dtype_name(call.dtype) +
                    " form; with this dtype: " + (served.empty() ? "none" : served));
    }
}

static void bind_dtype(Call &call) {
    const Op &op = *call.op;
    int first = -1;
    call.dtype = DType::f32;
    for (int i = 0; i < op.n_arguments; ++i) {
        const Argument &a = op.arguments[i];
        if (!call.arrays[i].given)
            continue;
        const DType got = call.arrays[i].dtype;
        if (a.dtype == index_dtype) {
            if (got != DType::i32 && got != DType::i64)
                refuse_type(where(op, a.name) + "dtype is " + dtype_name(got) + ", must be int32 or int64");
        } else if (a.dtype >= 0) {
            if (got != static_cast<DType>(a.dtype))
                refuse_type(where(op, a.name) + "dtype is " + dtype_name(got) + ", must be " +
                            dtype_name(static_cast<DType>(a.dtype)));
        } else if (first < 0) {
            first = i;
            call.dtype = got;
        } else if (got != call.dtype) {
            refuse_type(where(op, a.name) + "dtype is " + dtype_name(got) + ", must be " + dtype_name(call.dtype) +
                        " like argument '" + op.arguments[first].name + "'");
        }
    }
}

void bind_shapes(Call &call) {
    const Op &op = *call.op;
    call.batch_rank = 0;
    for (int d = 0; d < op.n_dims; ++d)
        call.dims[d] = -1;
    int owner[max_dims] = {};
    for (int i = 0; i < op.n_arguments; ++i) {
        const Argument &a = op.arguments[i];
        const Array &array = call.arrays[i];
        if (!array.given)
            continue;
        const int leading = array.rank - a.rank;
        if (leading < 0)
            refuse_value(where(op, a.name) + "has shape " + shape_text(array.shape, array.rank) +
                         ", must have at least " + std::to_string(a.rank) + " dimensions (signature " + op.signature +
                         ")");
        for (int c = 0; c < a.rank; ++c) {
            const int d = a.dims[c];
            const int64_t size = array.shape[leading + c];
            if (call.dims[d] < 0) {
                call.dims[d] = size;
                owner[d] = i;
            } else if (call.dims[d] != size) {
                refuse_value(where(op, a.name) + "has shape " + shape_text(array.shape, array.rank) +
                             ", its dimension '" + op.dims[d] + "' must be " + std::to_string(call.dims[d]) +
                             " as in argument '" + op.arguments[owner[d]].name + "' (signature " + op.signature + ")");
            }
        }
        if (i < op.n_inputs && leading > call.batch_rank)
            call.batch_rank = leading;
    }
    for (int d = 0; d < call.batch_rank; ++d)
        call.batch[d] = 1;
    for (int i = 0; i < op.n_inputs; ++i) {
        const Array &array = call.arrays[i];
        if (!array.given)
            continue;
        const int leading = array.rank - op.arguments[i].rank;
        for (int d = 0; d < leading; ++d) {
            int64_t &size = call.batch[call.batch_rank - leading + d];
            if (size == 1)
                size = array.shape[d];
            else if (array.shape[d] != 1 && array.shape[d] != size)
                refuse_value(where(op, op.arguments[i].name) + "has shape " + shape_text(array.shape, array.rank) +
                             ", its leading dimensions must broadcast with " + shape_text(call.batch, call.batch_rank));
        }
    }
    int64_t total = 1;
    bool overflow = false, zero = false;
    for (int d = 0; d < call.batch_rank; ++d) {
        zero |= call.batch[d] == 0;
        overflow |= __builtin_mul_overflow(total, call.batch[d], &total);
    }
    if (overflow && !zero)
        refuse_value(std::string(op.name) + ": the broadcast leading dimensions overflow");
    for (int i = op.n_inputs; i < op.n_arguments; ++i) {
        const Array &array = call.arrays[i];
        const int leading = array.rank - op.arguments[i].rank, like = op.arguments[i].like;
        const int64_t *wanted = like < 0 ? call.batch : call.arrays[like].shape;
        const int wanted_rank = like < 0 ? call.batch_rank : call.arrays[like].rank - op.arguments[like].rank;
        bool same = leading == wanted_rank;
        for (int d = 0; same && d < leading; ++d)
            same = array.shape[d] == wanted[d];
        if (!same)
            refuse_value(where(op, op.arguments[i].name) + "has shape " + shape_text(array.shape, array.rank) +
                         ", its leading dimensions must be " + shape_text(wanted, wanted_rank) +
                         (like < 0 ? "" : " as in argument '" + std::string(op.arguments[like].name) + "'"));
    }
}

int op_named(const char *name) {
    const int op = name ? find_op(name) : -1;
    if (op < 0 || ops[op].internal)
        refuse_value("op: " + unknown_name(name, op_names()));
    return op;
}

void bind_call(const Request &request, bool has_data, Call &call) {
    const Op &op = ops[request.op];
    const int n = request.n_arrays;
    call.op_index = request.op;
    call.op = &op;
    call.has_data = has_data;
    if (!request.arrays || n != op.n_arguments)
        refuse_value(std::string(op.name) + ": got " + std::to_string(request.arrays ? n : 0) + " arrays, must be " +
                     std::to_string(op.n_arguments));
    for (int i = 0; i < n; ++i) {
        if (!request.arrays[i] && op.arguments[i].optional) {
            call.arrays[i].given = false;
            continue;
        }
        try {
            read_array(request.arrays[i], op.arguments[i].name, has_data, call.arrays[i]);
        } catch (Error &error) {
            error.message = std::string(op.name) + ": " + error.message;
            throw;
        }
    }
    bind_dtype(call);
    read_attributes(call, request.attributes, request.n_attributes);
    bind_shapes(call);
    read_options(request.options, call.options);
    if (op.indirect_axis >= 0 && has_data)
        check_indices(call);
    narrow_indices(call);
    if (!has_data)
        return;
    for (int o = op.n_inputs; o < n; ++o) {
        const char *const name = op.arguments[o].name;
        try {
            check_no_self_overlap(call.arrays[o], name);
            for (int i = 0; i < o; ++i)
                if (call.arrays[i].given)
                    check_disjoint(call.arrays[o], name, call.arrays[i], op.arguments[i].name);
        } catch (Error &error) {
            error.message = std::string(op.name) + ": " + error.message;
            throw;
        }
    }
}

std::string signature_text(const Call &call) {
    std::string text;
    for (int i = 0; i < call.op->n_inputs; ++i)
        if (call.arrays[i].given)
            text += (i ? "," : "") + shape_text(call.arrays[i].shape, call.arrays[i].rank);
    return text;
}

} // namespace nitrix
