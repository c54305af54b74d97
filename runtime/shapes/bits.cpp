// The shape of a packing: x[..., m, n] -> words[..., m, ceil(n / 32)] or, along axis -2, words[..., ceil(m / 32), n].
#include "bits.h"

namespace nitrix {

namespace {

int spatial_rank(const Call &) { return 0; }

void extents(Call &call) {
    const Argument &x = call.op->arguments[0], &words = call.op->arguments[1];
    const int64_t axis = attribute(call, "axis").i + x.rank;
    for (int d = 0; d < x.rank; ++d) {
        const int64_t size = call.dims[x.dims[d]];
        call.dims[words.dims[d]] = d == axis ? words_of(size) : size;
    }
}

} // namespace

extern const ShapeRule bits_shape;
const ShapeRule bits_shape = {spatial_rank, extents};

} // namespace nitrix
