#include "generators/core/stencil_gradient.h"

#include "generators/core/stencil.h"

namespace nitrix::family {

using namespace Halide;

void StencilGradient::tiled(int columns, int tile) {
    width = columns;
    // Clamped: an edge tile computes duplicates that the guarded store drops.
    const Expr at_v = likely(min(vo * width + vi, v_size - 1)), at_t = likely(min(to * tile + ti, t_size - 1));
    std::vector<Var> at = {vi, ti, vo, to};
    at.insert(at.end(), rest.begin(), rest.end());
    std::vector<Var> at_part = at;
    at_part.insert(at_part.end(), of.begin(), of.end());
    const Position here(at.begin(), at.end()), part(at_part.begin(), at_part.end());
    Position merged = here;
    for (int d = 0; d < outer.dimensions(); ++d)
        merged.push_back(outer[d]);
    partial(at_part) = start;
    partial(at_part) = step(partial(part), at_v, at_t);
    total(at) = start;
    total(at) = merge(total(here), partial(merged));
    Position of_out(lead.begin(), lead.end()), of_tile = {v % width, t % tile, v / width, t / tile};
    of_out.insert(of_out.end(), {v, t});
    of_out.insert(of_out.end(), rest.begin(), rest.end());
    of_tile.insert(of_tile.end(), rest.begin(), rest.end());
    out(of_out) = finish ? finish(total(of_tile), v, t) : total(of_tile);
}

void StencilGradient::sums(Type t) {
    type = element = t;
    start = zero(t);
    merge = [](const Expr &total, const Expr &part) { return total + part; };
}

Func StencilGradient::padded(const std::string &name, const Func &image, const Expr &size, const Expr &room) {
    Func rows(name);
    Var w("w"), h("h"), d("d"), batch("batch");
    const RDom row(0, size, name + "_row");
    rows(w, h, d, batch) = Internal::make_zero(image.type());
    rows(row + room, h, d, batch) = image(0, row, h, d, batch);
    copies.push_back({rows, row});
    return rows;
}

Expr StencilGradient::bytes_of_padded(Type type, const std::string &of) {
    const auto size = [](const std::string &name) { return Stencil::shape(name); };
    const Expr reach = (size("window2") - 1) * size("dilation2") + 1;
    const Expr row = size("out2") + size("spatial2") + size("before2") + reach + 64;
    return cast<int64_t>(type.bytes()) * row * size(of + "1") * size(of + "0");
}

} // namespace nitrix::family
