// C[i, j] = finalize(state[i, j]): from the state of a whole reduction to its result.
#include "generators/core/op.h"
#include "generators/core/state.h"

namespace nitrix {

class SemiringMatmulFinalize : public Op<SemiringMatmulFinalize> {
public:
    Input<Halide::Buffer<void, 3>[]> state { "state" };
    Output<Halide::Buffer<void, 3>> c{"C"};

    void generate() {
        Halide::Var i("i"), j("j"), batch("batch");
        Expr contiguous = Halide::Internal::const_true();
        for (size_t component = 0; component < state.size(); ++component)
            contiguous = contiguous && free_strides(state[component]);
        c(j, i, batch) = algebra().finalize(read_state(algebra(), state, state.size(), j, i, batch));
        family::Pointwise f{c, j, i, c.type(), contiguous};
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulFinalize, semiring_matmul_finalize)
