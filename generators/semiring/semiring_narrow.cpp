// y[i, j] = x[i, j] rounded to nearest even, overflow to infinity, gradual underflow; a NaN becomes a quiet one. By the
// bits, as not every target has the instruction.
#include "generators/core/op.h"
#include "generators/core/state.h"

namespace nitrix {

class SemiringNarrow : public Op<SemiringNarrow> {
public:
    Input<Halide::Buffer<void, 3>> x{"x"};
    Output<Halide::Buffer<void, 3>> y{"y"};

    void generate() {
        using Halide::cast;
        Halide::Var i("i"), j("j"), batch("batch");
        const Expr contiguous = free_strides<Halide::ImageParam>(x);
        const Expr bits = Halide::reinterpret<uint32_t>(x(j, i, batch));
        const Expr magnitude = bits & cast<uint32_t>(0x7fffffff), sign = (bits >> 16) & 0x8000;
        const Expr is_nan = magnitude > cast<uint32_t>(0x7f800000);
        // The last bit that stays decides a tie; a carry into the exponent is right.
        const auto rounded = [](const Expr &value, int dropped) {
            return (value + ((value >> dropped) & 1) + cast<uint32_t>((1 << (dropped - 1)) - 1)) >> dropped;
        };
        Expr number;
        if (y.type().is_bfloat()) {
            number = select(is_nan, cast<uint32_t>(0x7fc0), rounded(magnitude, 16));
        } else {
            // Next to 0.5 float32 has the spacing of float16's subnormals.
            const Expr subnormal = Halide::reinterpret<uint32_t>(Halide::reinterpret<float>(magnitude) + 0.5f) -
                                   cast<uint32_t>(0x3f000000);
            number = select(is_nan, cast<uint32_t>(0x7e00), magnitude >= cast<uint32_t>(0x47800000),
                            cast<uint32_t>(0x7c00), magnitude < cast<uint32_t>(0x38800000), subnormal,
                            rounded(magnitude - cast<uint32_t>(0x38000000), 13));
        }
        y(j, i, batch) = Halide::reinterpret(y.type(), cast<uint16_t>(number | sign));
        family::Pointwise f{y, j, i, Halide::Float(32), contiguous};
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringNarrow, semiring_narrow)
