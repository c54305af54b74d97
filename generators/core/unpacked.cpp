// The definition of Contraction::unpacked(): a reduction for each tile, of which a call enters one.
#include <map>

#include "generators/core/branch.h"
#include "generators/core/contraction.h"
#include "generators/core/own_lowering.h"

namespace nitrix::family {

using namespace Halide;

static std::string name_of(const SmallTile &tile) {
    std::string size = std::to_string(tile.rows) + "x" + std::to_string(tile.columns);
    switch (tile.vectors) {
    case SmallTile::Vectors::rows:
        return size + "_rows";
    case SmallTile::Vectors::turned_rows:
        return size + "_turned";
    case SmallTile::Vectors::columns:
        break;
    }
    return size;
}

// The transpose of a square, in steps that are one instruction for each vector: rows that differ in one bit of their
// number exchange halves of groups of 16 bytes, in pieces as long as that bit says, and then groups.
void Contraction::define_turns(ContractionSmall &s, const std::string &suffix, int lanes,
                               const std::function<Expr(const Expr &, const Expr &)> &entry) const {
    const Expr r = s.place / lanes, column = s.place % lanes;
    const Expr asked = s.along.defined() ? Expr(s.along(s.square, io, ko, batch)) : Expr(0);
    for (int bit = 0; bit < lanes; bit = std::max(1, 2 * bit)) {
        Func turn("a_turn_" + std::to_string(bit) + suffix);
        const auto before = [&](const Expr &row) {
            return s.a_turns.back()(row * lanes + column, s.band, s.square, io, ko, batch);
        };
        if (bit == 0) {
            turn(s.place, s.band, s.square, io, ko, batch) =
                entry(clamped_k(s.square * lanes + column + asked), s.band * lanes + r);
        } else {
            const Expr without = r / (2 * bit) * (2 * bit) + r % bit;
            turn(s.place, s.band, s.square, io, ko, batch) =
                exchange(before(without), before(without + bit), r / bit % 2, std::min(bit, 16 / type.bytes()));
        }
        s.a_turns.push_back(turn);
    }
}

// Where step k of a square is then: halves come before pieces of them.
static Expr turned_step(const Expr &k, const Type &type) {
    return type.bytes() == 4 ? k / 4 * 4 + k % 2 * 2 + k / 2 % 2 : k;
}

void Contraction::unpacked(const std::vector<SmallTile> &tiles, int lanes) {
    define_order();
    const Expr items = c.output_buffer().dim(2).extent();
    c(j, i, batch) = undef(result);
    // Of tiles of more than two vectors the one serves that computes fewest columns twice, others than the first only
    // where they save more than a vector; then one of two, 1.3 times as fast as one; either where those are few. One of
    // more than 8 rows serves where it computes fewer twice, and one of several vectors, of which four rows keep the
    // machine busy, where few.
    const auto padded = [](const Expr &extent, int to) { return (extent + to - 1) / to * to; };
    const Expr few = padded(columns, lanes) * 5 / 4, too_many = few + lanes + 1;
    std::map<int, Expr> computed; // columns, and that vector, by those of a wide tile
    Expr fewest = too_many;
    for (const SmallTile &tile : tiles)
        if (tile.columns > 2 * lanes && !computed.count(tile.columns)) {
            const Expr all = padded(columns, tile.columns);
            const Expr serves = columns >= tile.columns && rows >= tile.of_rows && all <= few;
            computed[tile.columns] = select(serves, all + (computed.empty() ? 0 : lanes), too_many);
            fewest = min(fewest, computed[tile.columns]);
        }
    const auto fits = [&](int width) {
        if (width > 2 * lanes)
            return computed.at(width) == fewest && fewest < too_many;
        return width > lanes ? columns >= width && padded(columns, width) <= few : columns >= width;
    };
    const auto fits_rows = [&](const SmallTile &tile) {
        const Expr enough = rows >= tile.rows;
        if (tile.of_rows > 0) // for enough in any case
            return Internal::const_true();
        if (tile.rows > 8)
            return enough && padded(rows, tile.rows) < padded(rows, 8);
        const bool busy = tile.columns > 2 * lanes && tile.rows > 4;
        return busy ? enough && 5 * padded(rows, tile.rows) <= 6 * padded(rows, 4) : enough;
    };
    Expr wider = Internal::const_false(), higher = wider; // such a tile serves
    Expr along = Internal::const_false();                 // one along rows does,
    int along_below = 0;                                  // for fewer columns
    for (const SmallTile &tile : tiles) {
        ContractionSmall s;
        s.tile = tile;
        s.merge_stage = static_cast<int>(smalls.size());
        const std::string suffix = "_" + name_of(tile);
        if (!smalls.empty() && !smalls.back().tile.along_rows() && smalls.back().tile.columns != tile.columns) {
            // As short as can be: a condition stands in the bounds of all loops, and compiling takes as long.
            const int before = smalls.back().tile.columns;
            if (before <= lanes)
                wider = columns >= before;
            else if (before > 2 * lanes && tile.columns <= 2 * lanes)
                wider = fewest < too_many;
            else
                wider = wider || fits(before);
            higher = Internal::const_false();
        }
        Expr mine;
        if (tile.along_rows()) {
            const bool power = (tile.columns & (tile.columns - 1)) == 0; // others serve so many columns alone
            mine = columns >= tile.columns && columns < (power ? 2 * tile.columns : tile.columns + 1) &&
                   rows >= tile.rows && !along &&
                   (tile.vectors == SmallTile::Vectors::rows ? a_contiguous_in_i : a_contiguous_in_k);
            along = along || mine;
            along_below = std::max(along_below, 2 * tile.columns);
        } else {
            mine = fits(tile.columns) && fits_rows(tile) && !wider && !higher;
            if (tile.columns < along_below)
                mine = mine && !along;
            higher = higher || fits_rows(tile);
        }
        const int width = tile.columns, height = tile.rows;
        const Expr row_tiles = (rows + height - 1) / height, column_tiles = (columns + width - 1) / width;
        const Expr my_items = select(mine, items, 0);
        // From the inside: a panel of B stays in the first-level cache or the second.
        Expr row_tile, column_tile, item;
        const bool on_threads = algebra.bit_packed() || tile.along_rows(); // of any size: blocks of rows
        if (on_threads) {
            constexpr int block = 16;
            s.tiles = RDom(0, width, 0, height, 0, block, 0, column_tiles, 0, (row_tiles + block - 1) / block, 0,
                           my_items, "tiles" + suffix);
            row_tile = s.tiles[4] * block + s.tiles[2], column_tile = s.tiles[3], item = s.tiles[5];
            s.tiles.where(row_tile < row_tiles);
        } else {
            s.tiles =
                RDom(0, width, 0, height, 0, n_blocks, 0, row_tiles, 0, column_tiles, 0, my_items, "tiles" + suffix);
            row_tile = s.tiles[3], column_tile = s.tiles[4], item = s.tiles[5];
        }
        s.inside = RDom(0, block_length, "inside" + suffix);
        s.inside.where(s.inside < depth - ko * block_length);
        s.partial = Func("partial" + suffix);
        const auto column = [&](const Expr &o, const Expr &at) {
            return unsafe_promise_clamped(min(o * width, columns - width) + at, 0, columns - 1);
        };
        const auto row = [&](const Expr &o, const Expr &at) {
            return unsafe_promise_clamped(min(o * height, rows - height) + at, 0, rows - 1);
        };
        s.partial(ji, ii, jo, io, ko, batch) = product.init(type)[0];
        // Where a step is several instructions a batch hardly waits for memory: 0.9 to 1.05 of the time in MAX_PLUS.
        if (!on_threads && ask_for_items && algebra.name() == "real") {
            s.ahead = Func("ahead" + suffix);
            s.ahead(jo, io, ko, batch) = ask_for_items(jo * row_tiles + io, row_tiles * column_tiles);
        }
        const auto accumulate = [&](const Expr &at_k, const Expr &left) {
            s.partial(ji, ii, jo, io, ko, batch) =
                step(s.partial(ji, ii, jo, io, ko, batch), left_value(left), b(column(jo, ji), at_k, batch), Expr());
        };
        if (tile.vectors == SmallTile::Vectors::turned_rows) {
            if (ask_along_rows) {
                s.along = Func("along" + suffix);
                s.along(s.square, io, ko, batch) =
                    ask_along_rows(ko * block_length + s.square * lanes, row(io, 0), height);
            }
            define_turns(s, suffix, lanes, [&](const Expr &at_k, const Expr &r) { return a(at_k, row(io, r), batch); });
            const Expr left_steps = depth - ko * block_length;
            s.groups = RDom(0, lanes, 0, block_length / lanes, "groups" + suffix);
            s.groups.where(s.groups[1] * lanes + lanes <= left_steps);
            accumulate(clamped_k(s.groups[1] * lanes + s.groups[0]),
                       s.a_turns.back()(turned_step(s.groups[0], type) * lanes + ii % lanes, ii / lanes, s.groups[1],
                                        io, ko, batch));
            s.rest = RDom(0, lanes - 1, "rest" + suffix);
            s.rest.where(s.rest < min(left_steps, block_length) % lanes);
            const Expr in_rest = clamped_k(min(left_steps, block_length) / lanes * lanes + s.rest);
            accumulate(in_rest, a(in_rest, row(io, ii), batch));
        } else {
            const Expr at_k = clamped_k(s.inside);
            accumulate(at_k, a(at_k, row(io, ii), batch));
        }
        const RDom &t = s.tiles;
        const Expr asked = s.ahead.defined() ? Expr(s.ahead(column_tile, row_tile, t[2], item)) : Expr(0);
        const Expr i_of_c = row(row_tile, t[1]), j_of_c = column(column_tile, t[0] + asked);
        Expr value;
        if (on_threads) { // nothing is read that another thread may write
            s.total = Func("total" + suffix);
            s.merges = RDom(0, n_blocks, "merges" + suffix);
            s.total(ji, ii, jo, io, batch) = product.init(type)[0];
            s.total(ji, ii, jo, io, batch) =
                product.merge({s.total(ji, ii, jo, io, batch)}, {s.partial(ji, ii, jo, io, s.merges, batch)})[0];
            value = part_of_result(algebra.finalize({s.total(t[0], t[1], column_tile, row_tile, item)}));
        } else { // the only block of k does not leave the registers
            const Expr part = s.partial(t[0], t[1], column_tile, row_tile, t[2], item);
            value = after_block(branch, t[2], c(j_of_c, i_of_c, item), part);
        }
        if (poisons_in_tiles()) {
            const Expr none = zero(UInt(type.bits()));
            s.nan_k = RDom(0, depth, "nan_k" + suffix);
            s.row_nan = Func("row_nan" + suffix), s.column_nan = Func("column_nan" + suffix);
            s.row_nan(ii, io, batch) = none;
            s.row_nan(ii, io, batch) =
                max(s.row_nan(ii, io, batch), exact::magnitude_bits(a(s.nan_k, row(io, ii), batch)));
            s.column_nan(ji, jo, batch) = none;
            s.column_nan(ji, jo, batch) =
                max(s.column_nan(ji, jo, batch), exact::magnitude_bits(b(column(jo, ji), s.nan_k, batch)));
            const Expr largest = max(s.row_nan(t[1], row_tile, item), s.column_nan(t[0], column_tile, item));
            value = select(exact::is_nan_of_bits(largest), exact::quiet_nan(type), value);
        }
        c(j_of_c, i_of_c, item) = value;
        smalls.push_back(s);
    }
    finish_c(static_cast<int>(smalls.size()));
}

} // namespace nitrix::family
