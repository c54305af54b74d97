#include "generators/core/stencil.h"

namespace nitrix::family {

using namespace Halide;

Stencil::Stencil(const Algebra &algebra, Func x, Func k, Func y, const StencilAxis (&axes)[3], Expr c_in, Expr c_out,
                 bool plane)
    : algebra(algebra), x(std::move(x)), k(std::move(k)), y(std::move(y)), axes{axes[0], axes[1], axes[2]},
      c_in(std::move(c_in)), c_out(std::move(c_out)), plane(plane), type(this->x.type()) {
    set_passes();
}

void Stencil::set_passes() {
    const Algebra &of = algebra;
    if (of.init(type).size() == 1) {
        passes.push_back({Func("total"), of.init(type)[0],
                          [&of](Expr old, Expr a, Expr b, const std::vector<Expr> &) {
                              return of.accumulate({std::move(old)}, std::move(a), std::move(b))[0];
                          },
                          [&of](Expr a, Expr b) { return of.merge({std::move(a)}, {std::move(b)})[0]; }});
        return;
    }
    const std::optional<Lowering> lowering = of.lowering();
    if (!lowering || !lowering->add_weight)
        throw CompileError("stencil: algebra " + of.name() + " has a state of several components and no weight");
    const Func maximum("maximum");
    passes.push_back({maximum, negative_infinity(type),
                      [&of](const Expr &old, Expr a, Expr b, const std::vector<Expr> &) {
                          return exact::ordered_max(old, of.combine(std::move(a), std::move(b)));
                      },
                      [](const Expr &a, const Expr &b) { return exact::ordered_max(a, b); }});
    passes.push_back({Func("sum"), zero(type),
                      [&of, maximum, add_weight = lowering->add_weight](const Expr &old, Expr a, Expr b,
                                                                        const std::vector<Expr> &at) {
                          return add_weight(old, of.combine(std::move(a), std::move(b)), maximum(at));
                      },
                      [](const Expr &a, const Expr &b) { return a + b; }});
}

// Any byte but 0 is true.
Expr Stencil::truth(Expr value) const { return type.is_uint() ? cast(type, value != 0) : value; }

Expr Stencil::taps_per_block() const { return plane ? Expr(block) : max(block / c_in, 1); }

Expr Stencil::kernel_at(Expr channel_out, Expr channel_in, const Tap &at) const {
    return truth(k(channel_out, channel_in, at[0], at[1], at[2], batch));
}

Expr Stencil::nan_mask(Expr value) const {
    const Type mask = UInt(type.bits());
    return select(exact::is_nan(std::move(value)), Internal::make_const(mask, 1), Internal::make_zero(mask));
}

Expr Stencil::finish(const std::vector<Expr> &at) const {
    State state;
    for (const Pass &pass : passes)
        state.push_back(pass.total(at));
    const Expr value = algebra.finalize(state);
    if (!poisons())
        return value;
    return select(hits(at) != 0, exact::constant(type, std::numeric_limits<double>::quiet_NaN()), value);
}

static std::vector<Expr> exprs(const std::vector<Var> &vars) { return {vars.begin(), vars.end()}; }

void Stencil::add_zones(const std::vector<Var> &at, const std::vector<Form> &forms) {
    for (Pass &pass : passes)
        for (const Form &form : forms)
            add_zone(at, pass, form);
}

void Stencil::add_zone(const std::vector<Var> &at, Pass &pass, const Form &form) {
    const std::string name = form.name + "_" + pass.total.name();
    Zone zone;
    zone.partial = Func(name);
    zone.total = pass.total;
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
    const Expr channel = plane ? Expr(zone.inside[0]) : promise(cb * block + zone.inside[0], c_in);
    // The taps of the block, level by level, so that each test stands outside the loops it does not depend on. No call
    // of a Func in them, which Halide would leave in the innermost loop.
    const Expr first = tb * per_block, end = first + per_block, row_taps = axes[0].taps;
    const Expr row = (at_tap[2] * axes[1].taps + at_tap[1]) * row_taps, slice = at_tap[2] * (axes[1].taps * row_taps);
    zone.one_block = form.calls == Calls::of_one_block;
    const auto in_block = [&zone](const Expr &test) {
        if (!zone.one_block)
            zone.inside.where(test);
    };
    in_block(slice + axes[1].taps * row_taps > first && slice < end);
    zone.inside.where(is_inside(2, d, at_tap));
    in_block(row + row_taps > first && row < end);
    zone.inside.where(is_inside(1, h, at_tap));
    in_block(row + at_tap[0] >= first && row + at_tap[0] < end);
    zone.partial(of_block) = pass.init;
    const Expr old = zone.partial(exprs(of_block));
    const Expr value = pass.accumulate(old, truth(form.read(channel, at_tap)), form.weigh(channel, at_tap), exprs(at));
    const Expr test = form.valid(at_tap);
    zone.partial(of_block) = test.defined() ? select(test, value, old) : value;

    Expr blocks = (all + per_block - 1) / per_block;
    if (form.calls != Calls::all)
        blocks = zone.one_block ? select(blocks == 1, 1, 0) : select(blocks == 1, 0, blocks);
    zone.blocks = RDom(0, (channels + block - 1) / block, 0, blocks, name + "_blocks");
    if (form.applies.defined())
        zone.blocks.where(form.applies);
    std::vector<Expr> this_block = exprs(at);
    this_block.push_back(zone.blocks[0]);
    this_block.push_back(zone.blocks[1]);
    if (!zone.total.defined())
        zone.total(at) = pass.init;
    zone.merge_stage = zone.total.num_update_definitions();
    zone.total(at) = pass.merge(zone.total(exprs(at)), zone.partial(this_block));
    zones.push_back(zone);
}

// NaN in x and in k: `value` is an element of x in lane `c` of (h, d), a row or a block of rows.
void Stencil::define_nan_lanes(Expr value, Expr lanes) {
    const Type mask = UInt(type.bits());
    const Expr magnitude = exact::magnitude_bits(std::move(value));
    nan_lane(c, h, d, batch) = Internal::make_zero(magnitude.type());
    nan_lane(c, h, d, batch) = max(nan_lane(c, h, d, batch), magnitude);
    nan_lanes = RDom(0, std::move(lanes), "nan_lanes");
    nan_row(h, d, batch) = Internal::make_zero(mask);
    nan_row(h, d, batch) = nan_row(h, d, batch) | cast(mask, exact::is_nan_of_bits(nan_lane(nan_lanes, h, d, batch)));
    nan_in_k = RDom(0, c_out, 0, plane ? Expr(1) : c_in, 0, axes[0].taps, 0, axes[1].taps, 0, axes[2].taps, "nan_in_k");
    nan_k(batch) = Internal::make_zero(mask);
    nan_k(batch) =
        nan_k(batch) | nan_mask(kernel_at(nan_in_k[0], nan_in_k[1], {nan_in_k[2], nan_in_k[3], nan_in_k[4]}));
}

// Which rows of x hold a NaN; `value` is the element of row (h, d) at step `nan_in_row`.
void Stencil::define_nan_rows(Expr value, Expr lanes) {
    define_nan_lanes(std::move(value), std::move(lanes));
    const RDom near(0, axes[1].taps, 0, axes[2].taps, "near");
    const Expr at_h = place_of(axes[1], h, near[0]), at_d = place_of(axes[2], d, near[1]);
    RDom inside = near;
    inside.where(is_in(at_h, axes[1].size) && is_in(at_d, axes[2].size));
    nan_near(h, d, batch) = nan_k(batch);
    nan_near(h, d, batch) =
        nan_near(h, d, batch) | nan_row(promise(at_h, axes[1].size), promise(at_d, axes[2].size), batch);
}

// Whether the rows of x that a block of y reads, block (h, d) here, hold a NaN.
void Stencil::define_nan_blocks(const StencilTile &tile, int lanes) {
    const Expr at[] = {h * tile.rows, d * tile.slices};
    const int made[] = {tile.rows, tile.slices};
    Expr reads[2], row[2];
    for (int i = 0; i < 2; ++i)
        reads[i] = (min(axes[i + 1].positions, made[i]) - 1) * axes[i + 1].stride +
                   (axes[i + 1].taps - 1) * axes[i + 1].dilation + 1;
    nan_in_row = RDom(0, (axes[0].size + lanes - 1) / lanes, 0, reads[0], 0, reads[1], "nan_in_row");
    for (int i = 0; i < 2; ++i) {
        const StencilAxis &axis = axes[i + 1];
        const Expr to = place_of(axis, min(at[i] + made[i], axis.positions) - 1, axis.taps - 1);
        const Expr place = place_of(axis, at[i], 0) + nan_in_row[i + 1];
        nan_in_row.where(place <= to && is_in(place, axis.size));
        row[i] = promise(min(place, to), axis.size);
    }
    define_nan_lanes(x_rows(axes[0].before + nan_in_row[0] * lanes + c, row[0], row[1], batch), lanes);
    nan_near(h, d, batch) = nan_k(batch) | nan_row(h / tile.rows, d / tile.slices, batch);
}

// Where a NaN among the operands meets an output: looked for only where one is near, at the cost of another reduction.
// A max that kept NaN would halve the speed of the inner loop.
void Stencil::define_hits(const std::vector<Var> &at, const Form &form) {
    const Type mask = UInt(type.bits());
    hit = RDom(0, plane ? Expr(1) : c_in, 0, axes[0].taps, 0, axes[1].taps, 0, axes[2].taps, "hit");
    const Tap at_tap = {hit[1], hit[2], hit[3]};
    hit.where(is_inside(2, d, at_tap));
    hit.where(is_inside(1, h, at_tap));
    hit.where(nan_near(h, d, batch) != 0);
    const Expr found = nan_mask(form.read(hit[0], at_tap)) | nan_mask(form.weigh(hit[0], at_tap));
    const Expr test = form.valid(at_tap);
    hits(at) = Internal::make_zero(mask);
    hits(at) = hits(exprs(at)) | select(test, found, Internal::make_zero(mask));
}

void Stencil::whole() {
    const std::vector<Var> at = {o, w, h, d, batch};
    const auto valid = [&](const Tap &at_tap) { return is_inside(0, w, at_tap); };
    const auto read = [&](Expr channel, const Tap &at_tap) {
        return x(channel_of_x(channel), clamp(place(0, w, at_tap), 0, axes[0].size - 1), input(1, h, at_tap),
                 input(2, d, at_tap), batch);
    };
    const auto weigh = [&](Expr channel, const Tap &at_tap) { return kernel_at(o, channel, at_tap); };
    const Form everywhere = {"partial", Expr(), read, weigh, valid};
    add_zones(at, {everywhere});
    if (poisons()) {
        nan_in_row = RDom(0, axes[0].size, "nan_in_row");
        define_nan_rows(x(c, nan_in_row, h, d, batch), lanes_of_x());
        define_hits(at, everywhere);
    }
    y(at) = finish(exprs(at));
}

void Stencil::add_tiles(const std::vector<Var> &at, int positions,
                        const std::function<Expr(Expr, const Tap &)> &weigh) {
    // Clamped: an edge tile computes duplicates that the guarded store drops.
    const Expr position = wo * positions + wi, last = likely(min(position, axes[0].positions - 1));
    const auto read = [&](Expr at_w, Expr channel, const Tap &at_tap) {
        return x(channel_of_x(channel), at_w, input(1, h, at_tap), input(2, d, at_tap), batch);
    };
    const auto anywhere = [&](Expr channel, const Tap &at_tap) {
        return read(clamp(place(0, last, at_tap), 0, axes[0].size - 1), channel, at_tap);
    };
    const auto valid = [&](const Tap &at_tap) { return is_inside(0, last, at_tap); };
    const Expr first_w = cast<int64_t>(wo * positions) * axes[0].stride - axes[0].before;
    const Expr last_w = cast<int64_t>(wo * positions + positions - 1) * axes[0].stride +
                        (axes[0].taps - 1) * axes[0].dilation - axes[0].before;
    const Expr interior = first_w >= 0 && last_w < axes[0].size;
    const auto inside = [&](Expr channel, const Tap &at_tap) {
        return read(input(0, position, at_tap), channel, at_tap);
    };
    const Form edge = {"edge", !interior, anywhere, weigh, valid};
    add_zones(at, {{"interior", interior, inside, weigh, [](const Tap &) { return Expr(); }}, edge});
    if (poisons()) {
        nan_in_row = RDom(0, axes[0].size, "nan_in_row");
        define_nan_rows(x(c, nan_in_row, h, d, batch), lanes_of_x());
        define_hits(at, edge);
    }
}

void Stencil::channels(const StencilTile &tile, int lanes) {
    const int width = tile.vectors * lanes;
    k_panel(oi, c, kw, kh, kd, oo, batch) = kernel_at(likely(min(oo * width + oi, c_out - 1)), c, {kw, kh, kd});
    add_tiles({oi, wi, oo, wo, h, d, batch}, tile.positions, [&](Expr channel, const Tap &at_tap) {
        return k_panel(oi, channel, at_tap[0], at_tap[1], at_tap[2], oo, batch);
    });
    const std::vector<Expr> tile_of = {o % width, w % tile.positions, o / width, w / tile.positions, h, d, batch};
    y(o, w, h, d, batch) = finish(tile_of);
}

void Stencil::depthwise(int positions) {
    k_panel(o, kw, kh, kd, batch) = kernel_at(o, 0, {kw, kh, kd});
    add_tiles({o, wi, wo, h, d, batch}, positions,
              [&](const Expr &, const Tap &at_tap) { return k_panel(o, at_tap[0], at_tap[1], at_tap[2], batch); });
    y(o, w, h, d, batch) = finish({o, w % positions, w / positions, h, d, batch});
}

void Stencil::rows(const StencilTile &tile, int lanes) {
    const int width = tile.vectors * lanes;
    const std::vector<Var> at = {wi, wo, h, d, batch};
    // An annihilator that contributes nothing bit for bit needs no test. REAL's 0 does not where k is not finite; the
    // sign of a zero that it may change is lost in the merge with +0.
    const bool exact_padding = algebra.annihilator() && (algebra.drops_nan() || !type.is_float());
    const bool needs_finite_k = algebra.annihilator() && !exact_padding;
    const Expr nothing = exact::constant(type, algebra.annihilator().value_or(0));
    // The room around a row of x: what tiles read, and whole vectors where they are searched for NaN.
    const Expr filled = axes[0].before + axes[0].size;
    const Expr tiles = (axes[0].positions + width - 1) / width * width + (axes[0].taps - 1) * axes[0].dilation;
    const Expr searched = axes[0].before + (axes[0].size + lanes - 1) / lanes * lanes;
    const Expr room = max(poisons() ? max(tiles, searched) : tiles, filled);
    before_row = RDom(0, axes[0].before, "before_row");
    after_row = RDom(0, room - filled, "after_row");
    x_rows(w, h, d, batch) = undef(type);
    x_rows(before_row, h, d, batch) = nothing;
    x_rows(filled + after_row, h, d, batch) = nothing;
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
        add_zones(at, {{"few", Expr(), read, weigh, always, Calls::of_one_block},
                       {"interior", Expr(), read, weigh, always, Calls::of_more}});
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
        add_zones(at, {{"few", interior, read, weigh, always, Calls::of_one_block},
                       {"interior", interior, read, weigh, always, Calls::of_more},
                       {"edge", !interior, read, weigh, valid}});
    }
    if (poisons()) {
        define_nan_blocks(tile, lanes);
        define_hits(at, {"hits", Expr(), read, weigh, valid});
    }
    const std::vector<Expr> tile_of = {w % width, w / width, h, d, batch};
    y(o, w, h, d, batch) = finish(tile_of);
}

} // namespace nitrix::family
