#include "generators/core/gather_dot.h"

#include "generators/core/own_lowering.h"
#include "generators/core/rows_ahead.h"

namespace nitrix::family {

using namespace Halide;

GatherDot::GatherDot(Type type, Func index, Func out, Expr sources, Expr columns)
    : type(type), index(std::move(index)), out(std::move(out)), sources(std::move(sources)),
      columns(std::move(columns)) {}

Expr GatherDot::element(const Expr &of_column) const { return by_masks ? load_where(inside, of_column) : of_column; }

void GatherDot::define(const Step &step) {
    steps = RDom(0, (columns + lanes - 1) / lanes, "steps");
    steps.where(index(k, i, batch) >= 0);
    const Expr source = unsafe_promise_clamped(index(k, i, batch), 0, sources - 1);
    const Expr j = steps * lanes + lane;
    inside = likely(j < columns);
    // Lanes behind the end keep their sum.
    const Expr column = by_masks ? unsafe_promise_clamped(j, 0, columns - 1) : likely(min(j, columns - 1));
    partial(lane, k, i, batch) = zero(type);
    const Expr sum = partial(lane, k, i, batch);
    partial(lane, k, i, batch) = select(inside, step(sum, column, source), sum);
    eight(lane, k, i, batch) = partial(lane, k, i, batch) + partial(lane + 8, k, i, batch);
    four(lane, k, i, batch) = eight(lane, k, i, batch) + eight(lane + 4, k, i, batch);
    two(lane, k, i, batch) = four(lane, k, i, batch) + four(lane + 2, k, i, batch);
    const Expr whole = two(0, k, i, batch) + two(1, k, i, batch);
    if (hint)
        fetched(i, batch) = hint(row_ahead(i, rows, cast<int64_t>(columns) * type.bytes() * depth));
    out(k, i, batch) = hint ? select(fetched(i, batch) == 0, whole, zero(type)) : whole;
}

} // namespace nitrix::family
