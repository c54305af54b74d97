// A validated DLTensor: what the rest of the runtime works with.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "nitrix/nitrix.h"
#include "registry.h"

namespace nitrix {

// The number in an enum of the C ABI, which a caller may have set to anything.
template <typename Enum> int raw_enum(const Enum &e) {
    static_assert(sizeof(Enum) == sizeof(int));
    int value = 0;
    std::memcpy(&value, &e, sizeof value);
    return value;
}

constexpr int max_rank = 16;

struct Array {
    char *data; // the first element; NULL only where shapes alone are asked about
    DType dtype;
    bool given;   // false: an optional argument that was left out; then nothing else is set
    bool is_bool; // uint8 that came as DLPack's bool
    int rank;
    int64_t shape[max_rank];
    int64_t strides[max_rank]; // in elements

    bool empty() const {
        for (int d = 0; d < rank; ++d)
            if (shape[d] == 0)
                return true;
        return false;
    }
    int64_t elements() const {
        int64_t n = 1;
        for (int d = 0; d < rank; ++d)
            n *= shape[d];
        return n;
    }
};

// Row-major strides for the array's shape. Returns how many elements it has.
int64_t make_compact(Array &array);

// Checks everything that one array can get wrong; `name` is the argument's, for the message.
void read_array(const DLTensor *tensor, const char *name, bool needs_data, Array &array);

std::string shape_text(const int64_t *shape, int rank);

// Refuses an output that overlaps itself (a zero stride) or that shares an element with an input.
void check_no_self_overlap(const Array &output, const char *name);
void check_disjoint(const Array &output, const char *output_name, const Array &input, const char *input_name);

} // namespace nitrix
