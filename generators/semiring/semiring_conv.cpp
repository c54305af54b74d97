// y[p, o] = finalize( merge over blocks of (q, c) ( update over (q, c) ( combine(x[p * stride + q * dilation - before,
// c], k[q, c, o]) ) ) ): a position outside x contributes nothing.
#include "generators/core/op.h"

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
        x.dim(0).set_min(0).set_stride(Expr());
        for (int d = 1; d < 4; ++d)
            x.dim(d).set_min(0);
        x.dim(4).set_min(0).set_extent(batch);
        k.dim(0).set_min(0).set_extent(c_out).set_stride(Expr());
        k.dim(1).set_min(0).set_extent(c_in);
        for (int d = 2; d < 5; ++d)
            k.dim(d).set_min(0);
        k.dim(5).set_min(0).set_extent(batch);
        for (int d = 0; d < 5; ++d)
            y.dim(d).set_min(0);
        const bool plane = shape_class.value() == "plane";
        if (plane) {
            x.dim(0).set_extent(1);
            y.dim(0).set_extent(1);
            y.dim(1).set_stride(1);
        }
        family::StencilAxis axes[3];
        for (int a = 0; a < 3; ++a) // innermost first
            axes[a] = {x.dim(1 + a).extent(), k.dim(2 + a).extent(), y.dim(1 + a).extent(),
                       stride[2 - a],         dilation[2 - a],       before[2 - a]};
        family::Stencil f(algebra(), x, k, y, axes, c_in, c_out, plane);
        f.x_is_dense = x.dim(1).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringConv, semiring_conv)
