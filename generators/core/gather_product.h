// The gather_product family: C[i, j] = finalize(merge over blocks of k (update over k of combine(values[i, k],
// B[indices[i, k], j]))), over the k whose index is not negative: what a negative one stands beside is never read.
//
// The order of the reduction is a contraction's: k in blocks of `block`, sequential inside a block from the identity,
// blocks merged in order. So the product with a matrix that happens to be full has the bits of semiring_matmul, and
// LOG's those of its streaming form: the maximum first, then the sum.
#pragma once

#include <Halide.h>

#include <array>
#include <functional>
#include <optional>

#include "generators/core/algebra.h"
#include "generators/core/contraction.h"

namespace nitrix::family {

class GatherProduct {
public:
    static constexpr int block = Contraction::block;
    // An entry of the structure: its value or its index, a row of B.
    using Entry = std::function<Halide::Expr(Halide::Expr k, Halide::Expr i, Halide::Expr batch)>;

    // b: dims (j, row, batch), innermost first. `sources`: rows of B; every index is below it.
    GatherProduct(const Algebra &algebra, Type type, Entry value, Entry index, Func b, Expr sources, Expr columns,
                  Expr depth);

    // Defines product(j, i, batch).
    void define();

    // If given, what an entry contributes in place of combine(value, B): v as the monoid takes it, in EUCLIDEAN the
    // number that is squared. A NaN in it makes the result NaN.
    std::function<Halide::Expr(Halide::Expr k)> edge;
    // If given, what becomes of the reduction of a row that has entries.
    std::function<Halide::Expr(Halide::Expr reduced)> finish;
    // If given, this takes the place of the algebra's reduction.
    struct Reduction {
        Expr init;
        std::function<Halide::Expr(Halide::Expr so_far, Halide::Expr k)> step;
        std::function<Halide::Expr(Halide::Expr a, Halide::Expr b)> merge;
    };
    std::optional<Reduction> reduction;
    // An ordinary sum; step gives what it becomes.
    Reduction sum(std::function<Halide::Expr(Halide::Expr so_far, Halide::Expr k)> step) const;
    // The row that the structure names, for edge and step.
    Expr source(const Expr &k) const;

    // If given, what of_row gives is read once for each row, and value_of takes the place of `value`.
    std::function<Expr(const Expr &i, const Expr &batch)> of_row;
    std::function<Expr(const Expr &k, const Expr &of_row, const Expr &i, const Expr &batch)> value_of;

    // If given, what a later row will need is asked of memory ahead of it, since the processor cannot guess where an
    // index leads: expressions of value 0 (prefetch.h). `rows`: of the structure.
    std::vector<std::function<Expr(const GatherProduct &f, const Expr &row)>> hints;
    Expr rows;
    Expr asked_bytes; // of what entries name, for a row
    Expr asks;        // if given, whether a call asks at all: one that does not has loops of its own

    // If given, own->c(j, i, batch) is what row i adds to its edges, a product of its own in the order of
    // semiring_matmul: made for rows_of_own rows at a time before their edges are met, and for columns that own_step
    // divides, of which the last may be more than the result has. own_row: (i, batch), the row that it reads.
    std::optional<Contraction> own;
    Func own_row{"own_row"};
    static constexpr int rows_of_own = 48, own_step = 16;

    const Algebra &algebra;
    const std::optional<Lowering> lowering; // LOG: its streaming form's weights
    const Entry value, index;
    const Func b;
    const Expr sources, columns, depth;
    const Type type; // of the arrays

    Var i{"i"}, j{"j"}, ko{"ko"}, batch{"batch"};
    RDom blocks, inside, over_all;
    Func product{"product"};
    Func maximum{"maximum"}; // LOG
    Func partial{"partial"}; // one block's reduction
    Func merged{"merged"};
    Func fetched{"fetched"}; // 0, once memory has been asked for what a later row reads; and of_row
    bool fetches() const { return !hints.empty(); }
    bool tracks_nan() const { return algebra.drops_nan() && !reduction; }
    bool streams() const { return lowering && !reduction; } // LOG: two passes

    Func out; // what the op writes, of the dimensions of `product`; or `product` itself where its rows are
    std::optional<Func> scattered; // stored one by one, wherever they belong, over
    RDom scattered_rows;
    static constexpr int least_past_caches = 256; // bytes of such a row
    // Whether a row of one tile whose last vector is not whole is read by masks: in other widths it takes two tiles and
    // 2 to 7 times as long.
    bool by_masks = false;
    // Column j of a dense array, as edges and steps read it.
    template <typename Dense, typename... Others> Expr column(const Dense &dense, const Others &...others) const {
        return by_masks ? masked(dense(Halide::unsafe_promise_clamped(j, 0, columns - 1), others...))
                        : Expr(dense(j, others...));
    }
    // Rows of one tile that are scattered may be made with all that lies in the lines of memory in which a row of B
    // lies: B's column 0 is element in_front() of them. A vector is then never of two lines, which takes 0.8 of the
    // time.
    struct InLines {
        Func row{"lines"}, partial{"partial_lines"}, fetched{"fetched_for_lines"};
        RDom inside;
    };
    Expr first_of_b; // the index of the first element of B's lines: 0 or less
    Expr in_front() const { return -first_of_b % line_elements(); }
    int line_elements() const { return 64 / type.bytes(); }
    // Bytes of the vectors with which such rows and wider ones may be stored past the caches; 0: none are. What a call
    // has stored (runtime/past_caches.cpp) does not remain to be.
    int past_caches = 0;
    Expr passes = Halide::Internal::const_false();      // whether this call's are, rows of one tile
    Expr passes_wide = Halide::Internal::const_false(); // and of several
    Expr one_item;                                      // which such a call has: known, it takes 0.98 of the time
    InLines passing;
    Func remains{"remains"}, remains_of_lines{"remains_of_lines"};
    RDom past_rows;
    // Whether others are made in lines: of as many vectors, where B's columns begin at a line or a multiple of 16 bytes
    // behind one, as arrays of NumPy do. They stay in registers (16 do not suffice for two of each vector).
    bool keeps_lines() const { return past_caches == 64 || (past_caches && !two_for_each()); }
    Expr in_lines = Halide::Internal::const_false();
    // What is known of a call takes no registers and no loads in its loops, and loads are what such a row takes.
    // Whether rows of both follow one another and the values of a row do (0.9 to 0.97 of the time);
    Expr compact = Halide::Internal::const_false();
    // whether the structure's plan says what later rows will name, two for each, and memory is asked for them (0.93).
    Expr looks_ahead = Halide::Internal::const_false();
    Expr asks_ahead() const { return passes || looks_ahead; }
    int lanes_of_lines() const { return past_caches / type.bytes(); }
    int in_front_unit() const { return 16 / type.bytes(); } // divides in_front() then
    InLines kept; // what remains to be finished, fewer vectors when they have been shifted
    Expr finished_kept(const Expr &kept) const;
    RDom kept_rows;
    // Vectors of a row of one tile: a step that keeps two of them for each has 32 registers for 8, 16 for 4.
    std::array<int, 2> past_caches_tiles() const {
        return two_for_each() && past_caches < 64 ? std::array{4, 2} : std::array{8, 4};
    }
    bool two_for_each() const { return tracks_nan() || algebra.temporaries(); }
    Expr b_contiguous;  // whether its columns have unit stride, as a condition
    Expr scratch_bytes; // set by the schedule, as a contraction's
    static Expr shape_threads() { return Contraction::shape_threads(); }
    static Expr shape_columns() { return Halide::Internal::Variable::make(Halide::Int(64), "d"); }
    static Expr shape_own_columns() { return Halide::Internal::Variable::make(Halide::Int(64), "w"); }

private:
    struct Place { // an entry of a row, and of_row
        Expr k, of_row;
    };
    Place place(const Expr &k) const { return {k, of_row ? of_row(i, batch) : Expr()}; }
    Place place(const Expr &k, const Func &fetched) const;
    Expr asked(const Func &fetched) const;
    Expr value_at(const Place &at) const;
    Expr gathered(const Expr &k, const Expr &column) const;
    Expr masked(const Expr &element) const; // read where there is a column
    Expr contribution(const Place &at) const;
    Expr magnitude(const Expr &x) const;
    void define_fetched(Func &func) const;
    void define_lines(InLines &lines);
    State start() const;
    State step(const State &state, const Place &at, const Expr &column) const;
    State merge(const State &before, const State &part) const;
    Expr finished(const State &all) const;
    State step_in_lines(const State &state, const Place &at, const Expr &column) const;
    Expr finished_in_lines(const InLines &lines) const;
};

} // namespace nitrix::family
