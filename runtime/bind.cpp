// From the arguments of the C ABI to a Call: names, dtypes, the op's shape rule, broadcasting, overlap.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "attributes.h"
#include "call.h"
#include "environment.h"
#include "error.h"
#include "indices.h"

namespace nitrix {

std::string where(const Op &op, const char *argument) {
    return std::string(op.name) + ": argument '" + argument + "': ";
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
    out.budget = out.context->memory_budget;
    out.threads_asked = options.threads ? options.threads : out.context->threads;
    out.threads = out.context->parallel_for ? out.threads_asked : std::min(out.threads_asked, pool_threads());
    if (options.workspace && reinterpret_cast<uintptr_t>(options.workspace) % 64)
        refuse_value("options: workspace is not 64-byte aligned");
    out.workspace = static_cast<char *>(options.workspace);
    out.workspace_size = options.workspace ? options.workspace_size : 0;
}

// An array that only some algebras have, a component of a state, is given exactly where the call's algebra has it.
static void check_components(const Call &call, int n_arrays) {
    for (int i = 0; i < n_arrays; ++i) {
        const Argument &a = call.op->arguments[i];
        const bool has = !a.algebras || (call.algebra >= 0 && a.algebras >> call.algebra & 1);
        if (call.arrays[i].given == has || a.optional)
            continue;
        const std::string count = std::to_string(algebras[call.algebra].components);
        refuse_value(where(*call.op, a.name) +
                     (has ? "is missing (NULL or None), must be a DLTensor" : "is given, must be NULL or None") +
                     ": the state of semiring '" + call.algebra_name() + "' has " + count +
                     (algebras[call.algebra].components == 1 ? " component" : " components"));
    }
}

static void bind_dtype(Call &call, int n_arrays) {
    const Op &op = *call.op;
    int first = -1;
    call.dtype = DType::f32;
    for (int i = 0; i < n_arrays; ++i) {
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

// How many axes "*spatial" lacks in this call; the arrays' ranks follow.
static void bind_ranks(Call &call) {
    const Op &op = *call.op;
    const int rank = op.shape ? op.shape->spatial_rank(call) : 0;
    for (int i = 0; i < op.n_arguments; ++i) {
        const Argument &a = op.arguments[i];
        call.core_rank[i] = a.spatial ? a.rank - (a.spatial - rank) : a.rank;
    }
}

// Binds or checks the core dimensions of one array.
static void bind_core(Call &call, int i, int owner[]) {
    const Op &op = *call.op;
    const Argument &a = op.arguments[i];
    const Array &array = call.arrays[i];
    const int core = call.core_rank[i], leading = array.rank - core, absent = a.rank - core;
    if (leading < 0)
        refuse_value(where(op, a.name) + "has shape " + shape_text(array.shape, array.rank) + ", must have at least " +
                     std::to_string(core) + " dimensions (signature " + op.signature + ")");
    for (int c = 0; c < a.rank; ++c) {
        const int d = a.dims[c];
        const int64_t size = c < absent ? 1 : array.shape[leading + c - absent];
        if (call.dims[d] < 0) {
            call.dims[d] = size;
            owner[d] = i;
        } else if (call.dims[d] != size) {
            const std::string as_in =
                owner[d] < 0 ? "" : std::string(" as in argument '") + op.arguments[owner[d]].name + "'";
            refuse_value(where(op, a.name) + "has shape " + shape_text(array.shape, array.rank) + ", its dimension '" +
                         op.dims[d] + "' must be " + std::to_string(call.dims[d]) + as_in + " (signature " +
                         op.signature + ")");
        }
    }
}

static void bind_inputs(Call &call, int owner[]) {
    const Op &op = *call.op;
    call.batch_rank = 0;
    bind_ranks(call);
    for (int d = 0; d < op.n_dims + op.n_derived; ++d) {
        call.dims[d] = -1;
        owner[d] = -1; // the shape rule
    }
    for (int i = 0; i < op.n_inputs; ++i) {
        if (!call.arrays[i].given)
            continue;
        bind_core(call, i, owner);
        call.batch_rank = std::max(call.batch_rank, call.arrays[i].rank - call.core_rank[i]);
    }
    if (op.shape) {
        op.shape->extents(call);
        for (int i = 0; i < op.n_inputs; ++i) // of a backward, some have the shape that the rule gives
            if (call.arrays[i].given)
                bind_core(call, i, owner);
    }
    for (int d = 0; d < call.batch_rank; ++d)
        call.batch[d] = 1;
    for (int i = 0; i < op.n_inputs; ++i) {
        const Array &array = call.arrays[i];
        if (!array.given)
            continue;
        const int leading = array.rank - call.core_rank[i];
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
}

static void bind_outputs(Call &call, int owner[]) {
    const Op &op = *call.op;
    for (int i = op.n_inputs; i < op.n_arguments; ++i) {
        if (!call.arrays[i].given)
            continue;
        bind_core(call, i, owner);
        const Array &array = call.arrays[i];
        const int leading = array.rank - call.core_rank[i], like = op.arguments[i].like;
        const int64_t *wanted = like < 0 ? call.batch : call.arrays[like].shape;
        const int wanted_rank = like < 0 ? call.batch_rank : call.arrays[like].rank - call.core_rank[like];
        bool same = leading == wanted_rank;
        for (int d = 0; same && d < leading; ++d)
            same = array.shape[d] == wanted[d];
        if (!same)
            refuse_value(where(op, op.arguments[i].name) + "has shape " + shape_text(array.shape, array.rank) +
                         ", its leading dimensions must be " + shape_text(wanted, wanted_rank) +
                         (like < 0 ? "" : " as in argument '" + std::string(op.arguments[like].name) + "'"));
    }
}

void bind_shapes(Call &call) {
    int owner[max_dims];
    bind_inputs(call, owner);
    bind_outputs(call, owner);
}

int op_named(const char *name) {
    const int op = name ? find_op(name) : -1;
    if (op < 0 || ops[op].internal)
        refuse_value("op: " + unknown_name(name, op_names()));
    return op;
}

// Kernels have the highest rank: axes of one element stand for those that "*spatial" lacks.
static void pad_to_argument_rank(Call &call) {
    for (int i = 0; i < call.op->n_arguments; ++i) {
        Array &a = call.arrays[i];
        const int core = call.core_rank[i], absent = call.op->arguments[i].rank - core;
        if (!a.given || absent == 0)
            continue;
        const int leading = a.rank - core;
        if (a.rank + absent > max_rank)
            refuse_value(where(*call.op, call.op->arguments[i].name) + "has " + std::to_string(a.rank) +
                         " dimensions, must have at most " + std::to_string(max_rank - absent));
        for (int d = a.rank; d-- > leading;) {
            a.shape[d + absent] = a.shape[d];
            a.strides[d + absent] = a.strides[d];
        }
        for (int d = leading; d < leading + absent; ++d) {
            a.shape[d] = 1;
            a.strides[d] = 0;
        }
        a.rank += absent;
    }
}

Array as_given(const Call &call, int argument) {
    Array a = call.arrays[argument];
    const int rank = call.op->arguments[argument].rank, absent = rank - call.core_rank[argument];
    const int leading = a.rank - rank;
    for (int d = leading + absent; d < a.rank; ++d) {
        a.shape[d - absent] = a.shape[d];
        a.strides[d - absent] = a.strides[d];
    }
    a.rank -= absent;
    return a;
}

// Everything before the shapes; n_arrays of the arrays are read.
static void bind_start(const Request &request, int n_arrays, bool has_data, Call &call) {
    const Op &op = ops[request.op];
    call.op_index = request.op;
    call.op = &op;
    call.has_data = has_data;
    if (!request.arrays || request.n_arrays != op.n_arguments)
        refuse_value(std::string(op.name) + ": got " + std::to_string(request.arrays ? request.n_arrays : 0) +
                     " arrays, must be " + std::to_string(op.n_arguments));
    for (int i = 0; i < n_arrays; ++i) {
        if (!request.arrays[i] && (op.arguments[i].optional || op.arguments[i].algebras)) {
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
    bind_dtype(call, n_arrays);
    read_attributes(call, request.attributes, request.n_attributes);
    check_components(call, n_arrays);
}

void infer_shape(const Request &request, int output, int64_t *shape, int *rank) {
    const Op &op = ops[request.op];
    const int i = op.n_inputs + output;
    if (output < 0 || i >= op.n_arguments)
        refuse_value(std::string(op.name) + ": output is " + std::to_string(output) + ", must be from 0 to " +
                     std::to_string(op.n_arguments - op.n_inputs - 1));
    Call call;
    bind_start(request, op.n_inputs, false, call);
    int owner[max_dims];
    bind_inputs(call, owner);
    const int like = op.arguments[i].like;
    const int64_t *leading = like < 0 ? call.batch : call.arrays[like].shape;
    const int leading_rank = like < 0 ? call.batch_rank : call.arrays[like].rank - call.core_rank[like];
    const int core = call.core_rank[i], absent = op.arguments[i].rank - core;
    if (leading_rank + core > max_rank)
        refuse_value(std::string(op.name) + ": the result would have " + std::to_string(leading_rank + core) +
                     " dimensions, must have at most " + std::to_string(max_rank));
    *rank = leading_rank + core;
    std::copy(leading, leading + leading_rank, shape);
    for (int c = 0; c < core; ++c) {
        const int d = op.arguments[i].dims[absent + c];
        if (call.dims[d] < 0)
            refuse_value(std::string(op.name) + ": the inputs do not say the size of dimension '" + op.dims[d] + "'");
        shape[leading_rank + c] = call.dims[d];
    }
}

void bind_call(const Request &request, bool has_data, Call &call) {
    const Op &op = ops[request.op];
    const int n = op.n_arguments;
    bind_start(request, n, has_data, call);
    bind_shapes(call);
    read_options(request.options, call.options);
    if (op.indirect_axis >= 0 && has_data)
        check_indices(call);
    narrow_indices(call);
    for (int o = op.n_inputs; has_data && o < n; ++o) {
        const char *const name = op.arguments[o].name;
        if (!call.arrays[o].given)
            continue;
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
    if (op.shape)
        pad_to_argument_rank(call);
}

std::string signature_text(const Call &call) {
    std::string text;
    for (int i = 0; i < call.op->n_inputs; ++i) {
        if (!call.arrays[i].given)
            continue;
        const Array a = as_given(call, i);
        text += (i ? "," : "") + shape_text(a.shape, a.rank);
    }
    return text;
}

} // namespace nitrix
