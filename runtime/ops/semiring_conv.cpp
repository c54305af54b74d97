// Convolutions that have a faster form: a window of one tap is a matrix product of pixels and channels; channels with a
// kernel each, next to each other in memory, are a vector. Both reduce in the order of the convolution: the same bits.
#include <algorithm>
#include <climits>
#include <cstring>
#include <optional>

#include "bits.h"
#include "dispatch.h"
#include "pack.h"
#include "run.h"

namespace nitrix {

namespace {

enum { X, K, Y };
constexpr int axes = 3;

struct Helper {
    const char *op;
    Array arrays[3];
};

int64_t derived(const Call &call, int which, int axis) { return call.dims[call.op->n_dims + which * axes + axis]; }

// Without dimension `from`, which comes back as the last one.
void move_last(Array &a, int from) {
    std::rotate(a.shape + from, a.shape + from + 1, a.shape + a.rank);
    std::rotate(a.strides + from, a.strides + from + 1, a.strides + a.rank);
}
void drop(Array &a, int d) {
    move_last(a, d);
    --a.rank;
}

// x[..., d, h, w, c] as pixels by channels, of those that a window of one tap reads; positions that lie in one sequence
// are one dimension.
std::optional<Helper> as_product(const Call &call) {
    Array x = call.arrays[X], k = call.arrays[K], y = call.arrays[Y];
    if (packed_bytes(call)) { // then the kernels see a compact copy
        int64_t step = 1;
        for (int d = y.rank - 1; d >= 0; --d) {
            y.strides[d] = step;
            step *= y.shape[d];
        }
    }
    if (algebras[call.algebra].components > 1) // LOG's product is computed in another form
        return std::nullopt;
    for (int axis = 0; axis < axes; ++axis) {
        const int of_x = x.rank - 1 - axes + axis, of_y = y.rank - 1 - axes + axis;
        const int64_t step = derived(call, 0, axis);
        if (k.shape[k.rank - 2 - axes + axis] != 1 || derived(call, 2, axis) != 0 ||
            (y.shape[of_y] - 1) * step >= x.shape[of_x])
            return std::nullopt;
        x.shape[of_x] = y.shape[of_y];
        x.strides[of_x] *= step;
    }
    for (int axis = 0; axis < axes; ++axis)
        drop(k, k.rank - 3);
    for (int merged = 0; merged < axes - 1; ++merged) {
        const int of_x = x.rank - 2, of_y = y.rank - 2; // the innermost axis, onto which the next one is put
        const auto follows = [](const Array &a, int d) {
            return a.shape[d - 1] == 1 || a.shape[d] == 1 || a.strides[d - 1] == a.strides[d] * a.shape[d];
        };
        // Kernels count with 32 bits.
        if (!follows(x, of_x) || !follows(y, of_y) || x.shape[of_x] * x.shape[of_x - 1] > INT_MAX)
            break;
        for (Array *a : {&x, &y}) {
            const int d = a->rank - 2;
            if (a->shape[d] == 1)
                a->strides[d] = a->strides[d - 1];
            a->shape[d] *= a->shape[d - 1];
            drop(*a, d - 1);
        }
    }
    // What is left of the axes are leading dimensions, which the kernel has not.
    const int leading = std::max(x.rank, y.rank) - 2 - call.batch_rank;
    if (leading && k.rank > 2) {
        Array wide = k;
        wide.rank += leading;
        const int own = k.rank - 2;
        for (int d = 0; d < wide.rank; ++d) {
            const bool is_new = d >= own && d < own + leading;
            const int from = d < own ? d : d - leading;
            wide.shape[d] = is_new ? 1 : k.shape[from];
            wide.strides[d] = is_new ? 0 : k.strides[from];
        }
        k = wide;
    }
    return Helper{"semiring_matmul", {x, k, y}};
}

// Arrays whose innermost leading dimension of more than one item are channels with unit stride: these last.
std::optional<Helper> as_depthwise(const Call &call) {
    const Array *const a = call.arrays;
    if (a[X].shape[a[X].rank - 1] != 1 || a[Y].shape[a[Y].rank - 1] != 1)
        return std::nullopt;
    int channel = call.batch_rank - 1;
    while (channel >= 0 && call.batch[channel] == 1)
        --channel;
    if (channel < 0 || call.batch[channel] < 16)
        return std::nullopt;
    Helper helper = {"semiring_conv_depthwise", {}};
    for (int i : {X, K, Y}) {
        Array b = a[i];
        const int own = i == K ? axes + 2 : axes + 1, at = channel - (call.batch_rank - (b.rank - own));
        b.rank -= own - axes; // no channels in or out: each is one
        if (at < 0 || b.shape[at] == 1) {
            if (i != K)
                return std::nullopt;
            if (at >= 0)
                drop(b, at);
            b.shape[b.rank] = call.batch[channel];
            b.strides[b.rank++] = 0;
        } else {
            move_last(b, at);
            if (i != K && b.strides[b.rank - 1] != 1)
                return std::nullopt;
        }
        helper.arrays[i] = b;
    }
    return helper;
}

// The plain variants are what all forms are compared with.
std::optional<Helper> helper_of(const Call &call, const Variant &variant) {
    if (targets[variant.target].priority <= 0 || call.options.variant)
        return std::nullopt;
    const std::optional<Helper> depthwise = as_depthwise(call);
    return depthwise ? depthwise : as_product(call);
}

bool is_product(const Helper &helper) { return !std::strcmp(helper.op, "semiring_matmul"); }

bool is_in_words(const Helper &helper) { return is_product(helper) && repays_words(helper.arrays); }

} // namespace

bool serve_semiring_conv(const Call &call, const Variant &variant, KernelContext &kernel) {
    const std::optional<Helper> helper = helper_of(call, variant);
    if (!helper || (is_product(*helper) && packed_bytes(call))) // then once more, with a compact output
        return false;
    if (is_in_words(*helper))
        multiply_in_words(call, variant, helper->arrays, kernel);
    else
        run_helper(call, variant, helper->op, helper->arrays, kernel);
    return true;
}

int64_t serve_bytes_semiring_conv(const Call &call, const Variant &variant) {
    const std::optional<Helper> helper = helper_of(call, variant);
    if (!helper)
        return not_served;
    const int64_t bytes = is_in_words(*helper) ? multiply_in_words_bytes(call, variant, helper->arrays)
                                               : helper_bytes(call, variant, helper->op, helper->arrays);
    return bytes + (is_product(*helper) ? packed_bytes(call) : 0);
}

} // namespace nitrix
