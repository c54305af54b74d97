#include "pack.h"

#include <cstring>

#include "error.h"
#include "scratch.h"

namespace nitrix {

bool has_unit_inner_stride(const Call &call, int argument) {
    const Array &a = call.arrays[argument];
    if (!a.given)
        return true;
    const int core = call.op->arguments[argument].rank;
    int d = a.rank - 1;
    // A kernel of a shape rule may take one channel for none: then the axis before it is the innermost.
    while (call.op->shape && d > a.rank - core && a.shape[d] <= 1)
        --d;
    return core == 0 || a.shape[d] <= 1 || a.strides[d] == 1;
}

int64_t packed_bytes(const Call &call) {
    int64_t bytes = 0;
    for (int i = call.op->n_inputs; i < call.op->n_arguments; ++i)
        if (!has_unit_inner_stride(call, i))
            bytes += call.arrays[i].elements() * dtype_bytes(call.arrays[i].dtype);
    return bytes;
}

PackedOutputs::PackedOutputs(const Call &original, KernelContext &kernel)
    : call(original), original_(original), kernel_(kernel) {
    for (int i = call.op->n_inputs; i < call.op->n_arguments; ++i) {
        if (has_unit_inner_stride(call, i))
            continue;
        Array &a = call.arrays[i];
        copies_[i] = scratch_allocate(kernel, static_cast<size_t>(make_compact(a)) * dtype_bytes(a.dtype));
        if (!copies_[i])
            refuse(NITRIX_ERROR_MEMORY, std::string(call.op->name) +
                                            ": no memory for a compact copy of the strided output '" +
                                            call.op->arguments[i].name + "'");
        a.data = static_cast<char *>(copies_[i]);
    }
}

PackedOutputs::~PackedOutputs() {
    for (int i = max_arguments; i-- > 0;)
        scratch_release(kernel_, copies_[i]);
}

template <typename T> static void copy_rows(const Array &to, const Array &from) {
    const int last = to.rank - 1;
    const int64_t width = to.shape[last], step = to.strides[last], pace = from.strides[last];
    const T *source = reinterpret_cast<const T *>(from.data);
    T *target = reinterpret_cast<T *>(to.data);
    int64_t index[max_rank] = {};
    for (;;) {
        for (int64_t i = 0; i < width; ++i)
            target[i * step] = source[i * pace];
        int d = last - 1;
        for (; d >= 0; --d) {
            target += to.strides[d];
            source += from.strides[d];
            if (++index[d] < to.shape[d])
                break;
            target -= to.strides[d] * to.shape[d];
            source -= from.strides[d] * to.shape[d];
            index[d] = 0;
        }
        if (d < 0)
            return;
    }
}

void copy_elements(const Array &to, const Array &from) {
    if (to.empty())
        return;
    switch (dtype_bytes(from.dtype)) {
    case 1:
        return copy_rows<uint8_t>(to, from);
    case 2:
        return copy_rows<uint16_t>(to, from);
    case 4:
        return copy_rows<uint32_t>(to, from);
    default:
        return copy_rows<uint64_t>(to, from);
    }
}

void PackedOutputs::store() const {
    for (int i = call.op->n_inputs; i < call.op->n_arguments; ++i)
        if (copies_[i])
            copy_elements(original_.arrays[i], call.arrays[i]);
}

} // namespace nitrix
