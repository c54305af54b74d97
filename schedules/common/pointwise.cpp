#include "schedules/common/pointwise.h"

namespace nitrix {

void whole_vectors(family::Pointwise &f, int lanes) {
    f.out.vectorize(f.inner, lanes, Halide::TailStrategy::GuardWithIf).parallel(f.outer);
    if (f.contiguous.defined())
        f.out.specialize(f.contiguous);
}

} // namespace nitrix
