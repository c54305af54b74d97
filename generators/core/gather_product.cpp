#include "generators/core/gather_product.h"

#include "generators/core/own_lowering.h"
#include "generators/core/rows_ahead.h"

namespace nitrix::family {

using namespace Halide;

GatherProduct::GatherProduct(const Algebra &algebra, Type type, Entry value, Entry index, Func b, Expr sources,
                             Expr columns, Expr depth)
    : algebra(algebra), lowering(algebra.lowering()), value(std::move(value)), index(std::move(index)), b(std::move(b)),
      sources(std::move(sources)), columns(std::move(columns)), depth(std::move(depth)), type(type) {}

Expr GatherProduct::source(const Expr &k) const {
    // The caller's indices have been checked, and a negative one keeps this from being reached.
    return unsafe_promise_clamped(index(k, i, batch), 0, sources - 1);
}

Expr GatherProduct::gathered(const Expr &k, const Expr &column) const { return b(column, source(k), batch); }

Expr GatherProduct::masked(const Expr &element) const { return load_where(j < columns, element); }

// What is asked of memory is so before the row's first entry.
Expr GatherProduct::asked(const Func &fetched) const {
    return fetched.outputs() == 1 ? Expr(fetched(i, batch)) : Expr(FuncRef(fetched(i, batch))[0]);
}

GatherProduct::Place GatherProduct::place(const Expr &k, const Func &fetched) const {
    return fetches() && of_row ? Place{k, FuncRef(fetched(i, batch))[1]} : place(k);
}

Expr GatherProduct::value_at(const Place &at) const {
    return value_of ? value_of(at.k, at.of_row, i, batch) : value(at.k, i, batch);
}

Expr GatherProduct::contribution(const Place &at) const {
    return edge ? edge(at.k) : algebra.combine(value_at(at), gathered(at.k, j));
}

// The bits of |x| as a signed number: above infinity's for a NaN. Its maximum finds one in two instructions.
Expr GatherProduct::magnitude(const Expr &x) const {
    const Type bits = Int(type.bits());
    return reinterpret(bits, x) & Internal::make_const(bits, ~(uint64_t{1} << (type.bits() - 1)));
}

State GatherProduct::step(const State &state, const Place &at, const Expr &of_b) const {
    const Expr &k = at.k;
    if (reduction)
        return {reduction->step(state[0], k)};
    if (lowering)
        return {lowering->add_weight(state[0], contribution(at), maximum(j, i, batch))};
    if (edge) {
        const Expr v = edge(k);
        // EUCLIDEAN: the square of v - 0. The others take v itself.
        State next = algebra.finalize_is_identity() ? algebra.update({state[0]}, v)
                                                    : algebra.accumulate({state[0]}, v, zero(type));
        if (tracks_nan())
            next.push_back(Halide::max(state[1], magnitude(v)));
        return next;
    }
    const Expr a = value_at(at);
    const Expr x = of_b.same_as(j) ? column(b, source(k), batch) : gathered(k, of_b);
    if (algebra.bit_packed()) {
        // Bit by bit: any bit of x where a is true. Made one truth value at the end.
        const Expr ones = Internal::make_const(type, 255);
        return algebra.accumulate(state, select(a != 0, ones, zero(type)), x);
    }
    if (tracks_nan()) {
        const Type bits = Int(type.bits());
        const Expr of_value = select(exact::is_nan(a), bits.max(), Internal::make_zero(bits));
        return {algebra.accumulate({state[0]}, a, x)[0], Halide::max(state[1], magnitude(x) | of_value)};
    }
    return algebra.accumulate(state, a, x);
}

GatherProduct::Reduction GatherProduct::sum(std::function<Expr(Expr, Expr)> step) const {
    return {zero(type), std::move(step), [](const Expr &a, const Expr &b) { return a + b; }};
}

static Tuple as_tuple(const State &state) { return Tuple(std::vector<Expr>(state)); }

static State state_of(const Func &f, const std::vector<Expr> &at) {
    State state;
    for (int c = 0; c < f.outputs(); ++c)
        state.push_back(f.outputs() == 1 ? Expr(f(at)) : Expr(FuncRef(f(at))[c]));
    return state;
}

void GatherProduct::define_fetched(Func &func) const {
    const Expr later = row_ahead(i, rows, asked_bytes, asks_ahead());
    Expr asked = 0;
    for (const auto &hint : hints)
        asked = asked | hint(*this, later);
    if (of_row)
        func(i, batch) = {asked, of_row(i, batch)};
    else
        func(i, batch) = asked;
}

State GatherProduct::start() const {
    // LOG's second pass sums; its finalize is of (maximum, sum).
    State start = reduction ? State{reduction->init} : streams() ? State{zero(type)} : algebra.init(type);
    if (tracks_nan()) // below every magnitude, where it shall tell whether there were any
        start.push_back(Internal::make_const(Int(type.bits()), finish ? -1 : 0));
    return start;
}

State GatherProduct::merge(const State &before, const State &part) const {
    State after = reduction   ? State{reduction->merge(before[0], part[0])}
                  : streams() ? State{before[0] + part[0]}
                              : algebra.merge({before[0]}, {part[0]});
    if (tracks_nan())
        after.push_back(Halide::max(before[1], part[1]));
    return after;
}

Expr GatherProduct::finished(const State &all) const {
    if (reduction)
        return all[0];
    if (algebra.bit_packed())
        return cast(type, all[0] != 0);
    if (streams())
        return algebra.finalize({maximum(j, i, batch), all[0]});
    if (!tracks_nan())
        return algebra.finalize(all);
    const Type bits = Int(type.bits());
    const Expr poisoned = all[1] > reinterpret(bits, infinity(type));
    const Expr reduced = algebra.finalize({all[0]});
    const Expr result = finish ? select(all[1] < 0, reduced, finish(reduced)) : reduced;
    return select(poisoned, exact::quiet_nan(type), result);
}

void GatherProduct::define() {
    const auto present = [&](const Expr &k) { return index(k, i, batch) >= 0; };
    // One block, even without entries, is a loop of one step, which a schedule can do away with.
    blocks = RDom(0, select(depth <= block, 1, (depth + block - 1) / block), "blocks");
    inside = RDom(0, block, "inside");
    if (fetches())
        define_fetched(fetched);
    const Expr number = ko * block + inside;
    const Expr entry = unsafe_promise_clamped(fetches() ? number + asked(fetched) : number, 0, depth - 1);
    inside.where(number < depth);
    inside.where(present(entry));
    over_all = RDom(0, depth, "over_all");
    over_all.where(present(over_all));

    if (streams()) {
        maximum(j, i, batch) = negative_infinity(type);
        maximum(j, i, batch) = exact::ordered_max(maximum(j, i, batch), contribution(place(over_all)));
    }
    partial(j, i, ko, batch) = as_tuple(start());
    partial(j, i, ko, batch) = as_tuple(step(state_of(partial, {j, i, ko, batch}), place(entry, fetched), j));
    merged(j, i, batch) = as_tuple(start());
    merged(j, i, batch) = as_tuple(merge(state_of(merged, {j, i, batch}), state_of(partial, {j, i, blocks, batch})));
    product(j, i, batch) = finished(state_of(merged, {j, i, batch}));
    _halide_user_assert(!past_caches || !edge) << "rows made of whole lines are products of values";
    if (past_caches) {
        define_lines(passing);
        passing.row(j, i, batch) = finished_in_lines(passing);
    }
    if (keeps_lines()) {
        define_lines(kept);
        kept.row(j, i, batch) = tracks_nan() ? finished_in_lines(kept) : Expr(kept.partial(j, i, batch));
    }
}

// Rows of one block of entries, with all that lies in their lines: of B as much, in place of the columns alone.
void GatherProduct::define_lines(InLines &lines) {
    define_fetched(lines.fetched);
    lines.inside = RDom(0, min(depth, block), "inside_lines");
    const Expr entry = unsafe_promise_clamped(lines.inside + asked(lines.fetched), 0, depth - 1);
    lines.inside.where(index(entry, i, batch) >= 0);
    const int line = line_elements();
    const Expr end = (in_front() + columns + line - 1) / line * line;
    const Expr column = unsafe_promise_clamped(j, 0, end - 1) + first_of_b;
    Func &partial = lines.partial;
    const State none = tracks_nan() ? State{algebra.init(type)[0], zero(type), zero(type)} : start();
    partial(j, i, batch) = as_tuple(none);
    partial(j, i, batch) =
        as_tuple(step_in_lines(state_of(partial, {j, i, batch}), place(entry, lines.fetched), column));
}

// The sum of the squares of what has been met is NaN if one of them is: one instruction for an element of B. Values are
// the same for all columns, and looked at in the first vector alone.
State GatherProduct::step_in_lines(const State &state, const Place &at, const Expr &column) const {
    if (!tracks_nan())
        return step(state, at, column);
    const Expr a = value_at(at), x = gathered(at.k, column);
    return {algebra.accumulate({state[0]}, a, x)[0], fma(x, x, state[1]),
            select(j < lanes_of_lines(), fma(a, a, state[2]), state[2])};
}

Expr GatherProduct::finished_in_lines(const InLines &lines) const {
    const State all = state_of(lines.partial, {j, i, batch});
    if (!tracks_nan())
        return finished(merge(start(), all));
    const Expr first_vector = unsafe_promise_clamped(j % lanes_of_lines(), 0, in_front() + columns - 1);
    const Expr squares = all[1] + state_of(lines.partial, {first_vector, i, batch})[2];
    const Expr poisoned = exact::is_nan_of_bits(reinterpret(UInt(type.bits()), squares)); // none is negative
    return select(poisoned, exact::quiet_nan(type), algebra.finalize({all[0]}));
}

Expr GatherProduct::finished_kept(const Expr &kept) const {
    return tracks_nan() ? kept : finished(merge(start(), {kept}));
}

} // namespace nitrix::family
