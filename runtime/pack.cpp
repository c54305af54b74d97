#include "pack.h"

#include <algorithm>
#include <cstdlib>

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

// The dimension along which an array's elements lie nearest to each other.
static int nearest_dimension(const Array &a) {
    int nearest = a.rank - 1;
    const auto step = [&](int d) { return a.shape[d] > 1 ? std::abs(a.strides[d]) : INT64_MAX; };
    for (int d = a.rank - 1; d >= 0; --d)
        if (step(d) < step(nearest))
            nearest = d;
    return nearest;
}

// Rows along the last dimension, columns along the one before. In blocks: each line of memory is met once.
template <typename T> static void copy_matrix(T *target, const T *source, const Array &to, const Array &from) {
    const int last = to.rank - 1;
    const int64_t columns = to.shape[last], step = to.strides[last], pace = from.strides[last];
    const bool is_dense = step == 1 && pace == 1;
    constexpr int64_t rows_of_block = 64 / sizeof(T);
    const int64_t columns_of_block = is_dense ? columns : 64;
    const int64_t rows = last ? to.shape[last - 1] : 1;
    for (int64_t first_row = 0; first_row < rows; first_row += rows_of_block)
        for (int64_t first = 0; first < columns; first += columns_of_block)
            for (int64_t row = first_row; row < std::min(first_row + rows_of_block, rows); ++row) {
                T *const into = target + (last ? row * to.strides[last - 1] : 0);
                const T *const out_of = source + (last ? row * from.strides[last - 1] : 0);
                const int64_t end = std::min(first + columns_of_block, columns);
                if (is_dense)
                    std::copy(out_of + first, out_of + end, into + first);
                else
                    for (int64_t i = first; i < end; ++i)
                        into[i * step] = out_of[i * pace];
            }
}

static void move_to(Array &a, int from, int to) {
    std::rotate(a.shape + from, a.shape + from + 1, a.shape + to + 1);
    std::rotate(a.strides + from, a.strides + from + 1, a.strides + to + 1);
}

template <typename T> static void copy_matrices(Array to, Array from) {
    const int written = nearest_dimension(to), last = to.rank - 1;
    for (Array *a : {&to, &from})
        move_to(*a, written, last);
    const int read = nearest_dimension(from);
    for (Array *a : {&to, &from})
        if (read < last)
            move_to(*a, read, last - 1);
    const T *source = reinterpret_cast<const T *>(from.data);
    T *target = reinterpret_cast<T *>(to.data);
    int64_t index[max_rank] = {};
    for (;;) {
        copy_matrix(target, source, to, from);
        int d = last - 2;
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
        return copy_matrices<uint8_t>(to, from);
    case 2:
        return copy_matrices<uint16_t>(to, from);
    case 4:
        return copy_matrices<uint32_t>(to, from);
    default:
        return copy_matrices<uint64_t>(to, from);
    }
}

void PackedOutputs::store() const {
    for (int i = call.op->n_inputs; i < call.op->n_arguments; ++i)
        if (copies_[i])
            copy_elements(original_.arrays[i], call.arrays[i]);
}

} // namespace nitrix
