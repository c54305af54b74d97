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
    std::function<Expr(const Expr &total, const Expr &at_v, const Expr &at_t)> finish; // none: as it is
    // Of operands, made once for each item of the batch; `row` fills the first dimension where a plain value does not.
    struct Copy {
        Func of;
        RDom row;
    };
    std::vector<Copy> copies;
    Expr scratch_bytes = Halide::cast<int64_t>(0); // of the copies
    // How many of t and of vectors a tile takes of the room that the accumulators have. across: no vectors of v; a
    // vector of values of outer's second variable, whose partial results are merged in order.
    enum class Tile { tall, column, square, across } tile = Tile::tall;
    // Whether the first dimension of `rest` lies inside the loops over `outer`, and all tiles with it: a row of
    // operands that comes from memory once serves them all.
    bool all_tiles_at_once = false;

    // The reduction is a sum of elements of a type.
    void sums(Type t);
    // rows(w + room, h, d, batch) = image(0, w, h, d, batch), and 0 for `room` positions on either side.
    // What a tap reads there is not taken: the room keeps loads dense.
    Func padded(const std::string &name, const Func &image, const Expr &size, const Expr &room);
    // Its bytes, for an image with the extents `of` ("spatial" or "out").
    static Expr bytes_of_padded(Type type, const std::string &of);
    // columns(h + room, w, d, batch) = image(0, w, h, d, batch): what a vector across rows reads.
    Func columns(const std::string &name, const Func &image, const Expr &size, const Expr &room);
    static Expr bytes_of_columns(Type type, const std::string &of);

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
