// dk[q, c, o] = sum over outputs p of dy[p, o] * derivative(x[p * stride + q * dilation - before, c], k[q, c, o],
// y[p, o]): blocks of 256 positions along w, then rows and slices, in order.
#include "generators/core/op.h"
#include "generators/core/stencil_axes.h"

namespace nitrix {

using namespace Halide;

class SemiringConvKernelGradient : public Op<SemiringConvKernelGradient> {
public:
    template <typename T> using Input = Generator<SemiringConvKernelGradient>::Input<T>;
    template <typename T> using Output = Generator<SemiringConvKernelGradient>::Output<T>;
    Input<Buffer<void, 5>> x{"x"};
    Input<Buffer<void, 6>> k{"k"};
    Input<Buffer<void, 5>> y{"y"}, dy{"dy"};
    Input<int32_t[3]> stride{"stride"}, dilation{"dilation"}, before{"before"};
    Output<Buffer<void, 6>> dk{"dk"};

    void generate() {
        for (int d = 0; d < 6; ++d)
            dk.dim(d).set_min(0);
        constexpr int block = family::Stencil::block;
        const Expr batch_size = dk.dim(5).extent(), c_in = dk.dim(1).extent(), c_out = dk.dim(0).extent();
        constrain_image(x, c_in, batch_size);
        constrain_image(y, c_out, batch_size);
        constrain_as(dy, y, 5);
        constrain_as(k, dk, 6);
        constrain_dense(x, y, dy, k);
        set_axes(axes, x, k, y, stride, dilation, before);
        term = algebra().derivative().value();
        f.sums(x.type());
        f.out = dk;
        f.of = {of_block, h, d};
        f.inner = RDom(0, min(axes[0].positions, block), "position");
        f.inner.where(position() < axes[0].positions);
        f.outer =
            RDom(0, (axes[0].positions + (block - 1)) / block, 0, axes[1].positions, 0, axes[2].positions, "rows");
        f.outer.where(is_in(place_of(axes[2], f.outer[2], kd), axes[2].size));
        if (shape_class.value() == "plane") {
            axes[0].stride = 1;
            plane();
        } else {
            channels(c_in, c_out);
        }
        schedule_with(f);
    }

private:
    bool right_reads_k() const {
        const auto variable = [this](const char *name) { return Internal::Variable::make(x.type(), name); };
        return Internal::expr_uses_var(term.right(variable("a"), variable("b"), variable("c")), "b");
    }
    Expr position() const { return of_block * family::Stencil::block + f.inner; }

    void channels(const Expr &c_in, const Expr &c_out) {
        using Tile = family::StencilGradient::Tile;
        f.tile = shape_class.value() == "narrow" ? Tile::column : Tile::square;
        f.v = o;
        f.t = c;
        f.rest = {kw, kh, kd, batch};
        f.all_at_once = true;
        f.v_size = c_out;
        f.t_size = c_in;
        f.outer.where(is_in(place_of(axes[1], f.outer[1], kh), axes[1].size));
        f.inner.where(is_in(place_of(axes[0], position(), kw), axes[0].size));
        Func terms("terms");
        Var w("w");
        const Expr of_dy = dy(o, w, h, d, batch);
        terms(o, w, h, d, batch) = term.weight ? term.weight(of_dy, y(o, w, h, d, batch)) : of_dy;
        const bool reads_y = term.reads_result;
        const Func weights = f.whole_vectors("weights", terms, c_out, true);
        const Func values = reads_y ? f.whole_vectors("values", y, c_out, true) : Func();
        const bool reads_k = right_reads_k();
        const Func own = reads_k ? f.whole_vectors("own", k, c_out) : Func();
        const auto shape = [](const char *name) { return family::Stencil::shape(name); };
        f.scratch = [this, shape, reads_y, reads_k](int width, int tile, int) {
            const Expr taps = shape("window0") * shape("window1") * shape("window2") * shape("c_in");
            const Expr rows = min(shape("out1"), family::StencilGradient::rows_at_hand);
            const Expr copied = (reads_y ? 2 : 1) * rows * shape("out2") + (reads_k ? taps : cast<int64_t>(0));
            const Expr sums = taps / shape("c_in") * family::whole(shape("c_in"), tile);
            return x.type().bytes() * family::whole(shape("c_out"), width) * (copied + sums);
        };
        f.step = [this, weights, values, own, reads_y, reads_k](const Expr &old, const Expr &, const Expr &at_c) {
            const Expr at = promise(position(), axes[0].positions), lane = f.whole_v();
            const Expr of_x = x(at_c, promise(place_of(axes[0], at, kw), axes[0].size),
                                promise(place_of(axes[1], h, kh), axes[1].size),
                                promise(place_of(axes[2], d, kd), axes[2].size), batch);
            const Expr of_k = reads_k ? own(lane, at_c, kw, kh, kd, batch) : zero(x.type());
            const Expr of_y = reads_y ? values(lane, at, h, d, batch) : zero(x.type());
            return nitrix::fma(weights(lane, at, h, d, batch), term.right(of_x, of_k, of_y), old);
        };
    }

    // One channel in and out: vectors across rows, whose sums over w are independent of each other.
    void plane() {
        f.tile = family::StencilGradient::Tile::across;
        for (auto *image : {&x, &y, &dy})
            image->dim(1).set_stride(1);
        dk.dim(2).set_stride(1);
        f.lead = {o, c};
        f.v = kw;
        f.t = kh;
        f.rest = {kd, batch};
        f.v_size = axes[0].taps;
        f.t_size = axes[1].taps;
        const Func from_x = f.columns("x_columns", x, axes[1].size, axes[1].before);
        Func weights("weights");
        Var w("w");
        const Expr of_dy = dy(o, w, h, d, batch);
        weights(o, w, h, d, batch) = term.weight ? term.weight(of_dy, y(o, w, h, d, batch)) : of_dy;
        const Func from_dy = f.columns("weight_columns", weights, axes[1].positions, 0);
        Func from_y;
        if (term.reads_result)
            from_y = f.columns("y_columns", y, axes[1].positions, 0);
        f.scratch = [this](int width, int, int lanes) {
            const auto shape = family::Stencil::shape;
            const Expr reach = (shape("window1") - 1) * shape("dilation1") + 1, made = shape("out1");
            const Expr rows = family::whole(made, lanes), stride = shape("stride1");
            const Expr read = max(family::whole((made - 1) * stride + reach, lanes), (rows - 1) * stride + reach);
            const Expr of_x = max(read, shape("before1") + shape("spatial1")) * shape("spatial2") * shape("spatial0");
            const Expr of_y = (term.reads_result ? 2 : 1) * rows * shape("out2") * shape("out0");
            // Of each thread a tile of a vector of rows, for each block.
            constexpr int block = family::Stencil::block;
            const Expr sums = min(shape("threads"), shape("window1") * shape("window0")) *
                              ((shape("out2") + (block - 1)) / block) * (width * lanes);
            return x.type().bytes() * (of_x + of_y + sums);
        };
        f.step = [this, from_x, from_dy, from_y](const Expr &old, const Expr &at_kw, const Expr &at_kh) {
            const Expr at = promise(position(), axes[0].positions);
            const Expr place = place_of(axes[0], at, at_kw), row = place_of(axes[1], h, at_kh);
            const Expr of_x = from_x(row + axes[1].before, clamp(place, 0, axes[0].size - 1),
                                     promise(place_of(axes[2], d, kd), axes[2].size), batch);
            const Expr of_y = term.reads_result ? from_y(h, at, d, batch) : zero(x.type());
            const Expr share = term.right(of_x, k(0, 0, at_kw, at_kh, kd, batch), of_y);
            return select(is_in(place, axes[0].size) && is_in(row, axes[1].size),
                          nitrix::fma(from_dy(h, at, d, batch), share, old), old);
        };
    }

    Derivative term{};
    family::StencilGradient f;
    family::StencilAxis axes[3];
    Var o{"o"}, c{"c"}, h{"h"}, d{"d"}, batch{"batch"}, kw{"kw"}, kh{"kh"}, kd{"kd"}, of_block{"of_block"};
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringConvKernelGradient, semiring_conv_kernel_gradient)
