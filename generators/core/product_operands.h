// What every kernel over the operands of a matrix product asks of its buffers, innermost dimension first:
// left(k, i, batch), right(j, k, batch), out(j, i, batch). Operands may have any strides, results a unit inner one.
#pragma once

#include <Halide.h>

#include "generators/core/contraction.h"
#include "generators/core/own_lowering.h"
#include "generators/core/prefetch.h"

namespace nitrix {

template <typename Left, typename Right, typename Out>
void constrain_product(const Left &left, const Right &right, const Out &out) {
    const Expr rows = out.dim(1).extent(), columns = out.dim(0).extent(), batch = out.dim(2).extent();
    left.dim(0).set_min(0).set_stride(Expr());
    left.dim(1).set_min(0).set_extent(rows);
    left.dim(2).set_min(0).set_extent(batch);
    right.dim(0).set_min(0).set_extent(columns).set_stride(Expr());
    right.dim(1).set_min(0).set_extent(left.dim(0).extent());
    right.dim(2).set_min(0).set_extent(batch);
    for (int d = 0; d < 3; ++d)
        out.dim(d).set_min(0);
}

// An array of the shape of `out`.
template <typename Buffer, typename Out> void constrain_like(const Buffer &buffer, const Out &out) {
    for (int d = 0; d < 3; ++d)
        buffer.dim(d).set_min(0).set_extent(out.dim(d).extent());
}

// A tile asks memory for its part of each result before it meets its first block of k, and for a piece of the rows of
// the left operand below its own. Only in arrays that the caches hardly hold: at 2048^3 that takes 0.92 of the time, at
// 1024^3 0.96 to 0.98 where other arrays were used in between and 1.01 where none were.
template <typename Left> void ask_ahead(family::Contraction &f, const Left &left) {
    f.ask_ahead = [&f, &left](const family::ContractionPanel &p) {
        const auto is_large = [](const auto &buffer) {
            Expr size = Halide::cast<int64_t>(buffer.type().bytes());
            for (int d = 0; d < 3; ++d)
                size *= buffer.dim(d).extent();
            return size >= 4 << 20;
        };
        const auto rows_from = [&](const Expr &row) { return Halide::min(row + p.rows, f.rows) - row; };
        const int blocks = family::Contraction::blocks_per_panel, pieces = f.panels_at_once(p.width) * blocks;
        const Expr row = f.io * p.rows, below = row + p.rows, block = f.ko % blocks;
        const int steps = f.panel_depth / pieces;
        const Expr piece = f.ko / blocks * f.panel_depth + (f.jo * blocks + block) % pieces * steps;
        const auto part = [&](const auto &buffer, const Expr &first_column, const Expr &first_row, int columns) {
            return branch(is_large(buffer),
                          ask_for_rows(address(buffer, first_column, first_row, f.batch), byte_offset(buffer, 0, 1, 0),
                                       rows_from(first_row), Lines::of(columns * buffer.type().bytes())),
                          0);
        };
        Expr asked = branch(f.a_contiguous_in_k, part(left, piece, below, steps), 0);
        for (const Halide::OutputImageParam &out : f.c.output_buffers())
            asked = asked | branch(block == 0, part(out, f.jo * p.width, row, p.width), 0);
        return asked;
    };
}

// Small products of a batch: a tile asks memory for its share of the item after the next (the next: 0.65 of the time
// where that is 0.6, 16384 x 16^3 in float64; all of it in the first tile: 0.77).
template <typename Left, typename Right>
void ask_for_items(family::Contraction &f, const Left &left, const Right &right) {
    std::vector<Expr> sizes, first, apart;
    const auto add = [&](const auto &buffer) {
        sizes.push_back(Halide::cast<int64_t>(buffer.dim(0).extent()) * buffer.dim(1).extent() * buffer.type().bytes());
        apart.push_back(byte_offset(buffer, 0, 0, 1));
        first.push_back(address(buffer, 0, 0, f.batch + 2));
    };
    add(left);
    add(right);
    const Halide::OutputImageParam out = f.c.output_buffers()[0];
    add(out);
    std::vector<Expr> arguments = sizes;
    arguments.insert(arguments.end(), apart.begin(), apart.end());
    arguments.push_back(out.dim(2).extent());
    f.asks_for_items = decided_by("to_ask_for_items", arguments);
    f.ask_for_items = [=, &f](const Expr &tile, const Expr &tiles) {
        Expr shares = 0;
        for (size_t i = 0; i < sizes.size(); ++i) {
            const Lines share{(Lines::of(Halide::cast<int32_t>(sizes[i])).whole + tiles - 1) / tiles};
            shares = shares | ask_for_row(first[i] + Halide::cast<uint64_t>(tile * share.whole * line_bytes), share);
        }
        return branch(f.asks_for_items, shares, 0);
    };
}

// Rows of a large matrix, 16 side by side: memory is asked for how they go on, and then for the rows below them. Of
// 64 MB 0.7 of the time (0.8 where rows are multiples of 4 KiB apart, and meet in the same few places of a cache); of
// what a third-level cache holds 1.1 to 1.2.
template <typename Left> void ask_along_rows(family::Contraction &f, const Left &left) {
    f.ask_along_rows = [&](const Expr &k, const Expr &first, int rows) {
        const int size = left.type().bytes();
        const Expr bytes = Halide::cast<int64_t>(left.dim(0).extent()) * left.dim(1).extent() * size;
        const Expr apart = byte_offset(left, 0, 1, 0);
        const Expr on = k + Halide::select(apart % 4096 == 0, 512 / size, 768 / size);
        const Expr end = left.dim(0).extent(); // then the rows below
        const Expr at = address(left, Halide::select(on < end, on, on - end),
                                Halide::select(on < end, first, first + rows), f.batch);
        return branch(bytes >= 16 << 20, ask_for_rows(at, apart, rows, Lines{1}), 0);
    };
}

// Where the operands are contiguous, and what a tile asks memory for.
template <typename Left, typename Right>
void note_layout(family::Contraction &f, const Left &left, const Right &right) {
    f.a_contiguous_in_k = left.dim(0).stride() == 1;
    f.a_contiguous_in_i = left.dim(1).stride() == 1;
    f.b_contiguous_in_j = right.dim(0).stride() == 1;
    f.b_contiguous_in_k = right.dim(1).stride() == 1;
    ask_ahead(f, left);
    ask_for_items(f, left, right);
    ask_along_rows(f, left);
}

// A third operand of the shape of the result.
template <typename At, typename Out> void subtract(family::Contraction &f, const At &at, const Out &out) {
    constrain_like(at, out);
    at.dim(0).set_stride(Expr());
    f.at = at;
    f.at_contiguous_in_j = at.dim(0).stride() == 1;
}

} // namespace nitrix
