// y[p, c] = finalize( merge over blocks of q ( update over q ( combine(x[p * stride + q * dilation - before, c],
// k[q, c]) ) ) ): semiring_conv with a kernel for each channel, in the same order.
#include "generators/core/op.h"
#include "generators/core/stencil_axes.h"

namespace nitrix {

class SemiringConvDepthwise : public Op<SemiringConvDepthwise> {
public:
    Input<Halide::Buffer<void, 5>> x{"x"}, k{"k"};
    Input<int32_t[3]> stride{"stride"}, dilation{"dilation"}, before{"before"};
    Output<Halide::Buffer<void, 5>> y{"y"};

    void generate() {
        const Expr batch = y.dim(4).extent(), channels = y.dim(0).extent();
        constrain_image(x, channels, batch);
        constrain_image(k, channels, batch);
        for (int d = 0; d < 5; ++d)
            y.dim(d).set_min(0);
        x.dim(0).set_stride(1);
        family::StencilAxis axes[3];
        set_axes(axes, x, k, y, stride, dilation, before, 1);
        Halide::Func taps("taps");
        Halide::Var o, c, kw, kh, kd, item;
        taps(o, c, kw, kh, kd, item) = k(o, kw, kh, kd, item);
        family::Stencil f(algebra(), x, taps, y, axes, 1, channels, true);
        f.by_channel = true;
        f.narrow = shape_class.value() == "any"; // fewer channels than a vector has lanes
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringConvDepthwise, semiring_conv_depthwise)
