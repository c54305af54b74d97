// A register tile: rows of vectors, all unrolled.
#pragma once

#include <Halide.h>

#include <vector>

namespace nitrix {

struct RegisterTile {
    Halide::Var column, row;
    int width, rows, lanes;

    // A Func that holds one tile, and one point of the other dimensions.
    void hold(Halide::Func f, const std::vector<Halide::Var> &points) const {
        f.bound(column, 0, width).bound(row, 0, rows);
        for (const Halide::Var &point : points)
            f.bound_extent(point, 1);
        in_registers(f);
    }

    // A stage that computes one, for each step of the loops around it, the innermost first; in one copy each.
    void compute(Halide::Stage stage, const std::vector<Halide::VarOrRVar> &loops) const {
        std::vector<Halide::VarOrRVar> order = {column, row};
        order.insert(order.end(), loops.begin(), loops.end());
        in_registers(stage.reorder(order));
        for (const Halide::VarOrRVar &loop : loops)
            stage.partition(loop, Halide::Partition::Never);
    }

private:
    void in_registers(Halide::Stage stage) const {
        if (lanes > 1)
            stage.vectorize(column, lanes);
        stage.unroll(column).unroll(row);
    }
};

} // namespace nitrix
