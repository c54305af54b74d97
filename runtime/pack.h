// Outputs that a kernel cannot write where the caller wants them: computed into compact memory, then copied.
#pragma once

#include <cstdint>

#include "call.h"
#include "context.h"

namespace nitrix {

// Whether the innermost core dimension has unit stride or is a single element. Kernels write such arrays in place.
bool has_unit_inner_stride(const Call &call, int argument);

// Arrays of one shape, at least one dimension and one dtype.
void copy_elements(const Array &to, const Array &from);

// Bytes of the compact copies that the call needs.
int64_t packed_bytes(const Call &call);

// A call whose outputs all have unit inner stride. store() copies them to the caller's arrays.
class PackedOutputs {
public:
    PackedOutputs(const Call &original, KernelContext &kernel);
    ~PackedOutputs();
    PackedOutputs(const PackedOutputs &) = delete;
    PackedOutputs &operator=(const PackedOutputs &) = delete;

    Call call;
    void store() const;

private:
    const Call &original_;
    KernelContext &kernel_;
    void *copies_[max_arguments] = {};
};

} // namespace nitrix
