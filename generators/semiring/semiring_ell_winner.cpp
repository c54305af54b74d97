// slot[i, j] = i * k_max + the smallest k with combine(values[i, k], B[indices[i, k], j]) = C[i, j], -1 without one:
// what the gradient of a tropical product passes on to.
#include "generators/core/gather_operands.h"
#include "generators/core/op.h"

namespace nitrix {

class SemiringEllWinner : public Op<SemiringEllWinner> {
public:
    Input<Halide::Buffer<void, 3>> values{"values"}, indices{"indices"}, b{"B"}, c{"C"};
    Output<Halide::Buffer<void, 3>> slot{"slot"};

    void generate() {
        const Expr columns = slot.dim(0).extent(), batch = slot.dim(2).extent(), depth = values.dim(0).extent();
        constrain_structure(values, depth, slot.dim(1).extent(), batch);
        constrain_structure(indices, depth, slot.dim(1).extent(), batch);
        constrain_rows(b, columns, batch);
        constrain_rows(c, columns, batch);
        c.dim(1).set_extent(slot.dim(1).extent());
        constrain_result(slot);
        family::GatherProduct f(
            algebra(), Halide::Int(32), [&](Expr k, Expr i, Expr at) { return values(k, i, at); },
            [&](Expr k, Expr i, Expr at) { return indices(k, i, at); }, b, b.dim(1).extent(), columns, depth);
        const Expr none = 0x7fffffff;
        const auto smaller = [](const Expr &x, const Expr &y) { return Halide::min(x, y); };
        f.reduction = {none,
                       [&](const Expr &so_far, const Expr &k) {
                           const Expr sum = algebra().combine(values(k, f.i, f.batch), b(f.j, f.source(k), f.batch));
                           return Halide::min(so_far, Halide::select(sum == c(f.j, f.i, f.batch), k, none));
                       },
                       smaller};
        f.define();
        const Expr first = f.product(f.j, f.i, f.batch);
        const Expr empty = first == none || c(f.j, f.i, f.batch) == algebra().init(c.type())[0];
        slot(f.j, f.i, f.batch) = Halide::select(empty, -1, f.i * depth + first);
        f.out = slot;
        f.b_contiguous = b.dim(0).stride() == 1 && c.dim(0).stride() == 1;
        schedule_with(f);
    }
};

} // namespace nitrix

HALIDE_REGISTER_GENERATOR(nitrix::SemiringEllWinner, semiring_ell_winner)
