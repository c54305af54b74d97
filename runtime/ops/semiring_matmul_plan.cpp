// What serves a product beside its own kernel. A long REAL product is summed in slices of k, each a product of its own:
// the error of a sum grows with the number of terms on every level, so three short levels (steps, blocks, slices) beat
// two. One of truth values packs its operands into words.
#include <algorithm>

#include "bits.h"
#include "dispatch.h"
#include "pack.h"
#include "run.h"
#include "scratch.h"

namespace nitrix {

namespace {

enum { A, B, C };

constexpr int64_t slice = 4096, longest_whole = 2 * slice;

// Only where merging rounds, and a state is a number that the product's kernel leaves as it is.
bool is_sliced(const Call &call) {
    if (call.algebra < 0 || call.dims[1] <= longest_whole)
        return false;
    const Algebra &algebra = algebras[call.algebra];
    return algebra.strict && algebra.rounds && algebra.components == 1;
}

void cut(Array &array, int axis, int64_t first, int64_t size) {
    array.data += first * array.strides[axis] * dtype_bytes(array.dtype);
    array.shape[axis] = size;
}

// Like C, compact.
Array product_of_slice(const Call &call, char *data) {
    Array product = call.arrays[C];
    product.data = data;
    make_compact(product);
    return product;
}

// Of one slice's product beside the sum.
int64_t slice_bytes(const Call &call) {
    int64_t bytes = dtype_bytes(call.dtype);
    for (const int64_t size : {call.batch_size(), call.dims[0], call.dims[2]})
        if (__builtin_mul_overflow(bytes, size, &bytes))
            return INT64_MAX;
    return bytes;
}

// The plain variants are what all forms are compared with.
bool is_in_words(const Call &call, const Variant &variant) {
    return targets[variant.target].priority > 0 && repays_words(call.arrays);
}

void multiply_in_slices(const Call &call, const Variant &variant, KernelContext &kernel) {
    const Scratch memory(kernel, slice_bytes(call));
    const Array &sum = call.arrays[C], product = product_of_slice(call, memory.data());
    for (int64_t first = 0; first < call.dims[1]; first += slice) {
        Call part = call;
        part.dims[1] = std::min(slice, call.dims[1] - first);
        cut(part.arrays[A], call.arrays[A].rank - 1, first, part.dims[1]);
        cut(part.arrays[B], call.arrays[B].rank - 2, first, part.dims[1]);
        if (first > 0)
            part.arrays[C] = product;
        run_kernel(part, variant, kernel);
        if (first > 0) {
            Array none; // states of one component
            none.given = false;
            const Array arrays[] = {sum, none, product, none, sum, none}; // element by element: in place
            run_helper(call, variant, "semiring_matmul_merge", arrays, kernel);
        }
    }
}

} // namespace

bool serve_semiring_matmul(const Call &call, const Variant &variant, KernelContext &kernel) {
    const bool sliced = is_sliced(call);
    if ((!sliced && !is_in_words(call, variant)) || packed_bytes(call)) // then once more, with compact outputs
        return false;
    if (sliced)
        multiply_in_slices(call, variant, kernel);
    else
        multiply_in_words(call, variant, call.arrays, kernel);
    return true;
}

int64_t serve_bytes_semiring_matmul(const Call &call, const Variant &variant) {
    const bool in_words = is_in_words(call, variant);
    if (!in_words && !is_sliced(call))
        return not_served;
    int64_t bytes = in_words ? multiply_in_words_bytes(call, variant, call.arrays) : kernel_bytes(variant, call);
    if (bytes < 0)
        return INT64_MAX;
    for (const int64_t more : {packed_bytes(call), in_words ? 0 : slice_bytes(call)})
        if (__builtin_add_overflow(bytes, more, &bytes))
            return INT64_MAX;
    return bytes;
}

} // namespace nitrix
