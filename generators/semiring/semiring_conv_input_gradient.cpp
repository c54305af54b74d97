// dx[i, c] = sum over taps q and channels o of dy[p, o] * derivative(x[i, c], k[q, c, o], y[p, o]), where p is the
// output that reads i at q, if there is one.
#include "generators/core/op.h"
#include "generators/core/stencil_axes.h"

namespace nitrix {

using namespace Halide;

class SemiringConvInputGradient : public Op<SemiringConvInputGradient> {
public:
    template <typename T> using Input = Generator<SemiringConvInputGradient>::Input<T>;
    template <typename T> using Output = Generator<SemiringConvInputGradient>::Output<T>;
    Input<Buffer<void, 5>> x{"x"};
    Input<Buffer<void, 6>> k{"k"};
    Input<Buffer<void, 5>> y{"y"}, dy{"dy"};
    Input<int32_t[3]> stride{"stride"}, dilation{"dilation"}, before{"before"};
    Output<Buffer<void, 5>> dx{"dx"};

    void generate() {
        for (int d = 0; d < 5; ++d)
            dx.dim(d).set_min(0);
        const Expr batch_size = dx.dim(4).extent(), c_in = dx.dim(0).extent(), c_out = y.dim(0).extent();
        constrain_as(x, dx, 5);
        constrain_image(y, c_out, batch_size);
        constrain_as(dy, y, 5);
        constrain_window(k, c_out, c_in, batch_size);
        constrain_dense(x, y, dy, k);
        set_axes(axes, x, k, y, stride, dilation, before);
        term = algebra().derivative().value();
        f.sums(x.type());
        f.out = dx;
        f.t_size = axes[0].size;
        if (shape_class.value() == "plane") {
            axes[0].stride = 1;
            plane();
        } else {
            channels(c_in, c_out);
        }
        schedule_with(f);
    }

private:
    // The output that reads `position` at a tap, and whether there is one.
    struct Reader {
        Expr at, exists;
    };
    static Reader reader(const family::StencilAxis &axis, const Expr &position, const Expr &tap) {
        const Expr steps = position + (axis.before - tap * axis.dilation), at = steps / axis.stride;
        return {at, steps >= 0 && steps % axis.stride == 0 && at < axis.positions};
    }
    Expr weight(const Expr &of_dy, const Expr &of_y) const { return term.weight ? term.weight(of_dy, of_y) : of_dy; }

    void channels(const Expr &c_in, const Expr &c_out) {
        f.v = c;
        f.t = w;
        f.rest = {h, d, batch};
        f.v_size = c_in;
        f.of = {kw, kh, kd};
        f.inner = RDom(0, c_out, "channel");
        f.outer = RDom(0, axes[0].taps, 0, axes[1].taps, 0, axes[2].taps, "tap");
        f.outer.where(reader(axes[2], d, f.outer[2]).exists);
        f.outer.where(reader(axes[1], h, f.outer[1]).exists);
        Func flipped("flipped");
        flipped(c, o, kw, kh, kd, batch) = k(o, c, kw, kh, kd, batch);
        const Func taps = f.whole_vectors("taps", flipped, c_in);
        Func weights("weights");
        if (term.weight) {
            weights(o, w, h, d, batch) = weight(dy(o, w, h, d, batch), y(o, w, h, d, batch));
            f.copies.push_back({weights, RDom()});
        } else {
            weights = dy;
        }
        const auto shape = [](const char *name) { return family::Stencil::shape(name); };
        f.scratch = [this, shape](int width, int, int) {
            const Expr n_taps = shape("window0") * shape("window1") * shape("window2"), c = shape("c_out");
            const Expr made = term.weight ? shape("out0") * shape("out1") * shape("out2") * c : cast<int64_t>(0);
            return x.type().bytes() * (family::whole(shape("c_in"), width) * c * n_taps + made);
        };
        f.step = [this, taps, weights](const Expr &old, const Expr &at_c, const Expr &at_w) {
            const Expr pw = clamp(reader(axes[0], at_w, kw).at, 0, axes[0].positions - 1),
                       ph = promise(reader(axes[1], h, kh).at, axes[1].positions),
                       pd = promise(reader(axes[2], d, kd).at, axes[2].positions);
            // Halide widens h and d by what the predicates say of them.
            const Expr own = x(at_c, at_w, promise(h, axes[1].size), promise(d, axes[2].size), batch);
            const Expr tap = taps(f.whole_v(), f.inner, kw, kh, kd, batch);
            return nitrix::fma(weights(f.inner, pw, ph, pd, batch), term.left(own, tap, y(f.inner, pw, ph, pd, batch)),
                               old);
        };
        f.counts = [this](const Expr &, const Expr &at_w, const std::vector<Expr> &tap) {
            return reader(axes[0], at_w, tap[0]).exists;
        };
    }

    // One channel in and out, stride 1 along w.
    void plane() {
        for (auto *image : {&x, &y, &dy})
            image->dim(1).set_stride(1);
        dx.dim(1).set_stride(1);
        f.lead = {c};
        f.v = w;
        f.t = h;
        f.v_size = axes[0].size;
        f.t_size = axes[1].size;
        f.rest = {d, batch};
        f.of = {kw, kh, kd};
        f.inner = RDom(0, y.dim(0).extent(), "channel"); // of one: the order of the other form, tap by tap
        f.outer = RDom(0, axes[0].taps, 0, axes[1].taps, 0, axes[2].taps, "tap");
        f.outer.where(reader(axes[2], d, f.outer[2]).exists);
        Func weights("weights");
        weights(o, w, h, d, batch) = weight(dy(o, w, h, d, batch), y(o, w, h, d, batch));
        const Expr room = (axes[0].taps - 1) * axes[0].dilation;
        const Expr nothing = zero(x.type());
        const Func weight_rows = f.padded("weight_rows", weights, axes[0].positions, room, nothing),
                   y_rows = f.padded("y_rows", y, axes[0].positions, room, nothing);
        f.scratch = [this](int, int, int lanes) {
            const auto shape = family::Stencil::shape;
            const Expr beside = (shape("window2") - 1) * shape("dilation2");
            const Expr row =
                f.bytes_of_padded(x.type(), shape("out2"), beside, shape("before2"), shape("spatial2") + beside, lanes);
            return (term.reads_result ? 2 : 1) * shape("out1") * shape("out0") * row;
        };
        f.step = [this, weight_rows, y_rows, room](const Expr &old, const Expr &at_w, const Expr &at_h) {
            const Expr at = at_w + (axes[0].before - kw * axes[0].dilation);
            const Expr ph = clamp(reader(axes[1], at_h, kh).at, 0, axes[1].positions - 1),
                       pd = promise(reader(axes[2], d, kd).at, axes[2].positions);
            const Expr own = x(0, at_w, at_h, promise(d, axes[2].size), batch);
            const Expr share = term.left(own, k(f.inner, 0, kw, kh, kd, batch), y_rows(at + room, ph, pd, batch));
            return select(is_in(at, axes[0].positions), nitrix::fma(weight_rows(at + room, ph, pd, batch), share, old),
                          old);
        };
        f.counts = [this](const Expr &, const Expr &at_h, const std::vector<Expr> &tap) {
            return reader(axes[1], at_h, tap[1]).exists;
        };
    }

    Derivative term{};
    family::StencilGradient f;
    family::StencilAxis axes[3];
    Var o{"o"}, c{"c"}, w{"w"}, h{"h"}, d{"d"}, batch{"batch"}, kw{"kw"}, kh{"kh"}, kd{"kd"};
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringConvInputGradient, semiring_conv_input_gradient)
