// out[i, j] = exp(x[i, j] - row[i] - column[j]), one of row and column being 0: an operand of LOG's lowering.
#include "generators/algebra/log.h"
#include "generators/core/op.h"

namespace nitrix {

class SemiringMatmulLogOperand : public Op<SemiringMatmulLogOperand> {
public:
    Input<Halide::Buffer<void, 3>> x{"x"};
    Input<Halide::Buffer<void, 2>> row{"row"}, column{"column"};
    Output<Halide::Buffer<void, 3>> out{"out"};

    void generate() {
        Halide::Var i("i"), j("j"), batch("batch");
        x.dim(0).set_stride(Expr());
        row.dim(0).set_stride(Expr());
        column.dim(0).set_stride(Expr());
        out(j, i, batch) = Log::lowered_operand(x(j, i, batch), row(i, batch) + column(j, batch));
        family::Pointwise f{out, j, i, x.type()};
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulLogOperand, semiring_matmul_log_operand)
