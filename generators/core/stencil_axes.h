// The geometry that a convolution and its backward share: which element of x a tap reads for an output.
#pragma once

#include <Halide.h>

#include "generators/core/stencil.h"

namespace nitrix {

// The axes of a generator with inputs stride, dilation and before, outermost axis first; innermost first here.
template <typename X, typename K, typename Y, typename Scalars>
void set_axes(family::StencilAxis (&axes)[3], const X &x, const K &k, const Y &y, const Scalars &stride,
              const Scalars &dilation, const Scalars &before, int channels_of_k = 2) {
    for (int a = 0; a < 3; ++a)
        axes[a] = {x.dim(1 + a).extent(), k.dim(channels_of_k + a).extent(),
                   y.dim(1 + a).extent(), stride[2 - a],
                   dilation[2 - a],       before[2 - a]};
}

using family::is_in;
using family::place_of;
using family::promise;

// x(c, w, h, d, batch), k(o, c, w, h, d, batch), y(o, w, h, d, batch) as a convolution's generator takes them.
template <typename Buffer> void constrain_image(const Buffer &b, const Expr &channels, const Expr &batch) {
    b.dim(0).set_min(0).set_extent(channels).set_stride(Expr());
    for (int d = 1; d < 4; ++d)
        b.dim(d).set_min(0);
    b.dim(4).set_min(0).set_extent(batch);
}
template <typename Buffer>
void constrain_window(const Buffer &b, const Expr &c_out, const Expr &c_in, const Expr &batch) {
    b.dim(0).set_min(0).set_extent(c_out).set_stride(Expr());
    b.dim(1).set_min(0).set_extent(c_in);
    for (int d = 2; d < 5; ++d)
        b.dim(d).set_min(0);
    b.dim(5).set_min(0).set_extent(batch);
}
// Same extents as another buffer.
template <typename Buffer, typename Other> void constrain_as(const Buffer &b, const Other &other, int rank) {
    for (int d = 0; d < rank; ++d)
        b.dim(d).set_min(0).set_extent(other.dim(d).extent());
    b.dim(0).set_stride(Expr());
}
template <typename... Buffer> void constrain_dense(const Buffer &...b) { (b.dim(0).set_stride(1), ...); }

} // namespace nitrix
