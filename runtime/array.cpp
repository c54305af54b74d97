#include "array.h"

#include <algorithm>
#include <numeric>

#include "error.h"

namespace nitrix {

static_assert(sizeof(DLDataType) == 4 && sizeof(DLDevice) == 8, "DLPack 1.0 layout");
static_assert(offsetof(DLTensor, device) == sizeof(void *) && offsetof(DLTensor, ndim) == sizeof(void *) + 8 &&
                  offsetof(DLTensor, dtype) == sizeof(void *) + 12 &&
                  offsetof(DLTensor, shape) == sizeof(void *) + 16 &&
                  offsetof(DLTensor, byte_offset) == 3 * sizeof(void *) + 16,
              "DLPack 1.0 layout");

static std::string argument(const char *name) { return std::string("argument '") + name + "': "; }

std::string shape_text(const int64_t *shape, int rank) {
    std::string text = "(";
    for (int d = 0; d < rank; ++d)
        text += (d ? "," : "") + std::to_string(shape[d]);
    return text + (rank == 1 ? ",)" : ")");
}

int64_t make_compact(Array &array) {
    int64_t elements = 1;
    for (int d = array.rank - 1; d >= 0; --d) {
        array.strides[d] = elements;
        elements *= array.shape[d];
    }
    return elements;
}

static DType read_dtype(const DLDataType &type, const char *name) {
    if (type.lanes == 1) {
        if (type.code == kDLFloat && type.bits == 32)
            return DType::f32;
        if (type.code == kDLFloat && type.bits == 64)
            return DType::f64;
        if (type.code == kDLFloat && type.bits == 16)
            return DType::f16;
        if (type.code == kDLBfloat && type.bits == 16)
            return DType::bf16;
        if (type.code == kDLInt && type.bits == 32)
            return DType::i32;
        if (type.code == kDLInt && type.bits == 64)
            return DType::i64;
        if ((type.code == kDLUInt || type.code == kDLBool) && type.bits == 8)
            return DType::u8;
        if (type.code == kDLUInt && type.bits == 32)
            return DType::u32;
    }
    static const char *const codes[] = {"int", "uint", "float", "opaque handle", "bfloat", "complex", "bool"};
    refuse_type(argument(name) + "dtype is " +
                (type.code < 7 ? codes[type.code] : "code " + std::to_string(type.code)) + std::to_string(type.bits) +
                (type.lanes == 1 ? "" : " x " + std::to_string(type.lanes)) +
                ", must be one of float16, bfloat16, float32, float64, int32, int64, uint8, uint32, bool");
}

void read_array(const DLTensor *tensor, const char *name, bool needs_data, Array &array) {
    if (!tensor)
        refuse_value(argument(name) + "is NULL, must be a DLTensor");
    array.given = true;
    const int device = raw_enum(tensor->device.device_type);
    if (device != kDLCPU && device != kDLCUDAHost)
        refuse_type(argument(name) + "lives on DLPack device " + std::to_string(device) +
                    ", must be in CPU memory (device 1)");
    array.dtype = read_dtype(tensor->dtype, name);
    array.is_bool = tensor->dtype.code == kDLBool;
    array.rank = tensor->ndim;
    if (array.rank < 0 || array.rank > max_rank)
        refuse_value(argument(name) + "has " + std::to_string(tensor->ndim) + " dimensions, must have 0 to " +
                     std::to_string(max_rank));
    if (array.rank > 0 && !tensor->shape)
        refuse_value(argument(name) + "shape is NULL");
    const int64_t size = dtype_bytes(array.dtype);
    int64_t compact = 1, low = 0, high = 0;
    bool empty = false, overflow = false;
    for (int d = 0; d < array.rank; ++d) {
        if (tensor->shape[d] < 0)
            refuse_value(argument(name) + "has shape " + shape_text(tensor->shape, array.rank) +
                         ", sizes must not be negative");
        empty |= tensor->shape[d] == 0;
    }
    for (int d = array.rank - 1; d >= 0; --d) {
        array.shape[d] = tensor->shape[d];
        // A size of 1 is never stepped over, so its stride may be any number: 0 is one that no walk can overflow with.
        array.strides[d] = array.shape[d] == 1 ? 0 : tensor->strides ? tensor->strides[d] : compact;
        if (empty)
            continue;
        int64_t reach = 0;
        overflow |= __builtin_mul_overflow(array.shape[d] - 1, array.strides[d], &reach);
        overflow |= __builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high);
        overflow |= __builtin_mul_overflow(compact, array.shape[d], &compact);
    }
    int64_t bytes = 0;
    overflow |= __builtin_mul_overflow(high, size, &bytes) || __builtin_mul_overflow(low, size, &bytes) ||
                __builtin_mul_overflow(compact, size, &bytes);
    if (overflow)
        refuse_value(argument(name) + "has shape " + shape_text(tensor->shape, array.rank) +
                     " and strides that reach beyond the address space");
    array.data = static_cast<char *>(tensor->data);
    if (array.data)
        array.data += tensor->byte_offset;
    if (needs_data && !empty) {
        if (!array.data)
            refuse_value(argument(name) + "data is NULL, must point to its elements");
        if (reinterpret_cast<uintptr_t>(array.data) % static_cast<uintptr_t>(size))
            refuse_value(argument(name) + "data is not aligned to its " + std::to_string(size) + "-byte elements");
    }
}

void check_no_self_overlap(const Array &output, const char *name) {
    if (output.empty())
        return;
    // Sorted by stride, each dimension must step over all that the smaller ones reach.
    int order[max_rank] = {}, n = 0;
    for (int d = 0; d < output.rank; ++d)
        if (output.shape[d] > 1)
            order[n++] = d;
    const auto step = [&](int d) { return output.strides[d] < 0 ? -output.strides[d] : output.strides[d]; };
    std::sort(order, order + n, [&](int x, int y) { return step(x) < step(y); });
    int64_t reach = 0;
    for (int i = 0; i < n; ++i) {
        if (step(order[i]) <= reach)
            refuse_value(argument(name) + "has elements that share memory (a stride of " +
                         std::to_string(output.strides[order[i]]) + "), an output must not");
        reach += step(order[i]) * (output.shape[order[i]] - 1);
    }
}

namespace {
struct Extent {
    intptr_t low, high; // bytes, high exclusive
};
} // namespace

static Extent extent_of(const Array &a) {
    const int64_t size = dtype_bytes(a.dtype);
    Extent e = {reinterpret_cast<intptr_t>(a.data), reinterpret_cast<intptr_t>(a.data) + size};
    for (int d = 0; d < a.rank; ++d) {
        const int64_t reach = a.strides[d] * (a.shape[d] - 1) * size;
        (reach < 0 ? e.low : e.high) += reach;
    }
    return e;
}

void check_disjoint(const Array &output, const char *output_name, const Array &input, const char *input_name) {
    if (output.empty() || input.empty() || !output.data || !input.data)
        return;
    const Extent x = extent_of(output), y = extent_of(input);
    if (x.high <= y.low || y.high <= x.low)
        return;
    // Interleaved columns of one matrix: all strides share a divisor, and the starts differ by more than an element.
    int64_t step = 0;
    for (const Array *a : {&output, &input})
        for (int d = 0; d < a->rank; ++d)
            if (a->shape[d] > 1)
                step = std::gcd(step, a->strides[d] * dtype_bytes(a->dtype));
    if (step > 0) {
        const int64_t apart = (((output.data - input.data) % step) + step) % step;
        if (apart >= dtype_bytes(input.dtype) && step - apart >= dtype_bytes(output.dtype))
            return;
    }
    refuse_value(argument(output_name) + "shares memory with argument '" + input_name + "', must not overlap an input");
}

} // namespace nitrix
