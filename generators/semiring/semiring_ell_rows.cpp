// C[rows[r], j] = finalize( merge over blocks of k ( update over k ( combine(values[slots[r, k]], B[indices[r, k], j])
// ) )
// ), over the k whose index is not negative: some rows of a product, in the order that a structure's plan gives.
#include "generators/core/gather_operands.h"
#include "generators/core/op.h"

namespace nitrix {

class SemiringEllRows : public Op<SemiringEllRows> {
public:
    Input<Halide::Buffer<void, 2>> values{"values"};
    Input<Halide::Buffer<void, 3>> slots{"slots"}, indices{"indices"};
    Input<Halide::Buffer<void, 2>> rows{"rows"};
    Input<Halide::Buffer<void, 3>> b{"B"};
    Output<Halide::Buffer<void, 3>> c{"C"};

    void generate() {
        const Expr columns = c.dim(0).extent(), batch = c.dim(2).extent();
        constrain_plan(values, slots, indices, rows, batch);
        constrain_rows_in_lines(b, batch);
        constrain_result(c);
        const Expr last_value = values.dim(0).extent() - 1;
        family::GatherProduct f(
            algebra(), c.type(), nullptr, [&](Expr k, Expr r, Expr at) { return indices(k, r, at); }, b,
            b.dim(1).extent(), columns, indices.dim(0).extent());
        f.of_row = [&](const auto &r, const auto &at) { return slots(0, r, at); };
        f.value_of = [&](const auto &k, const auto &first, const auto &r, const auto &at) {
            return values(Halide::unsafe_promise_clamped(slot_of(slots, first, k, r, at), 0, last_value), at);
        };
        f.b_contiguous = b.dim(0).stride() == 1;
        if (!algebra().bit_packed() && !algebra().lowering()) {
            f.rows = indices.dim(1).extent();
            f.asked_bytes = bytes_of_row(b, columns) * Named(indices).count();
            f.past_caches = wide_vector();
            f.by_masks = f.past_caches && b.type().bits() >= 32; // what the targets have masked loads of
            f.first_of_b = b.dim(0).min();
            if (f.past_caches)
                find_past_caches(f, c, b, indices);
            f.compact = side_by_side(slots) && slots.dim(1).stride() == 1 && b.dim(1).stride() == columns &&
                        c.dim(1).stride() == columns;
            f.hints = {[&](const auto &g, const auto &r) { return ask_for_named(g, b, indices, r); },
                       [&](const auto &g, const auto &r) { return ask_for_values(g, b, values, slots, r); },
                       [&](const auto &g, const auto &r) {
                           return branch(g.passes || g.passes_wide, 0, ask_for_row(g, c, rows(r, g.batch)));
                       }};
        }
        f.define();
        scatter_rows(f, rows, c);
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllRows, semiring_ell_rows)
