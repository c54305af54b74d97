// The shape of a selection: A[..., m, d], B[..., d, n] -> values, indices[..., m, k], k an attribute.
#include "call.h"
#include "error.h"

namespace nitrix {

namespace {

int spatial_rank(const Call &) { return 0; }

void extents(Call &call) {
    const int64_t k = attribute(call, "k").i;
    if (k < 1) // it was left out: what is given is checked before
        refuse_value(where(*call.op, "k") + "is missing, must be at least 1");
    const Argument &values = call.op->arguments[call.op->n_inputs];
    call.dims[values.dims[values.rank - 1]] = k;
}

} // namespace

extern const ShapeRule nearest_shape;
const ShapeRule nearest_shape = {spatial_rank, extents};

} // namespace nitrix
