// Outputs that a kernel cannot write where the caller wants them: computed into compact memory, then copied.
#pragma once

#include <cstdint>

#include "call.h"
#include "context.h"

namespace nitrix {

// Whether kernels write this array in place: its innermost core dimension has unit stride, or is a single element.
bool is_written_in_place(const Call &call, int argument);

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
