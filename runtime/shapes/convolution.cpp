// The shape of a convolution: x[..., *spatial, c_in], k[..., *window, c_in, c_out] -> y[..., *out, c_out].
#include <algorithm>
#include <climits>
#include <cstring>

#include "call.h"
#include "error.h"

namespace nitrix {

namespace {

constexpr int axes = 3;

enum Argument { image, window, result };

// Without the attribute, the kernel is taken to have no leading dimensions.
int spatial_rank(const Call &call) {
    const int64_t given = attribute(call, "spatial_rank").i;
    const int channels = call.op->arguments[window].rank - axes; // dimensions of the kernel behind its axes
    const int rank = given ? static_cast<int>(given) : call.arrays[window].rank - channels;
    if (rank < 1 || rank > axes)
        refuse_value(where(*call.op, call.op->arguments[window].name) + "has shape " +
                     shape_text(call.arrays[window].shape, call.arrays[window].rank) +
                     ", must have 1 to 3 spatial dimensions before its channels; give spatial_rank if the others are "
                     "leading dimensions");
    return rank;
}

// One entry for every axis, or one for all; outermost axis first.
int64_t entry_of_axis(const Call &call, const char *name, int rank, int axis) {
    const AttributeValue &value = attribute(call, name);
    if (value.count() != 1 && value.count() != rank)
        refuse_value(where(*call.op, name) + "has " + std::to_string(value.count()) + " entries, must have 1 or " +
                     std::to_string(rank) + ", one for each spatial dimension");
    const int64_t entry = value.entry(value.count() == 1 ? 0 : axis);
    if (entry > INT_MAX)
        refuse_value(where(*call.op, name) + "is " + std::to_string(entry) + ", must be at most 2147483647");
    return entry;
}

struct Padding {
    int64_t before, after;
};

// SAME as in XLA and TensorFlow: ceil(size / stride) positions, the odd one of the padding behind.
Padding padding_of_axis(const Call &call, int rank, int axis, int64_t size, int64_t reach, int64_t stride) {
    const AttributeValue &pads = attribute(call, "pads");
    const char *mode = attribute(call, "padding").s;
    if (pads.n) {
        if (pads.n != 2 * rank)
            refuse_value(where(*call.op, "pads") + "has " + std::to_string(pads.n) + " entries, must have " +
                         std::to_string(2 * rank) + ", before and after for each spatial dimension");
        return {pads.ints[2 * axis], pads.ints[2 * axis + 1]};
    }
    if (!std::strcmp(mode, "VALID"))
        return {0, 0};
    if (std::strcmp(mode, "SAME") != 0)
        refuse_value(where(*call.op, "padding") + unknown_name(mode, "SAME, VALID"));
    const int64_t positions = (size + stride - 1) / stride;
    const int64_t total = std::max<int64_t>((positions - 1) * stride + reach - size, 0);
    return {total / 2, total - total / 2};
}

void extents(Call &call) {
    const Op &op = *call.op;
    const int rank = call.core_rank[image] - 1, absent = axes - rank;
    // The derived dimensions: strides, dilations, positions before; outermost axis first in each.
    int64_t *const derived = call.dims + op.n_dims;
    for (int axis = 0; axis < axes; ++axis) {
        int64_t &out = call.dims[op.arguments[result].dims[axis]];
        if (axis < absent) {
            out = derived[axis] = derived[axes + axis] = 1;
            derived[2 * axes + axis] = 0;
            continue;
        }
        const int64_t size = call.dims[op.arguments[image].dims[axis]];
        const int64_t taps = call.dims[op.arguments[window].dims[axis]];
        if (taps == 0)
            refuse_value(where(op, op.arguments[window].name) + "has shape " +
                         shape_text(call.arrays[window].shape, call.arrays[window].rank) +
                         ", its spatial dimensions must be at least 1");
        const int64_t stride = entry_of_axis(call, "stride", rank, axis - absent);
        const int64_t dilation = entry_of_axis(call, "dilation", rank, axis - absent);
        int64_t reach; // positions that the dilated kernel spans
        if (__builtin_mul_overflow(taps - 1, dilation, &reach) || ++reach > INT_MAX || size > INT_MAX)
            refuse_value(where(op, "dilation") + "makes the kernel longer than 2147483647 positions");
        const Padding padding = padding_of_axis(call, rank, axis - absent, size, reach, stride);
        if (padding.before > INT_MAX / 4 || padding.after > INT_MAX / 4)
            refuse_value(where(op, "pads") + "must be at most " + std::to_string(INT_MAX / 4));
        const int64_t padded = size + padding.before + padding.after;
        // A kernel that nowhere fits has no output.
        out = padded < reach ? 0 : (padded - reach) / stride + 1;
        // Kernels count positions with 32 bits.
        if (padded > INT_MAX - reach)
            refuse(NITRIX_ERROR_UNSUPPORTED, std::string(op.name) + ": a padded axis of " + std::to_string(padded) +
                                                 " positions exceeds the kernels' 32-bit indices");
        derived[axis] = stride;
        derived[axes + axis] = dilation;
        derived[2 * axes + axis] = padding.before;
    }
}

} // namespace

extern const ShapeRule convolution_shape;
const ShapeRule convolution_shape = {spatial_rank, extents};

} // namespace nitrix
