// The contraction family: C[i, j] = finalize(merge over blocks of k (update over k of combine(A[i, k], B[k, j]))).
//
// A schedule chooses a form (whole, panelled or unpacked); all compute the same bits, because the order of the
// reduction is fixed here: k in blocks, sequential inside a block from the identity, blocks merged in order.
#pragma once

#include <Halide.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "generators/core/algebra.h"

namespace nitrix::family {

using Halide::Func;
using Halide::RDom;
using Halide::Tuple;
using Halide::Var;

// The register tile: rows x (vectors * lanes) accumulators. rows * vectors + rows + 1 must not exceed the number of
// vector registers, because LLVM keeps every row's broadcast alive.
struct ContractionTile {
    int rows;
    int vectors;
    int unroll_k = 4;
    int edge_rows[3] = {}; // of panelled(): heights of the tiles of 1, 2 and 3 vectors at the right edge
};

// A tile of unpacked(): it serves products of at least so many rows and columns, where no larger tile does.
struct SmallTile {
    int columns, rows;
    // What its vectors hold: columns, or, of fewer columns than a vector has lanes, rows, where A is contiguous in i,
    // or in k, and turned.
    enum class Vectors { columns, rows, turned_rows } vectors = Vectors::columns;
    int of_rows = 0; // of the product, at least, where it is the only tile of so many columns
    bool along_rows() const { return vectors != Vectors::columns; }
};

// The loop nest of one such tile.
struct ContractionSmall {
    SmallTile tile;
    Func partial;              // one block's reduction
    Func total;                // on threads: over all blocks of k
    Func ahead;                // 0, once memory was asked for a part of a later item
    Func along;                // of turned rows: 0, once memory was asked for how they go on after a square
    Func row_nan, column_nan;  // of a row of A, a column of B: the largest magnitude, as bits
    std::vector<Func> a_turns; // of turned rows: a square of A, of as many rows and steps as a vector has lanes
    // (column, row, block of k, tile of rows, tile of columns, item of the batch) or, on threads, (column, row, tile of
    // rows, tile of columns, block of tiles of rows, item of the batch).
    RDom tiles;
    RDom merges, inside; // blocks of k on threads, k inside a block
    RDom groups, rest;   // of turned rows, in place of `inside`: (step of a square, squares), what is left
    Var place{"place"}, band{"band"}, square{"square"}; // of a_turns: in a square, row by row; of rows; of steps
    RDom nan_k;
    int merge_stage = 0; // of c
};

// What one accumulation of a tile runs through: a block of k or, where winners are carried, a part of one, which goes
// on from where the part before it ended.
struct ContractionRun {
    Func partial;
    RDom groups, rest; // k inside: (of a group, groups of unroll_k), what is left
};

// Tiles of one width over all rows of C: the full panels of columns, or what is left to their right, in one of the
// widths that it may have.
struct ContractionPanel {
    int rows, vectors; // of a tile
    bool edge;
    std::string suffix;
    Func a, b;              // packed operands
    Func b_inside, maximum; // under a lowering: B as it is, maxima of its columns
    Func b_block;           // elsewhere: a part of B that is transposed on its way into b
    Func at;                // of a third operand, a tile
    Func ahead;             // of full panels: 0, once memory was asked for what a tile meets next
    RDom columns;           // of the edge panel, for packing
    RDom tiles;             // edge: (column, block of k); full: (column, block in its panel, panel of columns, of k)
    int width;              // of a tile, in columns
    int block;              // of k, in steps
    std::vector<ContractionRun> runs; // of one block
    int merge_stage = 0;              // of c
};

// A reduction over k for each row of A or column of B, of which one of two forms is run: along k, where the operand is
// contiguous in k, or across.
struct ContractionScan {
    Func result, along, across;
    Var v; // i or j
    Expr extent, contiguous_in_v, contiguous_in_k;
    RDom k;
    Expr value; // of the operand
};

class Contraction {
public:
    static constexpr int block = 256;
    // Short enough to search one for its winner.
    static constexpr int winner_block = 64;

    // a: dims (k, i, batch), b: dims (j, k, batch), c: dims (j, i, batch), innermost first. carries: c is a Tuple of
    // the value and of the block of k (winner_block long) that it was met in first, -1 where the value is the identity.
    Contraction(const Algebra &algebra, Func a, Func b, Func c, Expr rows, Expr columns, Expr depth,
                bool carries = false);

    // One accumulator at a time: the reference.
    void whole();
    // The accumulators of a tile at a time, operands packed. Tiles of whole vectors need no guard: full panels of
    // columns, then one narrower panel.
    void panelled(const ContractionTile &tile, int lanes);
    // No copies and no guards: operands are read where they lie, and the last tile shifts inwards and computes some
    // entries twice. tiles: the wider first, among equally wide ones the higher; the last is 1 x 1.
    void unpacked(const std::vector<SmallTile> &tiles, int lanes);

    const Algebra &algebra;
    const std::optional<Lowering> lowering; // of the algebra
    const Algebra &product;                 // what the inner loop computes in: the lowering's, else the algebra itself
    const Func a, b;
    Func c;
    const bool carries;
    const Expr rows, columns, depth;
    const Type type;         // of the operands
    const Type result;       // of C: truth values are bytes, also where the operands hold 32 of them in a word
    std::string shape_class; // of the manifest: which of the target's forms is wanted

    // Where an operand is contiguous, as a condition on its strides: packing has a form of its own for each.
    Expr a_contiguous_in_k, a_contiguous_in_i, b_contiguous_in_j, b_contiguous_in_k, at_contiguous_in_j;

    // What the forms define, for the schedule.
    Var i{"i"}, j{"j"}, k{"k"}, batch{"batch"};
    Var ji{"ji"}, ii{"ii"}, jo{"jo"}, io{"io"}, ko{"ko"}; // inside and outside a tile
    RDom blocks, inside;                                  // blocks of k, k inside a block
    Func partial{"partial"};                              // one block's reduction
    Func a_rows{"a_rows"}, b_rows{"b_rows"};              // whole()'s operands
    Func a_maximum{"a_maximum"}, b_maximum{"b_maximum"};  // of a row, of a column
    RDom maximum_k;                                       // of whole()
    Func nan_a{"nan_a"}, nan_b{"nan_b"}, nan_any{"nan_any"};
    RDom nan_i, nan_j, poisoned;
    std::vector<ContractionScan> scans; // that fill the maxima, elsewhere than in whole(), and nan_a, nan_b
    RDom finished;                      // columns of panelled()'s edge, under a lowering
    // Of k, in a packed panel of B. A tile meets them all while its part of C is in the first-level cache, so C is read
    // and written once for so many (float64, 1024^3: one takes 1.05 of the time, four 1.0, and 1.05 of a transposed
    // A's).
    static constexpr int blocks_per_panel = 2;
    static constexpr int panel_depth = blocks_per_panel * block;
    // Panels of B that are packed at once, into half of a second-level cache of 1 MiB (Zen 5: all of it takes 1.05 of
    // the time in float64, 1.07 in float32 at 2048^3); of one of 2 MiB, all of it takes 1.35.
    int panels_at_once(int width) const { return std::max(1, (512 << 10) / (panel_depth * type.bytes() * width)); }
    // If given: the value of ContractionPanel::ahead, for the tile (jo, io) and block ko of k.
    std::function<Expr(const ContractionPanel &)> ask_ahead;
    // If given: the value of ContractionSmall::ahead, for a tile of those that an item has, and whether it asks.
    std::function<Expr(const Expr &tile, const Expr &tiles)> ask_for_items;
    Expr asks_for_items;
    // If given: the value of ContractionSmall::along, for the rows from `first` on, at step k.
    std::function<Expr(const Expr &k, const Expr &first, int rows)> ask_along_rows;
    // If given: a third operand, like c, and the reduction is of a * (b - at), or of (a - at) * b if weights_right,
    // with one fma each, in the algebra REAL.
    std::optional<Func> at;
    bool weights_right = false;
    // If given, whole()'s accumulators start from this in place of the identity, whose value it has.
    std::optional<Expr> start;
    int merge_stage = 0, finalize_stage = -1, poison_stage = -1; // update stages of c
    std::vector<ContractionPanel> panels;                        // of panelled()
    std::vector<ContractionSmall> smalls;                        // of unpacked()
    bool poisons_in_tiles() const { return product.drops_nan() && shape_class == "small"; }

    // The most scratch bytes that one call holds at once, as a function of the shape and of how many threads share its
    // parallel loops; set by the schedule. Negative: not known from these.
    Expr scratch_bytes;
    static Expr shape_rows() { return Halide::Internal::Variable::make(Halide::Int(64), "m"); }
    static Expr shape_columns() { return Halide::Internal::Variable::make(Halide::Int(64), "n"); }
    static Expr shape_batch() { return Halide::Internal::Variable::make(Halide::Int(64), "batch"); }
    static Expr shape_threads() { return Halide::Internal::Variable::make(Halide::Int(64), "threads"); }
    // 1 where the first argument has no unit inner stride.
    static Expr first_is_strided() { return Halide::Internal::Variable::make(Halide::Int(64), "strided") % 2; }
    static Expr shape_depth() { return Halide::Internal::Variable::make(Halide::Int(64), "k"); }

private:
    void define_order(int length = block);
    void merge_into_c(Expr part);
    Tuple first_met(const Expr &first, const Expr &part, const Expr &part_winner, const Expr &held,
                    const Expr &held_winner) const;
    void finish_c(int stages);
    void define_turns(ContractionSmall &s, const std::string &suffix, int lanes,
                      const std::function<Expr(const Expr &, const Expr &)> &entry) const;
    void add_panel(const ContractionTile &tile, int lanes, int vectors, bool edge);
    Expr clamped_k(Expr inside_block) const;
    Expr step(Expr sum, Expr x, Expr y, Expr from) const;
    Expr left_value(Expr value) const;
    Expr part_of_result(Expr part) const;
    using Choice = std::function<Expr(const Expr &condition, const Expr &yes, const Expr &no)>;
    Expr after_block(const Choice &choose, const Expr &at_block, const Expr &held, const Expr &part) const;
    void define_scan(ContractionScan scan, const Expr &initial,
                     const std::function<Expr(const Expr &held, const Expr &value)> &step);
    ContractionScan scan_of_a(const Func &result) const;
    ContractionScan scan_of_b(const Func &result) const;

    int block_length = block; // in steps of k
    Expr n_blocks;            // of k
};

} // namespace nitrix::family
