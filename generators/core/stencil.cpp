#include "generators/core/stencil.h"

namespace nitrix::family {

using namespace Halide;

Stencil::Stencil(const Algebra &algebra, Func x, Func k, Func y, const StencilAxis (&axes)[3], Expr c_in, Expr c_out,
                 bool plane)
    : algebra(algebra), x(std::move(x)), k(std::move(k)), y(std::move(y)), axes{axes[0], axes[1], axes[2]},
      c_in(std::move(c_in)), c_out(std::move(c_out)), plane(plane), type(this->x.type()) {
    if (algebra.init(type).size() != 1)
        throw CompileError("stencil: algebra " + algebra.name() + " has a state of several components");
}

// Any byte but 0 is true.
Expr Stencil::truth(Expr value) const { return type.is_uint() ? cast(type, value != 0) : value; }

Expr Stencil::taps_per_block() const { return plane ? Expr(block) : max(block / c_in, 1); }

Expr Stencil::kernel_at(Expr channel_out, Expr channel_in, const Tap &at) const {
    return truth(k(channel_out, channel_in, at[0], at[1], at[2], batch));
}

// The position of x that a tap reads; callers ask only where it is inside.
Expr Stencil::place(int axis, Expr position, const Tap &at) const {
    return position * axes[axis].stride + (at[axis] * axes[axis].dilation - axes[axis].before);
}

Expr Stencil::input(int axis, Expr position, const Tap &at) const {
    return unsafe_promise_clamped(place(axis, position, at), 0, axes[axis].size - 1);
}

Expr Stencil::is_inside(int axis, Expr position, const Tap &at) const {
    const Expr where = place(axis, position, at);
    return where >= 0 && where < axes[axis].size;
}

Expr Stencil::nan_mask(Expr value) const {
    const Type mask = UInt(type.bits());
    return select(exact::is_nan(std::move(value)), Internal::make_const(mask, 1), Internal::make_zero(mask));
}

Expr Stencil::finish(Expr value, Expr hit_mask) const {
    value = algebra.finalize({std::move(value)});
    if (!poisons())
        return value;
    return select(hit_mask != 0, exact::constant(type, std::numeric_limits<double>::quiet_NaN()), value);
}

static std::vector<Expr> exprs(const std::vector<Var> &vars) { return {vars.begin(), vars.end()}; }

template <typename Read, typename Weigh, typename Valid>
void Stencil::add_zone(const std::string &name, const std::vector<Var> &at, Expr applies, Read read, Weigh weigh,
                       Valid valid) {
    Zone zone;
    zone.partial = Func(name);
    std::vector<Var> of_block = at;
    of_block.push_back(cb);
    of_block.push_back(tb);
    const Expr all = taps_in_all(), per_block = taps_per_block();
    const Expr channels = plane ? Expr(1) : c_in;
    zone.inside = RDom(0, plane ? Expr(1) : min(c_in, block), 0, axes[0].taps, 0, axes[1].taps, 0, axes[2].taps,
                       name + "_inside");
    const Tap at_tap = {zone.inside[1], zone.inside[2], zone.inside[3]};
    if (!plane)
        zone.inside.where(cb * block + zone.inside[0] < c_in);
    const Expr channel =
        plane ? Expr(zone.inside[0]) : unsafe_promise_clamped(cb * block + zone.inside[0], 0, c_in - 1);
    // The taps of the block, level by level, so that each test stands outside the loops it does not depend on. No call
    // of a Func in them, which Halide would leave in the innermost loop.
    const Expr first = tb * per_block, end = first + per_block, row_taps = axes[0].taps;
    const Expr row = (at_tap[2] * axes[1].taps + at_tap[1]) * row_taps, slice = at_tap[2] * (axes[1].taps * row_taps);
    zone.inside.where(slice + axes[1].taps * row_taps > first && slice < end);
    zone.inside.where(is_inside(2, d, at_tap));
    zone.inside.where(row + row_taps > first && row < end);
    zone.inside.where(is_inside(1, h, at_tap));
    zone.inside.where(row + at_tap[0] >= first && row + at_tap[0] < end);
    zone.partial(of_block) = algebra.init(type)[0];
    const Expr old = zone.partial(exprs(of_block));
    const Expr value = algebra.accumulate({old}, truth(read(channel, at_tap)), weigh(channel, at_tap))[0];
    const Expr test = valid(at_tap);
    zone.partial(of_block) = test.defined() ? select(test, value, old) : value;

    zone.blocks = RDom(0, (channels + block - 1) / block, 0, (all + per_block - 1) / per_block, name + "_blocks");
    if (applies.defined())
        zone.blocks.where(applies);
    std::vector<Expr> this_block = exprs(at);
    this_block.push_back(zone.blocks[0]);
    this_block.push_back(zone.blocks[1]);
    if (zones.empty())
        total(at) = algebra.init(type)[0];
    total(at) = algebra.merge({total(exprs(at))}, {zone.partial(this_block)})[0];
    zone.merge_stage = static_cast<int>(zones.size());
    zones.push_back(zone);
}

// Which rows of x hold a NaN: `value` is an element of row (h, d) in lane `c`, `nan_in_row` its step.
void Stencil::define_nan_rows(Expr value, Expr lanes) {
    const Type mask = UInt(type.bits());
    nan_lane(c, h, d, batch) = Internal::make_zero(mask);
    nan_lane(c, h, d, batch) = nan_lane(c, h, d, batch) | nan_mask(std::move(value));
    nan_lanes = RDom(0, std::move(lanes), "nan_lanes");
    nan_row(h, d, batch) = Internal::make_zero(mask);
    nan_row(h, d, batch) = nan_row(h, d, batch) | nan_lane(nan_lanes, h, d, batch);
    nan_in_k = RDom(0, c_out, 0, plane ? Expr(1) : c_in, 0, axes[0].taps, 0, axes[1].taps, 0, axes[2].taps, "nan_in_k");
    nan_k(batch) = Internal::make_zero(mask);
    nan_k(batch) =
        nan_k(batch) | nan_mask(kernel_at(nan_in_k[0], nan_in_k[1], {nan_in_k[2], nan_in_k[3], nan_in_k[4]}));
    const RDom near(0, axes[1].taps, 0, axes[2].taps, "near");
    const Expr at_h = h * axes[1].stride + near[0] * axes[1].dilation - axes[1].before;
    const Expr at_d = d * axes[2].stride + near[1] * axes[2].dilation - axes[2].before;
    RDom inside = near;
    inside.where(at_h >= 0 && at_h < axes[1].size && at_d >= 0 && at_d < axes[2].size);
    nan_near(h, d, batch) = nan_k(batch);
    nan_near(h, d, batch) = nan_near(h, d, batch) | nan_row(unsafe_promise_clamped(at_h, 0, axes[1].size - 1),
                                                            unsafe_promise_clamped(at_d, 0, axes[2].size - 1), batch);
}

// Where a NaN among the operands meets an output: looked for only where one is near, at the cost of another reduction.
// A max that kept NaN would halve the speed of the inner loop.
template <typename Read, typename Weigh, typename Valid>
void Stencil::define_hits(const std::vector<Var> &at, Read read, Weigh weigh, Valid valid) {
    const Type mask = UInt(type.bits());
    hit = RDom(0, plane ? Expr(1) : c_in, 0, axes[0].taps, 0, axes[1].taps, 0, axes[2].taps, "hit");
    const Tap at_tap = {hit[1], hit[2], hit[3]};
    hit.where(is_inside(2, d, at_tap));
    hit.where(is_inside(1, h, at_tap));
    hit.where(nan_near(h, d, batch) != 0);
    const Expr found = nan_mask(read(hit[0], at_tap)) | nan_mask(weigh(hit[0], at_tap));
    const Expr test = valid(at_tap);
    hits(at) = Internal::make_zero(mask);
    hits(at) = hits(exprs(at)) | select(test, found, Internal::make_zero(mask));
}

void Stencil::whole() {
    const std::vector<Var> at = {o, w, h, d, batch};
    const auto valid = [&](const Tap &at_tap) { return is_inside(0, w, at_tap); };
    const auto read = [&](Expr channel, const Tap &at_tap) {
        return x(channel, clamp(place(0, w, at_tap), 0, axes[0].size - 1), input(1, h, at_tap), input(2, d, at_tap),
                 batch);
    };
    const auto weigh = [&](Expr channel, const Tap &at_tap) { return kernel_at(o, channel, at_tap); };
    add_zone("partial", at, Expr(), read, weigh, valid);
    if (poisons()) {
        nan_in_row = RDom(0, axes[0].size, "nan_in_row");
        define_nan_rows(x(c, nan_in_row, h, d, batch), plane ? Expr(1) : c_in);
        define_hits(at, read, weigh, valid);
    }
    y(at) = finish(total(exprs(at)), poisons() ? hits(exprs(at)) : Expr());
}

void Stencil::channels(const StencilTile &tile, int lanes) {
    const int width = tile.vectors * lanes;
    const std::vector<Var> at = {oi, wi, oo, wo, h, d, batch};
    // Clamped: an edge tile computes duplicates that the guarded store drops.
    k_panel(oi, c, kw, kh, kd, oo, batch) = kernel_at(likely(min(oo * width + oi, c_out - 1)), c, {kw, kh, kd});
    const Expr position = wo * tile.positions + wi, last = likely(min(position, axes[0].positions - 1));
    const auto weigh = [&](Expr channel, const Tap &at_tap) {
        return k_panel(oi, channel, at_tap[0], at_tap[1], at_tap[2], oo, batch);
    };
    const auto read = [&](Expr at_w, Expr channel, const Tap &at_tap) {
        return x(channel, at_w, input(1, h, at_tap), input(2, d, at_tap), batch);
    };
    const auto anywhere = [&](Expr channel, const Tap &at_tap) {
        return read(clamp(place(0, last, at_tap), 0, axes[0].size - 1), channel, at_tap);
    };
    const auto valid = [&](const Tap &at_tap) { return is_inside(0, last, at_tap); };
    const Expr first_w = cast<int64_t>(wo * tile.positions) * axes[0].stride - axes[0].before;
    const Expr last_w = cast<int64_t>(wo * tile.positions + tile.positions - 1) * axes[0].stride +
                        (axes[0].taps - 1) * axes[0].dilation - axes[0].before;
    const Expr interior = first_w >= 0 && last_w < axes[0].size;
    add_zone(
        "interior", at, interior,
        [&](Expr channel, const Tap &at_tap) { return read(input(0, position, at_tap), channel, at_tap); }, weigh,
        [](const Tap &) { return Expr(); });
    add_zone("edge", at, !interior, anywhere, weigh, valid);
    if (poisons()) {
        nan_in_row = RDom(0, axes[0].size, "nan_in_row");
        define_nan_rows(x(c, nan_in_row, h, d, batch), c_in);
        define_hits(at, anywhere, weigh, valid);
    }
    const std::vector<Expr> tile_of = {o % width, w % tile.positions, o / width, w / tile.positions, h, d, batch};
    y(o, w, h, d, batch) = finish(total(tile_of), poisons() ? hits(tile_of) : Expr());
}

void Stencil::rows(const StencilTile &tile, int lanes) {
    const int width = tile.vectors * lanes;
    const std::vector<Var> at = {wi, wo, h, d, batch};
    // An annihilator that contributes nothing bit for bit needs no test. REAL's 0 does not where k is not finite; the
    // sign of a zero that it may change is lost in the merge with +0.
    const bool exact_padding = algebra.annihilator() && (algebra.drops_nan() || !type.is_float());
    const bool needs_finite_k = algebra.annihilator() && !exact_padding;
    const Expr nothing = exact::constant(type, algebra.annihilator().value_or(0));
    x_rows(w, h, d, batch) = nothing;
    x_row = RDom(0, axes[0].size, "x_row");
    x_rows(x_row + axes[0].before, h, d, batch) = truth(x(0, x_row, h, d, batch));
    k_panel(kw, kh, kd, batch) = kernel_at(0, 0, {kw, kh, kd});
    const Expr position = wo * width + wi;
    const auto read = [&](const Expr &, const Tap &at_tap) {
        return x_rows(position + at_tap[0] * axes[0].dilation, input(1, h, at_tap), input(2, d, at_tap), batch);
    };
    const auto weigh = [&](const Expr &, const Tap &at_tap) { return k_panel(at_tap[0], at_tap[1], at_tap[2], batch); };
    const auto valid = [&](const Tap &at_tap) { return is_inside(0, position, at_tap); };
    const auto always = [](const Tap &) { return Expr(); };
    if (exact_padding) {
        add_zone("interior", at, Expr(), read, weigh, always);
    } else {
        const Expr first_w = wo * width - axes[0].before;
        const Expr last_w = first_w + width - 1 + (axes[0].taps - 1) * axes[0].dilation;
        Expr interior = first_w >= 0 && last_w < axes[0].size;
        if (needs_finite_k) {
            const RDom in_k(0, axes[0].taps, 0, axes[1].taps, 0, axes[2].taps, "in_k");
            k_is_odd(batch) = cast<uint8_t>(0);
            const Expr value = k_panel(in_k[0], in_k[1], in_k[2], batch);
            k_is_odd(batch) = k_is_odd(batch) | cast<uint8_t>(exact::is_nan(value - value));
            interior = interior || k_is_odd(batch) == 0;
        }
        add_zone("interior", at, interior, read, weigh, always);
        add_zone("edge", at, !interior, read, weigh, valid);
    }
    if (poisons()) {
        nan_in_row = RDom(0, (axes[0].size + lanes - 1) / lanes, "nan_in_row");
        define_nan_rows(x_rows(axes[0].before + nan_in_row * lanes + c, h, d, batch), lanes);
        define_hits(at, read, weigh, valid);
    }
    const std::vector<Expr> tile_of = {w % width, w / width, h, d, batch};
    y(o, w, h, d, batch) = finish(total(tile_of), poisons() ? hits(tile_of) : Expr());
}

} // namespace nitrix::family
