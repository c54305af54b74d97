// The stencil family: y[p, o] = finalize(merge over blocks (update over (tap, c) of combine(x[p * stride + tap, c],
// k[tap, c, o]))), in up to three spatial dimensions, innermost first here.
//
// A tap that falls outside x is skipped: it contributes nothing at all. A schedule chooses a form (whole, tiled over
// channels, or rows of a plane); all compute the same bits, because the order of the reduction is fixed here: taps in
// row-major order, for each its channels. A block is as many taps as make at most 256 steps, or 256 channels of one
// tap; inside a block sequential from the identity, blocks merged in order.
#pragma once

#include <Halide.h>

#include <array>
#include <functional>

#include "generators/core/algebra.h"

namespace nitrix::family {

using Halide::Func;
using Halide::RDom;
using Halide::Var;

struct StencilAxis {
    Expr size, taps, positions; // of x, of the kernel, of y
    Expr stride, dilation, before;
};

// The position of x that a tap reads for an output, and whether x has it.
inline Expr place_of(const StencilAxis &axis, const Expr &position, const Expr &tap) {
    return position * axis.stride + (tap * axis.dilation - axis.before);
}
inline Expr is_in(const Expr &place, const Expr &size) { return place >= 0 && place < size; }
inline Expr promise(const Expr &place, const Expr &size) { return Halide::unsafe_promise_clamped(place, 0, size - 1); }

// Accumulators of a register tile: positions along the innermost axis x (vectors * lanes) output channels, or, for a
// plane, vectors * lanes positions.
struct StencilTile {
    int positions;
    int vectors;
    int unroll_c = 4;
    int rows = 16, slices = 16; // of y that share one copy of rows of x, for a plane
};

class Stencil {
public:
    static constexpr int block = 256;

    // x: dims (c, w, h, d, batch); k: (o, c, w, h, d, batch); y: (o, w, h, d, batch). `plane`: one channel in and out,
    // stride 1 along w.
    Stencil(const Algebra &algebra, Func x, Func k, Func y, const StencilAxis (&axes)[3], Expr c_in, Expr c_out,
            bool plane);

    // One accumulator at a time: the reference.
    void whole();
    // The accumulators of a tile at a time: a vector of output channels for each of several positions.
    void channels(const StencilTile &tile, int lanes);
    // The same where each channel meets a kernel of its own: a vector of channels, read where they lie.
    void depthwise(int positions);
    // The same for a plane: a vector of positions, read from rows that are copied with room around them.
    void rows(const StencilTile &tile, int lanes);

    const Algebra &algebra;
    const Func x, k;
    Func y;
    const StencilAxis axes[3];
    const Expr c_in, c_out;
    const bool plane;
    bool narrow = false;     // few output channels: one vector of them
    bool by_channel = false; // output channel o reads channel o of x: as a plane else
    const Type type;

    // What the forms define, for the schedule.
    Var o{"o"}, w{"w"}, h{"h"}, d{"d"}, batch{"batch"}, c{"c"}, kw{"kw"}, kh{"kh"}, kd{"kd"};
    Var oi{"oi"}, wi{"wi"}, oo{"oo"}, wo{"wo"}; // inside and outside a tile
    Var cb{"cb"}, tb{"tb"};                     // block of channels, of taps
    // What is computed from the terms of an output: one reduction, or for a state of two components the maximum first,
    // then the sum that it shifts.
    struct Pass {
        Func total;
        Expr init;
        std::function<Expr(Expr old, Expr from_x, Expr from_k, const std::vector<Expr> &at)> accumulate;
        std::function<Expr(Expr, Expr)> merge;
    };
    std::vector<Pass> passes;
    // One reduction over blocks for tiles that need no test along w, one for those that do.
    struct Zone {
        RDom blocks, inside;
        Func partial, total;
        int merge_stage;
        bool one_block; // of taps, without the tests of which block a tap belongs to
    };
    std::vector<Zone> zones;
    Func k_panel{"k_panel"}; // the kernel, packed
    Func x_rows{"x_rows"};   // rows of x with room around them
    RDom before_row, after_row, x_row;
    Func k_is_odd{"k_is_odd"}; // k has an infinity or a NaN
    // NaN, where the monoid drops it: in a lane of a row of x, in the row, in k, in a row that y's row reads; in a tap.
    Func nan_lane{"nan_lane"}, nan_row{"nan_row"}, nan_k{"nan_k"}, nan_near{"nan_near"}, hits{"hits"};
    RDom nan_in_row, nan_lanes, nan_in_k, hit;
    bool poisons() const { return algebra.drops_nan(); }

    // Scratch bytes of one call as a function of the shape, set by the schedule; shape("c_in") is a dimension of it.
    Expr scratch_bytes;
    Expr x_is_dense; // unit stride along w
    static Expr shape(const std::string &name) { return Halide::Internal::Variable::make(Halide::Int(64), name); }

private:
    Expr truth(Expr value) const;
    Expr taps_in_all() const { return axes[0].taps * axes[1].taps * axes[2].taps; }
    Expr taps_per_block() const;
    using Tap = std::array<Expr, 3>; // a position in the kernel, innermost axis first
    Expr kernel_at(Expr channel_out, Expr channel_in, const Tap &at) const;
    Expr place(int axis, const Expr &position, const Tap &at) const { return place_of(axes[axis], position, at[axis]); }
    Expr input(int axis, const Expr &position, const Tap &at) const {
        return promise(place(axis, position, at), axes[axis].size);
    }
    Expr is_inside(int axis, const Expr &position, const Tap &at) const {
        return is_in(place(axis, position, at), axes[axis].size);
    }
    Expr finish(const std::vector<Expr> &at) const;
    void set_passes();
    Expr nan_mask(Expr value) const;
    void define_nan_lanes(Expr value, Expr lanes);
    void define_nan_rows(Expr value, Expr lanes);
    void define_nan_blocks(const StencilTile &tile, int lanes);
    Expr channel_of_x(const Expr &channel) const { return by_channel ? Expr(o) : channel; }
    Expr lanes_of_x() const { return by_channel ? c_out : plane ? Expr(1) : c_in; }
    // Tiles of positions along w whose dimensions are `at`, and NaN among the operands.
    void add_tiles(const std::vector<Var> &at, int positions, const std::function<Expr(Expr, const Tap &)> &weigh);
    enum class Calls { all, of_one_block, of_more }; // by the kernel's taps
    // How a zone reads its operands, and where: on tiles to which `applies`, at taps that are `valid`, in some calls.
    struct Form {
        std::string name;
        Expr applies;
        std::function<Expr(Expr channel, const Tap &)> read, weigh;
        std::function<Expr(const Tap &)> valid;
        Calls calls = Calls::all;
    };
    // A zone of each form for each pass, whose dimensions are `at`.
    void add_zones(const std::vector<Var> &at, const std::vector<Form> &forms);
    void add_zone(const std::vector<Var> &at, Pass &pass, const Form &form);
    void define_hits(const std::vector<Var> &at, const Form &form);
};

} // namespace nitrix::family
