// winner[p, o] = the first tap and channel, in the order of the reduction, whose term is y[p, o]: tap * c_in + channel;
// -1 where y is the identity or NaN.
#include "generators/core/op.h"
#include "generators/core/stencil_axes.h"

namespace nitrix {

using namespace Halide;

class SemiringConvWinner : public Op<SemiringConvWinner> {
public:
    template <typename T> using Input = Generator<SemiringConvWinner>::Input<T>;
    template <typename T> using Output = Generator<SemiringConvWinner>::Output<T>;
    Input<Buffer<void, 5>> x{"x"};
    Input<Buffer<void, 6>> k{"k"};
    Input<Buffer<void, 5>> y{"y"};
    Input<int32_t[3]> stride{"stride"}, dilation{"dilation"}, before{"before"};
    Output<Buffer<void, 5>> winner{"winner"};

    void generate() {
        for (int d = 0; d < 5; ++d)
            winner.dim(d).set_min(0);
        const Expr batch_size = winner.dim(4).extent(), c_in = x.dim(0).extent(), c_out = winner.dim(0).extent();
        constrain_image(x, c_in, batch_size);
        constrain_window(k, c_out, c_in, batch_size);
        constrain_as(y, winner, 5);
        constrain_dense(x, k, y);
        set_axes(axes, x, k, winner, stride, dilation, before);
        f.type = Int(32);
        f.element = x.type();
        f.start = -1;
        f.merge = [](const Expr &total, const Expr &part) { return select(total < 0, part, total); };
        f.out = winner;
        if (shape_class.value() == "plane") {
            axes[0].stride = 1;
            plane();
        } else {
            channels(c_in, c_out);
        }
        schedule_with(f);
    }

private:
    // Terms are met last to first, so that the first one stays without a test for those before.
    Expr match(const Expr &old, const Expr &from_x, const Expr &from_k, const Expr &from_y, const Expr &index) const {
        return select(algebra().combine(from_x, from_k) == from_y, index, old);
    }
    Expr unless_identity(const Expr &total, const Expr &value) const {
        return select(value == algebra().init(x.type())[0], -1, total);
    }

    void channels(const Expr &c_in, const Expr &c_out) {
        f.v = o;
        f.t = w;
        f.rest = {h, d, batch};
        f.v_size = c_out;
        f.t_size = axes[0].positions;
        f.of = {kw, kh, kd};
        f.inner = RDom(0, c_in, "channel");
        f.outer = RDom(0, axes[0].taps, 0, axes[1].taps, 0, axes[2].taps, "tap");
        f.outer.where(is_in(place_of(axes[2], d, f.outer[2]), axes[2].size));
        f.outer.where(is_in(place_of(axes[1], h, f.outer[1]), axes[1].size));
        const Func taps = f.whole_vectors("taps", k, c_out);
        const auto shape = [](const char *name) { return family::Stencil::shape(name); };
        f.scratch = [this, shape](int width, int, int) {
            const Expr n_taps = shape("window0") * shape("window1") * shape("window2");
            return family::whole(shape("c_out"), width) * shape("c_in") * n_taps * x.type().bytes();
        };
        f.step = [this, taps, c_in](const Expr &old, const Expr &at_o, const Expr &at_w) {
            const Expr channel = promise(c_in - 1 - f.inner, c_in);
            const Expr from_x = x(channel, clamp(place_of(axes[0], at_w, kw), 0, axes[0].size - 1),
                                  promise(place_of(axes[1], h, kh), axes[1].size),
                                  promise(place_of(axes[2], d, kd), axes[2].size), batch);
            const Expr index = ((kd * axes[1].taps + kh) * axes[0].taps + kw) * c_in + channel;
            return match(old, from_x, taps(f.whole_v(), channel, kw, kh, kd, batch), y(at_o, at_w, h, d, batch), index);
        };
        f.counts = [this](const Expr &, const Expr &at_w, const std::vector<Expr> &tap) {
            return is_in(place_of(axes[0], at_w, tap[0]), axes[0].size);
        };
        f.finish = [this](const Expr &total, const Expr &at_o, const Expr &at_w) {
            return unless_identity(total, y(at_o, at_w, h, d, batch));
        };
    }

    // One channel in and out, stride 1 along w. What lies beside a row is the annihilator: its terms are the identity,
    // which wins nowhere.
    void plane() {
        for (auto *image : {&x, &y})
            image->dim(1).set_stride(1);
        winner.dim(1).set_stride(1);
        f.lead = {o};
        f.v = w;
        f.t = h;
        f.rest = {d, batch};
        f.v_size = axes[0].positions;
        f.t_size = axes[1].positions;
        f.of = {kh, kd};
        f.inner = RDom(0, axes[0].taps, "tap_w");
        f.outer = RDom(0, axes[1].taps, 0, axes[2].taps, "tap");
        f.outer.where(is_in(place_of(axes[2], d, f.outer[1]), axes[2].size));
        const Expr nothing = exact::constant(x.type(), algebra().annihilator().value());
        const Func rows = f.padded("x_rows", x, axes[0].size, axes[0].before, nothing);
        f.scratch = [this](int, int, int lanes) {
            const auto shape = family::Stencil::shape;
            const Expr reach = (shape("window2") - 1) * shape("dilation2") + 1;
            return shape("spatial1") * shape("spatial0") *
                   f.bytes_of_padded(x.type(), shape("spatial2"), shape("before2"), 0, shape("out2") + reach - 1,
                                     lanes);
        };
        f.step = [this, rows](const Expr &old, const Expr &at_w, const Expr &at_h) {
            const Expr tap = promise(axes[0].taps - 1 - f.inner, axes[0].taps);
            const Expr from_x = rows(place_of(axes[0], at_w, tap) + axes[0].before,
                                     clamp(place_of(axes[1], at_h, kh), 0, axes[1].size - 1),
                                     promise(place_of(axes[2], d, kd), axes[2].size), batch);
            const Expr index = (kd * axes[1].taps + kh) * axes[0].taps + tap;
            return match(old, from_x, k(0, 0, tap, kh, kd, batch), y(0, at_w, at_h, d, batch), index);
        };
        f.counts = [this](const Expr &, const Expr &at_h, const std::vector<Expr> &tap) {
            return is_in(place_of(axes[1], at_h, tap[0]), axes[1].size);
        };
        f.finish = [this](const Expr &total, const Expr &at_w, const Expr &at_h) {
            return unless_identity(total, y(0, at_w, at_h, d, batch));
        };
    }

    family::StencilGradient f;
    family::StencilAxis axes[3];
    Var o{"o"}, w{"w"}, h{"h"}, d{"d"}, batch{"batch"}, kw{"kw"}, kh{"kh"}, kd{"kd"};
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringConvWinner, semiring_conv_winner)
