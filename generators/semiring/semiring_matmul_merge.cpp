// state[i, j] = merge(left[i, j], right[i, j]), component by component; a NaN of either stays, also where the monoid's
// merge would drop it.
#include "generators/core/op.h"
#include "generators/core/state.h"

namespace nitrix {

class SemiringMatmulMerge : public Op<SemiringMatmulMerge> {
public:
    Input<Halide::Buffer<void, 3>[]> left { "left" }, right{"right"};
    Output<Halide::Buffer<void, 3>[]> state { "state" };

    void generate() {
        Halide::Var i("i"), j("j"), batch("batch");
        Expr contiguous = Halide::Internal::const_true();
        for (size_t c = 0; c < left.size(); ++c)
            contiguous = contiguous && free_strides(left[c]) && free_strides(right[c]);
        const State a = read_state(algebra(), left, left.size(), j, i, batch);
        const State b = read_state(algebra(), right, right.size(), j, i, batch);
        const State merged = algebra().merge(a, b);
        for (size_t c = 0; c < merged.size(); ++c) {
            const Type t = merged[c].type();
            state[c](j, i, batch) = algebra().drops_nan() ? select(exact::is_nan(a[c]) || exact::is_nan(b[c]),
                                                                   exact::quiet_nan(t), merged[c])
                                                          : merged[c];
            family::Pointwise f{state[c], j, i, t, contiguous};
            schedule_with(f);
        }
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulMerge, semiring_matmul_merge)
