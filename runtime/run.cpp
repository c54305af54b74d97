// Runs a bound call: answers sizes of zero, collapses the batch, hands Halide its buffers.
#include <HalideRuntime.h>

#include <algorithm>
#include <new>

#include "call.h"
#include "dispatch.h"
#include "error.h"
#include "halide_hooks.h"
#include "pack.h"
#include "prefetch.h"
#include "run.h"
#include "scratch.h"
#include "storage.h"
#include "verify.h"

namespace nitrix {

thread_local const char *last_variant = "";

template <typename T> static void fill_typed(const Array &a, double value) {
    int last = a.rank - 1;
    while (last > 0 && a.shape[last] == 1) // a longer row
        --last;
    const int64_t n = last < 0 ? 1 : a.shape[last], step = last < 0 ? 1 : a.strides[last];
    int64_t index[max_rank] = {};
    T *row = reinterpret_cast<T *>(a.data);
    for (;;) {
        for (int64_t i = 0; i < n; ++i)
            row[i * step] = static_cast<T>(value);
        int d = last - 1;
        for (; d >= 0; --d) {
            row += a.strides[d];
            if (++index[d] < a.shape[d])
                break;
            row -= a.strides[d] * a.shape[d];
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
    case DType::u32:
        return fill_typed<uint32_t>(a, value);
    case DType::f16:
    case DType::bf16:
        break; // arrays of these are filled through float32
    }
}

namespace {

bool fits_32_bits(int64_t value) { return value == static_cast<int32_t>(value); }

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
            if (!a.given) {
                step[i] = 0;
                continue;
            }
            const int at = d - (call.batch_rank - (a.rank - call.op->arguments[i].rank));
            step[i] = at < 0 || a.shape[at] == 1 ? 0 : a.strides[at];
        }
        bool joins = batch.rank > 0;
        for (int i = 0; joins && i < n; ++i)
            joins = batch.stride[i][batch.rank - 1] == step[i] * call.batch[d];
        // What a kernel cannot count stays a loop of the runtime.
        joins = joins && fits_32_bits(call.batch[d] * batch.extent[batch.rank - 1]);
        const int r = joins ? batch.rank - 1 : batch.rank++;
        batch.extent[r] = call.batch[d] * (joins ? batch.extent[r] : 1);
        for (int i = 0; i < n; ++i)
            batch.stride[i][r] = step[i];
    }
    if (batch.rank > 0) {
        bool fits = fits_32_bits(batch.extent[batch.rank - 1]);
        for (int i = 0; i < n; ++i)
            fits &= fits_32_bits(batch.stride[i][batch.rank - 1]);
        if (!fits && batch.rank < max_rank) {
            batch.extent[batch.rank] = 1;
            for (int i = 0; i < n; ++i)
                batch.stride[i][batch.rank] = 0;
            ++batch.rank;
        }
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
    case DType::u32:
        return {halide_type_uint, 32, 1};
    case DType::f16:
        return {halide_type_float, 16, 1};
    case DType::bf16:
        return {halide_type_bfloat, 16, 1};
    }
    return {halide_type_float, 32, 1};
}

// Room for the worst case, of which fill_buffers writes what the call has: no constructor runs over the rest.
struct Buffers {
    halide_buffer_t *buffer() { return reinterpret_cast<halide_buffer_t *>(buffers); }
    halide_dimension_t *dims(int argument) { return reinterpret_cast<halide_dimension_t *>(dimensions[argument]); }
    int32_t scalars[max_dims];

private:
    alignas(halide_buffer_t) unsigned char buffers[max_arguments * sizeof(halide_buffer_t)];
    alignas(halide_dimension_t) unsigned char dimensions[max_arguments][(max_core + 1) * sizeof(halide_dimension_t)];
};

// A Halide dimension counts with 32 bits (the offsets that kernels compute from it have 64): what does not fit is
// refused before any write.
halide_dimension_t dimension(const Call &call, int argument, int64_t extent, int64_t stride) {
    if (!fits_32_bits(extent) || !fits_32_bits(stride))
        refuse(NITRIX_ERROR_UNSUPPORTED, std::string(call.op->name) + ": argument '" +
                                             call.op->arguments[argument].name + "': a size of " +
                                             std::to_string(extent) + " with a stride of " + std::to_string(stride) +
                                             " elements: each must be below 2147483648");
    return {0, static_cast<int32_t>(extent), static_cast<int32_t>(stride), 0};
}

// Rows that lie alike in lines of memory, with all that lies in theirs: what is in front of the first column has
// negative indices. A kernel that loads whole lines reads that, and uses nothing of it.
void begin_at_line(halide_buffer_t &b) {
    const int64_t bytes = b.type.bytes();
    const int64_t in_front = static_cast<int64_t>(reinterpret_cast<uintptr_t>(b.host) % line_bytes);
    bool alike = in_front % bytes == 0 && b.dim[0].stride == 1;
    for (int d = 1; d < b.dimensions; ++d)
        alike &= b.dim[d].extent == 1 || b.dim[d].stride * bytes % line_bytes == 0;
    if (!alike || in_front == 0)
        return;
    b.host -= in_front;
    b.dim[0].min = static_cast<int32_t>(-in_front / bytes);
    const int64_t all = (in_front + b.dim[0].extent * bytes + line_bytes - 1) / line_bytes * line_bytes;
    b.dim[0].extent = static_cast<int32_t>(std::min<int64_t>(all / bytes, INT32_MAX));
}

// One buffer per argument: core dimensions innermost first, then the batch.
void fill_buffers(const Call &call, const Batch &batch, Buffers &out) {
    const int last = batch.rank - 1;
    for (int i = 0; i < call.op->n_arguments; ++i) {
        const Array &a = call.arrays[i];
        if (!a.given)
            continue;
        const int core = call.op->arguments[i].rank;
        halide_dimension_t *dims = out.dims(i);
        for (int c = 0; c < core; ++c) {
            const int d = a.rank - 1 - c;
            // Of a single element the stride means nothing, and NumPy leaves anything there.
            new (dims + c) halide_dimension_t(dimension(call, i, a.shape[d], a.shape[d] == 1 ? 1 : a.strides[d]));
        }
        new (dims + core) halide_dimension_t(batch.rank ? dimension(call, i, batch.extent[last], batch.stride[i][last])
                                                        : halide_dimension_t{0, 1, 0, 0});
        halide_buffer_t &b = *new (out.buffer() + i) halide_buffer_t();
        b.host = reinterpret_cast<uint8_t *>(a.data);
        b.type = halide_type(a.dtype);
        b.dimensions = core + 1;
        b.dim = dims;
        if (call.op->arguments[i].in_lines && batch.rank <= 1) // how items of other dimensions lie is not known here
            begin_at_line(b);
    }
    for (int i = 0; i < call.op->n_derived; ++i)
        out.scalars[i] = static_cast<int32_t>(call.dims[call.op->n_dims + i]); // the shape rule keeps them in range
}

// A kernel takes the user context, inputs, scalars, outputs: those that the call's algebra has.
void launch(const Call &call, const Variant &variant, Buffers &buffers, KernelContext &kernel) {
    void *context = &kernel;
    void *arguments[1 + max_arguments + max_dims];
    int n = 0;
    arguments[n++] = &context;
    const auto add = [&](int first, int last) {
        for (int i = first; i < last; ++i)
            if (call.arrays[i].given)
                arguments[n++] = buffers.buffer() + i;
    };
    add(0, call.op->n_inputs);
    for (int i = 0; i < call.op->n_derived; ++i)
        arguments[n++] = buffers.scalars + i;
    add(call.op->n_inputs, call.op->n_arguments);
    const int status = variant.kernel(arguments);
    if (status == 0)
        return;
    if (status == halide_error_code_out_of_memory)
        refuse(NITRIX_ERROR_MEMORY, std::string(variant.id) + ": out of scratch memory; the output is incomplete");
    refuse(NITRIX_ERROR_INTERNAL, std::string(variant.id) + ": code " + std::to_string(status) + ": " + kernel.error +
                                      "; the output may be incomplete");
}

} // namespace

// One launch per item of the outer batch dimensions; the kernel loops over the innermost.
void run_kernel(const Call &call, const Variant &variant, KernelContext &kernel) {
    const Batch batch = collapse_batch(call);
    Buffers buffers;
    fill_buffers(call, batch, buffers);
    int64_t index[max_rank];
    std::fill_n(index, batch.rank, 0);
    for (;;) {
        launch(call, variant, buffers, kernel);
        int d = batch.rank - 2;
        for (; d >= 0; --d) {
            ++index[d];
            const int64_t steps = index[d] < batch.extent[d] ? 1 : 1 - batch.extent[d];
            for (int i = 0; i < call.op->n_arguments; ++i)
                if (call.arrays[i].given)
                    buffers.buffer()[i].host += batch.stride[i][d] * steps * dtype_bytes(call.arrays[i].dtype);
            if (steps == 1)
                break;
            index[d] = 0;
        }
        if (d < 0)
            return;
    }
}

namespace {

void run_and_finish(const Call &call, const Variant &variant, KernelContext &kernel) {
    if (call.op->serve && call.op->serve(call, variant, kernel))
        return;
    run_kernel(call, variant, kernel);
    if (call.op->finish)
        call.op->finish(call, variant, kernel);
}

// Sizes of zero need no kernel: no output at all, or the identity of an empty reduction.
bool answer_zero_size(const Call &call) {
    bool no_output = true;
    for (int i = call.op->n_inputs; i < call.op->n_arguments; ++i)
        no_output &= !call.arrays[i].given || call.arrays[i].empty();
    if (!call.has_empty_core() && !no_output)
        return false;
    for (int i = call.op->n_inputs; i < call.op->n_arguments; ++i)
        if (call.arrays[i].given) // An index into nothing is -1.
            fill(call.arrays[i], call.op->arguments[i].dtype == static_cast<int>(DType::i32) ? -1
                                 : call.algebra < 0                                          ? 0
                                                    : algebras[call.algebra].identity);
    last_variant = "none";
    return true;
}

} // namespace

int64_t run_variant(const Call &original, const Variant &variant) {
    install_halide_hooks();
    const KeepDenormals mode;
    KernelContext kernel;
    kernel.context = original.options.context;
    kernel.threads = original.options.threads;
    kernel.workspace.memory = original.options.workspace;
    kernel.workspace.size = original.options.workspace_size;
    if (packed_bytes(original)) {
        if (original.op->serve && original.op->serve(original, variant, kernel)) // writes where they lie
            return kernel.peak_bytes.load(std::memory_order_relaxed);
        const PackedOutputs packed(original, kernel);
        run_and_finish(packed.call, variant, kernel);
        packed.store();
    } else {
        run_and_finish(original, variant, kernel);
    }
    return kernel.peak_bytes.load(std::memory_order_relaxed);
}

DType dtype_of(const Op &op, const Array *arrays) {
    int i = 0;
    while (i < op.n_arguments - 1 && (op.arguments[i].dtype != any_dtype || !arrays[i].given))
        ++i;
    return arrays[i].dtype;
}

// The helper's call and the variant that serves it.
static const Variant &bind_helper(const Call &call, const Variant &serving, const char *op, const Array *arrays,
                                  Call &helper) {
    helper.op_index = find_op(op);
    helper.op = &ops[helper.op_index];
    helper.algebra = call.algebra;
    helper.dtype = dtype_of(*helper.op, arrays);
    helper.has_data = call.has_data;
    helper.batch_rank = 0;
    helper.options = call.options;
    for (int i = 0; i < helper.op->n_arguments; ++i) {
        const Argument &a = helper.op->arguments[i];
        helper.arrays[i] = arrays[i];
        if (!arrays[i].given)
            continue;
        const int leading = arrays[i].rank - a.rank;
        for (int d = 0; d < a.rank; ++d)
            helper.dims[a.dims[d]] = arrays[i].shape[leading + d];
        if (i < helper.op->n_inputs)
            continue;
        // Its outputs have all leading dimensions.
        helper.batch_rank = leading;
        std::copy(arrays[i].shape, arrays[i].shape + leading, helper.batch);
    }
    if (helper.op->n_derived) // an op of the same shape rule
        std::copy_n(call.dims + call.op->n_dims, helper.op->n_derived, helper.dims + helper.op->n_dims);
    const Cell rows = cell(helper.op_index, helper.algebra, helper.dtype);
    for (int r = rows.first; r < rows.first + rows.count; ++r)
        if (variants[r].target == serving.target && (!variants[r].applies || variants[r].applies(helper.dims)))
            return variants[r];
    refuse(NITRIX_ERROR_UNSUPPORTED, std::string(serving.id) + ": this build lacks " + op + " for " +
                                         targets[serving.target].name + "; the output is incomplete");
}

void run_helper(const Call &call, const Variant &serving, const char *op, const Array *arrays, KernelContext &kernel) {
    Call helper;
    const Variant &variant = bind_helper(call, serving, op, arrays, helper);
    if (!(helper.op->internal && helper.op->serve && helper.op->serve(helper, variant, kernel)))
        run_kernel(helper, variant, kernel);
    count_served(variant);
}

int64_t helper_bytes(const Call &call, const Variant &serving, const char *op, const Array *arrays) {
    Call helper;
    const Variant &variant = bind_helper(call, serving, op, arrays, helper);
    return scratch_of(variant, helper);
}

const Composition *composition_of(const Call &call) {
    const uint32_t stored = call.op->storage_dtypes >> static_cast<int>(call.dtype) & 1;
    return stored ? &computed_in_float32 : call.op->composition;
}

size_t workspace_bytes(const Call &call) {
    if (const Composition *composition = composition_of(call))
        return composition->workspace_bytes(call);
    if (call.has_empty_core())
        return 0;
    const Variant &variant = *choose(call).variant;
    const int64_t scratch = scratch_of(variant, call);
    if (scratch < 0)
        refuse(NITRIX_ERROR_UNSUPPORTED, std::string(call.op->name) + ": the scratch memory of " + variant.id +
                                             " is not known from shapes alone");
    return scratch ? static_cast<size_t>(scratch) + scratch_overhead * scratch_blocks(call.options.threads) : 0;
}

bool is_over_budget(const Call &call, size_t bytes) { return call.options.budget && bytes > call.options.budget; }

// The kernels that an op is made of fall back to what needs less; the arrays between them have no other form.
static void check_composed_budget(const Call &call, const Composition &composition) {
    if (!call.options.budget)
        return;
    const size_t bytes = composition.workspace_bytes(call);
    if (is_over_budget(call, bytes))
        refuse(NITRIX_ERROR_MEMORY, std::string(call.op->name) + ": needs " + std::to_string(bytes) +
                                        " bytes of scratch memory, the context's budget is " +
                                        std::to_string(call.options.budget));
}

void run(const Call &call) {
    if (const Composition *composition = composition_of(call)) {
        if (call.options.variant && call.op->composition)
            refuse_value(std::string("options: variant: ") + call.op->name +
                         " is made of several ops; choose by backend or mode");
        check_composed_budget(call, *composition);
        composition->run(call);
        return;
    }
    if (answer_zero_size(call))
        return;
    const Choice choice = choose(call);
    if (choice.fallback)
        report_fallback(call, choice);
    if (call.options.mode == NITRIX_MODE_VERIFY)
        run_verified(call, *choice.variant);
    else
        run_variant(call, *choice.variant);
    count_served(*choice.variant);
    last_variant = choice.variant->id;
}

} // namespace nitrix

extern "C" const char *nitrix_last_variant(void) { return nitrix::last_variant; }
