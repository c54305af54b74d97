#include "generators/core/log_sum_exp.h"

#include "generators/core/contraction.h"

namespace nitrix::family {

using namespace Halide;

LogSumExp::LogSumExp(const Algebra &algebra, Func a, Func b, Coordinate row, Coordinate column, Expr width, Expr height,
                     Expr depth)
    : algebra(algebra), lowering(algebra.lowering().value()), a(std::move(a)), b(std::move(b)), row(std::move(row)),
      column(std::move(column)), width(std::move(width)), height(std::move(height)), depth(std::move(depth)),
      type(this->a.type()) {}

// Every row of a tile reads the columns of the panel, which a list does not have.
Expr LogSumExp::value(Func &panel, const Expr &at_x, const Expr &at_y, const Expr &at) {
    const Expr left = a(at, row(at_x, at_y), batch);
    if (is_list())
        return algebra.combine(left, b(column(at_x, at_y), at, batch));
    Var step("step");
    if (!panel.defined())
        panel(xi, step, xo, batch) = b(column(at_x, at_y), step, batch);
    return algebra.combine(left, panel(xi, at, xo, batch));
}

Expr LogSumExp::results() const {
    const auto dimension = [](const char *name) { return Internal::Variable::make(Int(64), name); };
    return is_list() ? dimension("e") : dimension("m") * dimension("n");
}

void LogSumExp::tiled(int rows, int columns) {
    constexpr int block = Contraction::block;
    k = RDom(0, depth, "k");
    blocks = RDom(0, (depth + block - 1) / block, "blocks");
    inside = RDom(0, block, "inside");
    inside.where(inside < depth - ko * block);
    // Edge tiles repeat the last row and column; the guarded store drops them.
    const Expr at_x = likely(min(xo * columns + xi, width - 1)), at_y = likely(min(yo * rows + yi, height - 1));
    running(xi, yi, xo, yo, batch) = negative_infinity(type);
    running(xi, yi, xo, yo, batch) =
        exact::ordered_max(running(xi, yi, xo, yo, batch), value(panel_of_maximum, at_x, at_y, k));
    maximum(x, y, batch) = running(x % columns, y % rows, x / columns, y / rows, batch);
    const Expr at_k = unsafe_promise_clamped(ko * block + inside, 0, depth - 1);
    maximum_inside(xi, yi, xo, yo, batch) = maximum(at_x, at_y, batch);
    partial(xi, yi, xo, yo, ko, batch) = zero(type);
    partial(xi, yi, xo, yo, ko, batch) =
        lowering.add_weight(partial(xi, yi, xo, yo, ko, batch), value(panel_of_sum, at_x, at_y, at_k),
                            maximum_inside(xi, yi, xo, yo, batch));
    sum(x, y, batch) = zero(type);
    sum(x, y, batch) += partial(x % columns, y % rows, x / columns, y / rows, blocks, batch);
}

} // namespace nitrix::family
