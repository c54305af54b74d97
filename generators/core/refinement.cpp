#include "generators/core/refinement.h"

namespace nitrix::family {

using namespace Halide;

static const int none = 0x7fffffff;

Refinement::Refinement(const Algebra &algebra, Func a, Func b, Func c, Func winner, Func index, Expr rows, Expr columns,
                       Expr depth)
    : algebra(algebra), a(std::move(a)), b(std::move(b)), c(std::move(c)), winner(std::move(winner)),
      index(std::move(index)), rows(std::move(rows)), columns(std::move(columns)), depth(std::move(depth)),
      type(this->a.type()) {}

Expr Refinement::first_k() const { return clamp(winner(j, i, batch), 0, (depth - 1) / block) * block; }

void Refinement::define_index() {
    const Expr has_one = winner(j, i, batch) >= 0 && found(j, i, batch) < block;
    index(j, i, batch) = select(has_one, first_k() + cast<int>(found(j, i, batch)), -1);
}

void Refinement::whole() {
    inside = RDom(0, block, "inside");
    const Expr kx = first_k() + inside, inner = min(kx, depth - 1);
    const Expr equal = algebra.combine(a(inner, i, batch), b(j, inner, batch)) == c(j, i, batch);
    found(j, i, batch) = none;
    found(j, i, batch) = min(found(j, i, batch), select(kx < depth && equal, inside, none));
    define_index();
}

void Refinement::vectors(int lanes) {
    steps = RDom(0, block / lanes, "steps");
    across = RDom(0, lanes, "across");
    const Expr nan = exact::constant(type, std::numeric_limits<double>::quiet_NaN()), inner = min(k, depth - 1);
    a_rows(k, i, batch) = select(k < depth, a(inner, i, batch), nan);
    b_columns(k, j, batch) = select(k < depth, b(j, inner, batch), nan);
    const Expr at = steps * lanes + lane;
    const Expr equal =
        algebra.combine(a_rows(first_k() + at, i, batch), b_columns(first_k() + at, j, batch)) == c(j, i, batch);
    // 16 bits, of which x86 finds the smallest in one instruction.
    const Expr no_lane = cast<uint16_t>(0xffff);
    in_lane(lane, j, i, batch) = no_lane;
    in_lane(lane, j, i, batch) = min(in_lane(lane, j, i, batch), select(equal, cast<uint16_t>(at), no_lane));
    found(j, i, batch) = no_lane;
    found(j, i, batch) = min(found(j, i, batch), in_lane(across, j, i, batch));
    define_index();
}

} // namespace nitrix::family
