// y[i, j] = x[i, j] in float32. By the bits, as not every target has the instruction; exact.
#include "generators/core/op.h"
#include "generators/core/state.h"

namespace nitrix {

class SemiringWiden : public Op<SemiringWiden> {
public:
    Input<Halide::Buffer<void, 3>> x{"x"};
    Output<Halide::Buffer<void, 3>> y{"y"};

    void generate() {
        using Halide::cast;
        Halide::Var i("i"), j("j"), batch("batch");
        const Expr contiguous = free_strides<Halide::ImageParam>(x);
        const Expr stored = x(j, i, batch);
        const Expr bits = cast<uint32_t>(Halide::reinterpret<uint16_t>(stored));
        if (stored.type().is_bfloat()) {
            y(j, i, batch) = Halide::reinterpret<float>(bits << 16);
        } else {
            // Exponents 0 and 31 aside, the difference of the biases is added to the exponent. A subnormal is what its
            // bits add to 2^-14.
            const Expr magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
            const Expr least = Halide::reinterpret<float>(Halide::Internal::make_const(Halide::UInt(32), 0x38800000));
            const Expr subnormal = Halide::reinterpret<float>(magnitude + cast<uint32_t>(0x38800000)) - least;
            const Expr number = select(magnitude >= cast<uint32_t>(0x0f800000), magnitude + cast<uint32_t>(0x70000000),
                                       magnitude < cast<uint32_t>(0x00800000), Halide::reinterpret<uint32_t>(subnormal),
                                       magnitude + cast<uint32_t>(0x38000000));
            y(j, i, batch) = Halide::reinterpret<float>(number | sign);
        }
        family::Pointwise f{y, j, i, Halide::Float(32), contiguous};
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringWiden, semiring_widen)
