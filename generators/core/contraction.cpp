#include "generators/core/contraction.h"

#include "generators/core/branch.h"

namespace nitrix::family {

using namespace Halide;

Contraction::Contraction(const Algebra &algebra, Func a, Func b, Func c, Expr rows, Expr columns, Expr depth,
                         bool carries)
    : algebra(algebra), lowering(algebra.lowering()), product(lowering ? *lowering->product : algebra), a(std::move(a)),
      b(std::move(b)), c(std::move(c)), carries(carries), rows(std::move(rows)), columns(std::move(columns)),
      depth(std::move(depth)), type(this->a.type()), result(algebra.bit_packed() ? UInt(8) : type) {}

void Contraction::define_order(int length) {
    block_length = length;
    n_blocks = (depth + block_length - 1) / block_length;
    blocks = RDom(0, n_blocks, "blocks");
    inside = RDom(0, block_length, "inside");
    inside.where(inside < depth - ko * block_length);
}

// Bounds inference does not see the predicates of what walks over a block.
Expr Contraction::clamped_k(Expr inside_block) const {
    return unsafe_promise_clamped(ko * block_length + std::move(inside_block), 0, depth - 1);
}

// Any byte but 0 is true: all bits of the left one, against which any bit of the right one counts.
Expr Contraction::left_value(Expr value) const {
    return type == UInt(8) ? select(value != 0, cast<uint8_t>(255), cast<uint8_t>(0)) : value;
}

Expr Contraction::part_of_result(Expr part) const { return algebra.bit_packed() ? cast(result, part != 0) : part; }

// What C holds after a block of k: from the identity at the first one, finalised at the last.
Expr Contraction::after_block(const Choice &choose, const Expr &at_block, const Expr &held, const Expr &part) const {
    const Expr before = choose(at_block == 0, product.init(type)[0], held);
    const Expr value = product.merge({before}, {part})[0];
    const bool as_it_is = lowering || algebra.finalize_is_identity();
    return as_it_is ? value : choose(at_block == n_blocks - 1, algebra.finalize({value}), value);
}

ContractionScan Contraction::scan_of_a(const Func &result) const {
    const RDom along(0, depth);
    return {result, Func(), Func(), i, rows, a_contiguous_in_i, a_contiguous_in_k, along, a(along, i, batch)};
}

ContractionScan Contraction::scan_of_b(const Func &result) const {
    const RDom along(0, depth);
    return {result, Func(), Func(), j, columns, b_contiguous_in_j, b_contiguous_in_k, along, b(j, along, batch)};
}

void Contraction::define_scan(ContractionScan scan, const Expr &initial,
                              const std::function<Expr(const Expr &, const Expr &)> &step) {
    const auto define = [&](const char *form) {
        Func f(scan.result.name() + form);
        f(scan.v, batch) = initial;
        f(scan.v, batch) = step(f(scan.v, batch), scan.value);
        return f;
    };
    scan.along = define("_along_k"), scan.across = define("_across_k");
    scan.result(scan.v, batch) = select(scan.contiguous_in_k, scan.along(scan.v, batch), scan.across(scan.v, batch));
    scans.push_back(scan);
}

// c after a part of the reduction whose winner is part_winner.
Tuple Contraction::first_met(const Expr &first, const Expr &part, const Expr &part_winner, const Expr &held,
                             const Expr &held_winner) const {
    const Expr before = select(first, algebra.init(type)[0], held);
    const Expr value = algebra.merge({before}, {part})[0];
    // Compared as integers: what a strict comparison of floats reads, Halide 21 does not see when it splits a Tuple,
    // and the second element would read the new value of the first.
    const auto bits = [&](const Expr &x) { return reinterpret(UInt(type.bits()), x); };
    return Tuple(value, select(bits(value) != bits(before), part_winner, select(first, -1, held_winner)));
}

void Contraction::merge_into_c(Expr part) {
    const Expr first = Expr(blocks) == 0; // nothing is read before: no pass to initialise the result
    if (carries) {
        c(j, i, batch) = Tuple(undef(type), undef<int32_t>());
        c(j, i, batch) = first_met(first, part, Expr(blocks), c(j, i, batch)[0], c(j, i, batch)[1]);
    } else {
        c(j, i, batch) = undef(result);
        const Expr before = select(first, product.init(result)[0], c(j, i, batch));
        c(j, i, batch) = product.merge({before}, {part_of_result(std::move(part))})[0];
    }
    merge_stage = 0;
    finish_c(1);
}

// What follows the merges, as update stages of c from number `stages` on.
void Contraction::finish_c(int stages) {
    if (lowering) {
        if (panels.empty()) {
            c(j, i, batch) = lowering->result(c(j, i, batch), a_maximum(i, batch), b_maximum(j, batch));
        } else { // full panels were finished in their tiles
            const int width = panels.front().width;
            finished = RDom(columns / width * width, columns % width, "finished");
            c(finished, i, batch) =
                lowering->result(c(finished, i, batch), a_maximum(i, batch), b_maximum(finished, batch));
        }
        finalize_stage = stages++;
    } else if (!algebra.finalize_is_identity() && panels.empty() && smalls.empty()) {
        c(j, i, batch) = algebra.finalize({c(j, i, batch)});
        finalize_stage = stages++;
    }
    if (product.drops_nan() && !poisons_in_tiles()) {
        // A NaN anywhere in row i of A or column j of B makes C[i, j] NaN. Found by two scans at memory speed, applied
        // only where there is one: a max that kept NaN would halve the speed of the inner loop.
        nan_i = RDom(0, rows, "nan_i");
        nan_j = RDom(0, columns, "nan_j");
        const auto is_met = [](const Expr &held, const Expr &x) { return max(held, cast<uint8_t>(exact::is_nan(x))); };
        define_scan(scan_of_a(nan_a), cast<uint8_t>(0), is_met);
        define_scan(scan_of_b(nan_b), cast<uint8_t>(0), is_met);
        nan_any(batch) = cast<uint8_t>(0);
        nan_any(batch) = max(nan_any(batch), nan_a(nan_i, batch));
        nan_any(batch) = max(nan_any(batch), nan_b(nan_j, batch));
        poisoned = RDom(0, columns, "poisoned");
        poisoned.where(nan_any(batch) != 0);
        const Expr nan = exact::constant(type, std::numeric_limits<double>::quiet_NaN());
        const Expr is_poisoned = (nan_a(i, batch) | nan_b(poisoned, batch)) != 0;
        if (carries) {
            const Tuple both = c(poisoned, i, batch);
            c(poisoned, i, batch) = Tuple(select(is_poisoned, nan, both[0]), both[1]);
        } else {
            c(poisoned, i, batch) = select(is_poisoned, nan, c(poisoned, i, batch));
        }
        poison_stage = stages++;
    }
}

Expr Contraction::step(Expr sum, Expr x, Expr y, Expr from) const {
    if (from.defined())
        return weights_right ? fma(y, x - from, sum) : fma(x, y - from, sum);
    return product.accumulate({sum}, x, y)[0];
}

void Contraction::whole() {
    define_order(carries ? winner_block : block);
    if (lowering) {
        maximum_k = RDom(0, depth, "maximum_k");
        a_maximum(i, batch) = negative_infinity(type);
        a_maximum(i, batch) = exact::ordered_max(a_maximum(i, batch), a(maximum_k, i, batch));
        b_maximum(j, batch) = negative_infinity(type);
        b_maximum(j, batch) = exact::ordered_max(b_maximum(j, batch), b(j, maximum_k, batch));
        a_rows(k, i, batch) = lowering->operand(a(k, i, batch), a_maximum(i, batch));
        b_rows(j, k, batch) = lowering->operand(b(j, k, batch), b_maximum(j, batch));
    } else {
        a_rows(k, i, batch) = left_value(a(k, i, batch));
        b_rows(j, k, batch) = b(j, k, batch);
    }
    partial(j, i, ko, batch) = start ? *start : product.init(type)[0];
    partial(j, i, ko, batch) = step(partial(j, i, ko, batch), a_rows(clamped_k(inside), i, batch),
                                    b_rows(j, clamped_k(inside), batch), at ? (*at)(j, i, batch) : Expr());
    merge_into_c(partial(j, i, blocks, batch));
}

void Contraction::add_panel(const ContractionTile &tile, int lanes, int vectors, bool edge) {
    ContractionPanel p;
    p.vectors = vectors;
    p.edge = edge;
    p.rows = edge && vectors < tile.vectors ? tile.edge_rows[vectors - 1] : tile.rows;
    p.suffix = edge ? "_edge_" + std::to_string(vectors) : "_full";
    p.merge_stage = static_cast<int>(panels.size());
    // Runs that carry winners are as many loops to compile: an edge has one.
    const int length = carries ? winner_block : block;
    p.block = edge ? length : block;
    p.width = vectors * lanes;
    const int width = p.width, full_width = tile.vectors * lanes;
    const Expr left_over = columns % full_width, full_panels = columns / full_width;
    const Expr mine = (left_over + lanes - 1) / lanes == vectors; // the edge has this width
    const auto func = [&](const char *name) { return Func(name + p.suffix); };
    p.a = func("a_rows"), p.b = func("b_panel"), p.b_inside = func("b_inside");
    p.maximum = func("maximum_inside");

    // A: an edge tile of rows repeats the last one, which the guarded store drops.
    std::function<Expr(const Expr &)> left;
    const Expr row = likely(min(i, rows - 1)), tile_row = io * p.rows + ii;
    if (lowering) {
        p.a(k, i, batch) = lowering->operand(a(k, row, batch), a_maximum(row, batch));
        left = [&](const Expr &at_k) { return p.a(at_k, tile_row, batch); };
    } else {
        p.a(ii, k, io, batch) = a(k, likely(min(tile_row, rows - 1)), batch);
        left = [&](const Expr &at_k) {
            // The schedule specialises on the condition.
            return select(a_contiguous_in_k, a(at_k, min(tile_row, rows - 1), batch), p.a(ii, at_k, io, batch));
        };
    }

    // B. The edge panel fills its vectors up with zeros.
    const Expr first = edge ? full_panels * full_width : jo * width;
    Func packed = lowering ? p.b_inside : p.b;
    if (edge) {
        const Expr extent = select(mine, left_over, 0);
        p.columns = RDom(0, extent, "columns" + p.suffix);
        packed(ji, k, jo, batch) = zero(type);
        packed(p.columns % width, k, p.columns / width, batch) = b(first + p.columns, k, batch);
        p.tiles = RDom(0, extent, 0, select(mine, (depth + p.block - 1) / p.block, 0), "tiles" + p.suffix);
    } else {
        const Expr plain = b(first + ji, k, batch);
        if (lowering) {
            packed(ji, k, jo, batch) = plain;
        } else { // the schedule specialises on the condition
            p.b_block = func("b_block");
            p.b_block(ji, k, jo, batch) = plain;
            packed(ji, k, jo, batch) = select(b_contiguous_in_k, p.b_block(ji, k, jo, batch), plain);
        }
        const Expr k_panels = (n_blocks + blocks_per_panel - 1) / blocks_per_panel;
        p.tiles = RDom(0, width, 0, blocks_per_panel, 0, full_panels, 0, select(full_panels > 0, k_panels, 0),
                       "tiles" + p.suffix);
    }
    const Expr in_panel = p.tiles[0];
    const Expr at_block = edge ? Expr(p.tiles[1]) : p.tiles[3] * blocks_per_panel + p.tiles[1];
    if (!edge)
        p.tiles.where(at_block < n_blocks);
    if (lowering) {
        p.maximum(ji, jo, batch) = b_maximum(edge ? min(first + ji, columns - 1) : first + ji, batch);
        p.b(ji, k, jo, batch) = lowering->operand(p.b_inside(ji, k, jo, batch), p.maximum(ji, jo, batch));
    }

    if (at) {
        p.at = func("at_tile");
        const Expr column = edge ? min(first + ji, columns - 1) : first + ji;
        p.at(ji, ii, jo, io, batch) = (*at)(column, likely(min(tile_row, rows - 1)), batch);
    }
    if (!edge && ask_ahead) {
        p.ahead = func("ahead");
        p.ahead(jo, io, ko, batch) = ask_ahead(p);
    }

    // Whole groups of unrolled steps, then the rest: a test in the unrolled loop would cost more than the loop.
    const int unroll = tile.unroll_k;
    const Expr block_begin = ko * p.block, block_end = min(block_begin + p.block, depth);
    for (int nth = 0; nth < p.block / length; ++nth) {
        const std::string suffix = p.suffix + (nth ? "_" + std::to_string(nth) : "");
        const Expr begin = block_begin + nth * length, left_steps = depth - begin;
        const Expr steps = nth ? clamp(left_steps, 0, length) : min(length, left_steps);
        ContractionRun run{Func("partial" + suffix), RDom(0, unroll, 0, length / unroll, "groups" + suffix),
                           RDom(0, unroll - 1, "rest" + suffix)};
        run.groups.where(run.groups[1] * unroll + unroll <= left_steps);
        run.rest.where(run.rest < steps % unroll);
        Func partial = run.partial;
        // A maximum or minimum may go on from what it is; its bits stay those of a merge.
        partial(ji, ii, jo, io, ko, batch) =
            nth ? p.runs.back().partial(ji, ii, jo, io, ko, batch) : product.init(type)[0];
        const auto accumulate = [&](const Expr &step_of_k) {
            const Expr asked = p.ahead.defined() ? step_of_k + p.ahead(jo, io, ko, batch) : step_of_k;
            const Expr at_k = unsafe_promise_clamped(asked, block_begin, block_end - 1);
            partial(ji, ii, jo, io, ko, batch) =
                step(partial(ji, ii, jo, io, ko, batch), left(at_k), p.b(ji, at_k, jo, batch),
                     at ? p.at(ji, ii, jo, io, batch) : Expr());
        };
        accumulate(begin + run.groups[1] * unroll + run.groups[0]);
        if (unroll > 1)
            accumulate((begin + steps) / unroll * unroll + run.rest); // runs begin at multiples of `unroll`
        p.runs.push_back(run);
    }

    // A guarded store needs select: a branch in it would be taken lane by lane.
    const auto choose = [&](const Expr &condition, const Expr &yes, const Expr &no) {
        return edge ? select(condition, yes, no) : branch(condition, yes, no);
    };
    const Expr panel = edge ? in_panel / width : Expr(p.tiles[2]);
    const Expr column = edge ? first + in_panel : panel * width + in_panel;
    const auto part_of_run = [&](Func partial) {
        return partial(edge ? in_panel % width : in_panel, i % p.rows, panel, i / p.rows, at_block, batch);
    };
    const Expr part = part_of_run(p.runs.back().partial);
    if (carries) {
        const int runs = static_cast<int>(p.runs.size());
        Expr winner = at_block * runs;
        for (int nth = 1; nth < runs; ++nth) {
            const Expr grown = part_of_run(p.runs[nth].partial) != part_of_run(p.runs[nth - 1].partial);
            winner = select(grown, at_block * runs + nth, winner);
        }
        c(column, i, batch) = first_met(at_block == 0, part, winner, c(column, i, batch)[0], c(column, i, batch)[1]);
        panels.push_back(p);
        return;
    }
    Expr value = after_block(choose, at_block, c(column, i, batch), part);
    if (lowering && !edge)
        value = branch(at_block == n_blocks - 1, lowering->result(value, a_maximum(i, batch), b_maximum(column, batch)),
                       value);
    c(column, i, batch) = value;
    panels.push_back(p);
}

void Contraction::panelled(const ContractionTile &tile, int lanes) {
    define_order();
    if (lowering) { // a NaN is dropped here and found in the operand itself
        define_scan(scan_of_a(a_maximum), negative_infinity(type), exact::ordered_max);
        define_scan(scan_of_b(b_maximum), negative_infinity(type), exact::ordered_max);
    }
    if (carries)
        c(j, i, batch) = Tuple(undef(type), undef<int32_t>());
    else
        c(j, i, batch) = undef(result);
    add_panel(tile, lanes, tile.vectors, false);
    for (int vectors = 1; vectors <= tile.vectors; ++vectors)
        add_panel(tile, lanes, vectors, true);
    finish_c(static_cast<int>(panels.size()));
}

} // namespace nitrix::family
