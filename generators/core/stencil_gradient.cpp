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

// image(0, a, b, d, batch) with room before and after its first axis, or before and after its second one, which then is
// the copy's first.
static StencilGradient::Copy with_room(const std::string &name, const Func &image, const Expr &size, const Expr &room,
                                       bool swap) {
    Func copy(name);
    Var a("a"), b("b"), d("d"), batch("batch");
    const RDom row(0, size, name + "_row");
    copy(a, b, d, batch) = Internal::make_zero(image.type());
    const Expr at = row;
    copy(row + room, b, d, batch) = swap ? image(0, b, at, d, batch) : image(0, at, b, d, batch);
    return {copy, row};
}

Func StencilGradient::padded(const std::string &name, const Func &image, const Expr &size, const Expr &room) {
    copies.push_back(with_room(name, image, size, room, false));
    return copies.back().of;
}

Func StencilGradient::columns(const std::string &name, const Func &image, const Expr &size, const Expr &room) {
    copies.push_back(with_room(name, image, size, room, true));
    return copies.back().of;
}

Expr StencilGradient::bytes_of_columns(Type type, const std::string &of) {
    const auto size = [](const std::string &name) { return Stencil::shape(name); };
    const Expr reach = (size("window1") - 1) * size("dilation1") + 1;
    const Expr rows =
        size("out1") * size("stride1") + size("spatial1") + size("before1") + reach + 64 * size("stride1");
    return cast<int64_t>(type.bytes()) * rows * size(of + "2") * size(of + "0");
}

Expr StencilGradient::bytes_of_padded(Type type, const std::string &of) {
    const auto size = [](const std::string &name) { return Stencil::shape(name); };
    const Expr reach = (size("window2") - 1) * size("dilation2") + 1;
    const Expr row = size("out2") + size("spatial2") + size("before2") + reach + 64;
    return cast<int64_t>(type.bytes()) * row * size(of + "1") * size(of + "0");
}

} // namespace nitrix::family
