#include "generators/core/stencil_gradient.h"

namespace nitrix::family {

using namespace Halide;

void StencilGradient::tiled(int columns, int tile) {
    width = columns;
    // Clamped: an edge tile computes duplicates that the guarded store drops. Of v, only its last tile is: the loads of
    // a clamped vector are gathers.
    const Expr at_v = min(likely(vo * width + vi), v_size - 1), at_t = likely(min(to * tile + ti, t_size - 1));
    std::vector<Var> at = {vi, ti, vo, to};
    at.insert(at.end(), rest.begin(), rest.end());
    std::vector<Var> at_part = at;
    at_part.insert(at_part.end(), of.begin(), of.end());
    const Position here(at.begin(), at.end()), part(at_part.begin(), at_part.end());
    Position merged = here, at_outer;
    for (int d = 0; d < outer.dimensions(); ++d)
        at_outer.push_back(outer[d]);
    merged.insert(merged.end(), at_outer.begin(), at_outer.end());
    partial(at_part) = start;
    partial(at_part) = step(partial(part), at_v, at_t);
    total(at) = start;
    const Expr next = merge(total(here), partial(merged));
    total(at) = counts ? select(counts(at_v, at_t, at_outer), next, total(here)) : next;
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
                                       const Expr &filling, bool swap) {
    Func copy(name);
    Var a("a"), b("b"), d("d"), batch("batch");
    const RDom row(0, size, name + "_row");
    copy(a, b, d, batch) = filling;
    const Expr at = row;
    copy(row + room, b, d, batch) = swap ? image(0, b, at, d, batch) : image(0, at, b, d, batch);
    return {copy, row};
}

Func StencilGradient::padded(const std::string &name, const Func &image, const Expr &size, const Expr &room,
                             const Expr &filling) {
    copies.push_back(with_room(name, image, size, room, filling, false));
    return copies.back().of;
}

Func StencilGradient::columns(const std::string &name, const Func &image, const Expr &size, const Expr &room) {
    copies.push_back(with_room(name, image, size, room, zero(image.type()), true));
    return copies.back().of;
}

Func StencilGradient::whole_vectors(const std::string &name, const Func &image, const Expr &size, bool of_rows) {
    Func copy(name);
    std::vector<Var> at(static_cast<size_t>(image.dimensions()));
    Position from(at.begin(), at.end());
    from[0] = min(likely(from[0]), size - 1);
    copy(at) = image(from);
    copies.push_back({copy, RDom(), of_rows});
    return copy;
}

Expr StencilGradient::bytes_of_padded(const Type &type, const Expr &size, const Expr &room, const Expr &first,
                                      const Expr &count, int lanes) {
    return type.bytes() * (max(first + whole(count, lanes), room + size) - min(first, room));
}

} // namespace nitrix::family
