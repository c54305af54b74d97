// Runs a bound call: answers sizes of zero, collapses the batch, hands Halide its buffers.
#include <HalideRuntime.h>

#include <climits>
#include <cstring>

#include "call.h"
#include "dispatch.h"
#include "error.h"
#include "halide_hooks.h"
#include "pack.h"
#include "run.h"

namespace nitrix {

thread_local const char *last_variant = "";

namespace {

// The leading dimensions of a call with one stride per array, neighbours merged where every array allows it.
struct Batch {
    int rank = 0;
    int64_t extent[max_rank];
    int64_t stride[max_arguments][max_rank];
};

Batch collapse_batch(const Call &call) {
    Batch batch;
    const int n = call.op->n_arguments;
    for (int d = 0; d < call.batch_rank; ++d) {
        if (call.batch[d] == 1)
            continue;
        int64_t step[max_arguments];
        for (int i = 0; i < n; ++i) {
            const Array &a = call.arrays[i];
            const int at = d - (call.batch_rank - (a.rank - call.op->arguments[i].rank));
            step[i] = at < 0 || a.shape[at] == 1 ? 0 : a.strides[at];
        }
        bool joins = batch.rank > 0;
        for (int i = 0; joins && i < n; ++i)
            joins = batch.stride[i][batch.rank - 1] == step[i] * call.batch[d];
        const int r = joins ? batch.rank - 1 : batch.rank++;
        batch.extent[r] = call.batch[d] * (joins ? batch.extent[r] : 1);
        for (int i = 0; i < n; ++i)
            batch.stride[i][r] = step[i];
    }
    return batch;
}

halide_type_t halide_type(DType dtype) {
    switch (dtype) {
    case DType::f32:
        return {halide_type_float, 32, 1};
    case DType::f64:
        return {halide_type_float, 64, 1};
    case DType::i32:
        return {halide_type_int, 32, 1};
    case DType::i64:
        return {halide_type_int, 64, 1};
    case DType::u8:
        return {halide_type_uint, 8, 1};
    }
    return {halide_type_float, 32, 1};
}

struct Buffers {
    halide_buffer_t buffer[max_arguments];
    halide_dimension_t dims[max_arguments][max_core + 1];
    int32_t scalars[max_dims];
};

// Kernels index with 32 bits: an extent or the reach of a stride beyond that is refused before any write.
int32_t to_32_bits(const Call &call, int argument, int64_t value) {
    if (value > INT32_MAX || value < INT32_MIN)
        refuse(NITRIX_ERROR_UNSUPPORTED, std::string(call.op->name) + ": argument '" +
                                             call.op->arguments[argument].name + "': a size or stride of " +
                                             std::to_string(value) + " elements exceeds the kernels' 32-bit indices");
    return static_cast<int32_t>(value);
}

// One buffer per argument: core dimensions innermost first, then the batch.
void fill_buffers(const Call &call, const Batch &batch, Buffers &out) {
    for (int i = 0; i < call.op->n_arguments; ++i) {
        const Array &a = call.arrays[i];
        const int core = call.op->arguments[i].rank;
        int64_t reach = 0;
        for (int c = 0; c < core; ++c) {
            const int d = a.rank - 1 - c;
            const int64_t step = a.shape[d] == 1 ? 1 : a.strides[d]; // one element has any stride
            out.dims[i][c] = {0, to_32_bits(call, i, a.shape[d]), to_32_bits(call, i, step), 0};
            reach += (a.shape[d] - 1) * (a.strides[d] < 0 ? -a.strides[d] : a.strides[d]);
        }
        const int last = batch.rank - 1;
        const int64_t items = batch.rank ? batch.extent[last] : 1, step = batch.rank ? batch.stride[i][last] : 0;
        reach += (items - 1) * (step < 0 ? -step : step);
        to_32_bits(call, i, (reach + 1) * dtype_bytes(a.dtype));
        out.dims[i][core] = {0, to_32_bits(call, i, items), to_32_bits(call, i, step), 0};
        halide_buffer_t &b = out.buffer[i];
        b = halide_buffer_t();
        b.host = reinterpret_cast<uint8_t *>(a.data);
        b.type = halide_type(a.dtype);
        b.dimensions = core + 1;
        b.dim = out.dims[i];
    }
    for (int i = 0; i < call.op->n_derived; ++i)
        out.scalars[i] = static_cast<int32_t>(call.dims[call.op->n_dims + i]); // the shape rule keeps them in range
}

// A kernel takes the user context, inputs, scalars, outputs.
void launch(const Variant &variant, Buffers &buffers, const Op &op, KernelContext &kernel) {
    void *context = &kernel;
    void *arguments[1 + max_arguments + max_dims] = {&context};
    int n = 1;
    for (int i = 0; i < op.n_inputs; ++i)
        arguments[n++] = &buffers.buffer[i];
    for (int i = 0; i < op.n_derived; ++i)
        arguments[n++] = &buffers.scalars[i];
    for (int i = op.n_inputs; i < op.n_arguments; ++i)
        arguments[n++] = &buffers.buffer[i];
    const int status = variant.kernel(arguments);
    if (status == 0)
        return;
    if (status == halide_error_code_out_of_memory)
        refuse(NITRIX_ERROR_MEMORY, std::string(variant.id) + ": out of scratch memory; the output is incomplete");
    refuse(NITRIX_ERROR_INTERNAL, std::string(variant.id) + ": code " + std::to_string(status) + ": " + kernel.error +
                                      "; the output may be incomplete");
}

template <typename T> void fill_typed(const Array &a, double value) {
    int64_t index[max_rank] = {};
    char *at = a.data;
    for (;;) {
        *reinterpret_cast<T *>(at) = static_cast<T>(value);
        int d = a.rank - 1;
        for (; d >= 0; --d) {
            at += a.strides[d] * static_cast<int64_t>(sizeof(T));
            if (++index[d] < a.shape[d])
                break;
            at -= a.strides[d] * static_cast<int64_t>(sizeof(T)) * a.shape[d];
            index[d] = 0;
        }
        if (d < 0)
            return;
    }
}

void fill(const Array &a, double value) {
    if (a.empty())
        return;
    switch (a.dtype) {
    case DType::f32:
        return fill_typed<float>(a, value);
    case DType::f64:
        return fill_typed<double>(a, value);
    case DType::i32:
        return fill_typed<int32_t>(a, value);
    case DType::i64:
        return fill_typed<int64_t>(a, value);
    case DType::u8:
        return fill_typed<uint8_t>(a, value);
    }
}

// One launch per item of the outer batch dimensions; the kernel loops over the innermost.
void run_kernels(const Call &call, const Variant &variant, KernelContext &kernel) {
    const Batch batch = collapse_batch(call);
    Buffers buffers;
    fill_buffers(call, batch, buffers);
    const size_t mark = kernel.workspace_used;
    int64_t index[max_rank] = {};
    for (;;) {
        kernel.workspace_used = mark;
        launch(variant, buffers, *call.op, kernel);
        int d = batch.rank - 2;
        for (; d >= 0; --d) {
            ++index[d];
            const int64_t steps = index[d] < batch.extent[d] ? 1 : 1 - batch.extent[d];
            for (int i = 0; i < call.op->n_arguments; ++i)
                buffers.buffer[i].host += batch.stride[i][d] * steps * dtype_bytes(call.arrays[i].dtype);
            if (steps == 1)
                break;
            index[d] = 0;
        }
        if (d < 0)
            return;
    }
}

// Sizes of zero need no kernel: no output at all, or the identity of an empty reduction.
bool answer_zero_size(const Call &call) {
    bool reduced_away = false;
    for (int d = 0; d < call.op->n_dims; ++d)
        reduced_away |= call.dims[d] == 0;
    bool no_output = true;
    for (int i = call.op->n_inputs; i < call.op->n_arguments; ++i)
        no_output &= call.arrays[i].empty();
    if (!reduced_away && !no_output)
        return false;
    for (int i = call.op->n_inputs; i < call.op->n_arguments; ++i)
        fill(call.arrays[i], call.algebra < 0 ? 0 : algebras[call.algebra].identity);
    last_variant = "none";
    return true;
}

} // namespace

void run_variant(const Call &original, const Variant &variant) {
    install_halide_hooks();
    const KeepDenormals mode;
    KernelContext kernel;
    kernel.context = original.options.context;
    kernel.threads = original.options.threads;
    kernel.workspace = original.options.workspace;
    kernel.workspace_size = original.options.workspace_size;
    if (packed_bytes(original)) {
        const PackedOutputs packed(original, kernel);
        run_kernels(packed.call, variant, kernel);
        packed.store();
    } else {
        run_kernels(original, variant, kernel);
    }
    count_served(variant);
    last_variant = variant.id;
}

size_t workspace_bytes(const Call &call) {
    for (int d = 0; d < call.op->n_dims; ++d)
        if (call.dims[d] == 0)
            return 0;
    const int64_t scratch = choose(call).variant->scratch_bytes(call.dims) + packed_bytes(call);
    constexpr int64_t bookkeeping = 256, buffers = 8; // headers, alignment and slack of each buffer of a kernel
    return scratch ? static_cast<size_t>(scratch + bookkeeping * buffers) : 0;
}

void run(const Call &call) {
    if (answer_zero_size(call))
        return;
    const Choice choice = choose(call);
    if (choice.fallback)
        report_fallback(call, choice);
    run_variant(call, *choice.variant);
}

} // namespace nitrix

extern "C" const char *nitrix_last_variant(void) { return nitrix::last_variant; }
