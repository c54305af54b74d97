// value[e] = finalize(maximum, sum) of the streaming form (semiring_matmul_streamed) at row rows[e] of A and column
// columns[e] of B: single entries of a product.
#include "generators/core/log_sum_exp.h"
#include "generators/core/op.h"

namespace nitrix {

class SemiringMatmulEntries : public Op<SemiringMatmulEntries> {
public:
    Input<Halide::Buffer<void, 3>> a{"A"}, b{"B"};
    Input<Halide::Buffer<void, 2>> rows{"rows"}, columns{"columns"};
    Output<Halide::Buffer<void, 2>> value{"value"}, maximum{"maximum"}, sum{"sum"};

    void generate() {
        a.dim(0).set_stride(Expr()); // transposed operands are read as they lie
        b.dim(0).set_stride(Expr());
        const Expr m = a.dim(1).extent(), n = b.dim(0).extent();
        // The caller's indices are of entries of a product of these very operands.
        const auto row = [&](Expr x, Expr) { return Halide::unsafe_promise_clamped(rows(x, 0), 0, m - 1); };
        const auto column = [&](Expr x, Expr) { return Halide::unsafe_promise_clamped(columns(x, 0), 0, n - 1); };
        family::LogSumExp f(algebra(), a, b, row, column, value.dim(0).extent(), 1, a.dim(0).extent());
        schedule_with(f);
        value(f.x, f.batch) = algebra().finalize({f.maximum(f.x, 0, f.batch), f.sum(f.x, 0, f.batch)});
        maximum(f.x, f.batch) = f.maximum(f.x, 0, f.batch);
        sum(f.x, f.batch) = f.sum(f.x, 0, f.batch);
        for (Halide::Func out : {Halide::Func(value), Halide::Func(maximum), Halide::Func(sum)})
            out.vectorize(f.x, lanes(f.type), Halide::TailStrategy::GuardWithIf);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringMatmulEntries, semiring_matmul_entries)
