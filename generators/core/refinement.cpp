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

void Refinement::blocks() {
    const Expr nan = exact::constant(type, std::numeric_limits<double>::quiet_NaN()), last = depth - 1;
    const Expr kx = ko * block + k;
    a_rows(k, i, batch) = select(k < depth, a(min(k, last), i, batch), nan);
    b_columns(k, j, ko, batch) = select(kx < depth, b(j, min(kx, last), batch), nan);
    // The whole block is compared at once, one bit a step: the lowest that is set is the first that is equal.
    std::vector<Expr> from_a, from_b;
    for (int at = 0; at < block; ++at) {
        from_a.push_back(a_rows(first_k() + at, i, batch));
        from_b.push_back(b_columns(at, j, first_k() / block, batch));
    }
    const auto vector = [](const std::vector<Expr> &steps) { return Internal::Shuffle::make_concat(steps); };
    const Expr sought = Internal::Broadcast::make(c(j, i, batch), block);
    const Expr equal = algebra.combine(vector(from_a), vector(from_b)) == sought;
    found(j, i, batch) = cast<int>(count_trailing_zeros(reinterpret(UInt(block), equal)));
    define_index();
}

} // namespace nitrix::family
