// y[p, o] = finalize( merge over blocks of (q, c) ( update over (q, c) ( combine(x[p * stride + q * dilation - before,
// c], k[q, c, o]) ) ) ): a position outside x contributes nothing.
#include "generators/core/op.h"
#include "generators/core/stencil_axes.h"

namespace nitrix {

class SemiringConv : public Op<SemiringConv> {
public:
    // Innermost dimension first: x(c, w, h, d, batch), k(o, c, w, h, d, batch), y(o, w, h, d, batch). A call of fewer
    // spatial dimensions has 1s in front. Scalars are outermost axis first, in the order of the shape function.
    Input<Halide::Buffer<void, 5>> x{"x"};
    Input<Halide::Buffer<void, 6>> k{"k"};
    Input<int32_t[3]> stride{"stride"}, dilation{"dilation"}, before{"before"};
    Output<Halide::Buffer<void, 5>> y{"y"};

    void generate() {
        const Expr batch = y.dim(4).extent(), c_in = x.dim(0).extent(), c_out = y.dim(0).extent();
        constrain_image(x, c_in, batch);
        constrain_window(k, c_out, c_in, batch);
        for (int d = 0; d < 5; ++d)
            y.dim(d).set_min(0);
        const bool plane = shape_class.value() == "plane";
        if (plane) {
            x.dim(0).set_extent(1);
            y.dim(0).set_extent(1);
            y.dim(1).set_stride(1);
        }
        family::StencilAxis axes[3];
        set_axes(axes, x, k, y, stride, dilation, before);
        family::Stencil f(algebra(), x, k, y, axes, c_in, c_out, plane);
        f.narrow = shape_class.value() == "narrow";
        f.x_is_dense = x.dim(1).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringConv, semiring_conv)
