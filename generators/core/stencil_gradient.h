// The loop nest of a convolution's backward: out(v, t, rest...) = finish(merge over `outer` of the partial results over
// `inner`), each in row-major order. v is the dimension that fills vectors, a tile is `width` of v by `tile` of t.
#pragma once

#include <Halide.h>

#include <functional>
#include <vector>

#include "generators/core/algebra.h"

namespace nitrix::family {

using Halide::Func;
using Halide::RDom;
using Halide::Var;

// The size up to whole tiles.
inline Expr whole(const Expr &size, int tile) { return (size + (tile - 1)) / tile * tile; }

class StencilGradient {
public:
    using Position = std::vector<Expr>;

    Func out;
    std::vector<Var> lead; // dimensions of out before v, of one element
    Var v, t;
    std::vector<Var> rest; // the last one is the batch
    Expr v_size, t_size;
    Type type;           // of the reduction
    Type element;        // that fills the vectors: the widest of what a step reads
    RDom inner, outer;   // their predicates may depend on `rest`, outer's variables and no others
    std::vector<Var> of; // stand for outer's variables in a step and in inner's predicates
    Expr start;
    std::function<Expr(const Expr &old, const Expr &at_v, const Expr &at_t)> step;
    std::function<Expr(const Expr &total, const Expr &part)> merge;
    // Whether a partial result counts, where that depends on `outer` and not on `inner`; none: always. Outside of the
    // steps it costs next to nothing.
    std::function<Expr(const Expr &at_v, const Expr &at_t, const Position &at_outer)> counts;
    std::function<Expr(const Expr &total, const Expr &at_v, const Expr &at_t)> finish; // none: as it is
    // Of operands, made once for each item of the batch; `row` fills the first dimension where a plain value does not.
    struct Copy {
        Func of;
        RDom row;
        bool of_rows = false; // made for the rows at hand, not for all
    };
    std::vector<Copy> copies;
    // Scratch bytes of one call for tiles of that size, as a function of the shape; the schedule evaluates it.
    std::function<Expr(int width, int tile, int lanes)> scratch;
    Expr scratch_bytes;
    // How many of t and of vectors a tile takes of the room that the accumulators have. across: no vectors of v; a
    // vector of values of outer's second variable, whose partial results are merged in order.
    enum class Tile { tall, column, square, across } tile = Tile::tall;
    // Whether all of an item's output is accumulated at once, from a few rows of the operands after the other: they
    // come from memory once and stay in the second-level cache for all that they are needed for.
    bool all_at_once = false;
    static constexpr int rows_at_hand = 4;

    // The reduction is a sum of elements of a type.
    void sums(Type t);
    // rows(w + room, h, d, batch) = image(0, w, h, d, batch), and `filling` for `room` positions on either side.
    Func padded(const std::string &name, const Func &image, const Expr &size, const Expr &room, const Expr &filling);
    // Its bytes for an axis of `size` elements of a type, of which `count` from `first` on are read by whole vectors.
    static Expr bytes_of_padded(const Type &type, const Expr &size, const Expr &room, const Expr &first,
                                const Expr &count, int lanes);
    // columns(h + room, w, d, batch) = image(0, w, h, d, batch): what a vector across rows reads.
    Func columns(const std::string &name, const Func &image, const Expr &size, const Expr &room);

    // copy(v, ...) = image(v, ...) up to whole tiles of v, whose last elements are the last one: dense vectors in edge
    // tiles too, which would gather else. For v the first dimension of the image.
    Func whole_vectors(const std::string &name, const Func &image, const Expr &size, bool of_rows = false);

    void tiled(int width, int tile);
    // In a step: the position along v, past the end in an edge tile, where a step has at_v clamped.
    Expr whole_v() const { return vo * width + vi; }

    // What tiled() defines, for the schedule.
    Var vi{"vi"}, ti{"ti"}, vo{"vo"}, to{"to"};
    Func partial{"partial"}, total{"total"};

private:
    int width = 0;
};

} // namespace nitrix::family
