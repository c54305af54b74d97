// EdgeConv's layer over a graph: y[i] reduces act(x[i] (W1 - W2) + bias + x[j] W2) over the neighbours j of row i, with
// W1 above W2 in `weight`.
//
// Before its activation the layer is linear: what a node gives to its own edges and to those that end in it are two
// products, computed once for each node, not for each edge.
#include <algorithm>
#include <optional>

#include "ell.h"
#include "error.h"
#include "pack.h"
#include "run.h"

namespace nitrix {

namespace {

enum { indices, x, weight, bias, slope, y, dy, dx, dweight, dbias };
enum { dim_m, dim_k, dim_n, dim_d, dim_w, dim_h };

// Rows whose products a thread's second-level cache holds when the bias is added to them, but for weights so wide that
// packing them would cost more.
constexpr int64_t block_bytes = 1 << 19, least_rows = 512;

// The kernels that make what rows add read all weights for a few rows at a time: from the second-level cache, where
// more would not stay.
constexpr int64_t most_weight_bytes = 1 << 19;

void check_shapes(const Call &call) {
    const int64_t *const dims = call.dims;
    if (dims[dim_w] != 2 * dims[dim_d])
        refuse_value(where(*call.op, "weight") + "has " + std::to_string(dims[dim_w]) + " rows, must have " +
                     std::to_string(2 * dims[dim_d]) + ": two for each of the " + std::to_string(dims[dim_d]) +
                     " features of x");
    if (dims[dim_m] > dims[dim_n])
        refuse_value(where(*call.op, "indices") + "has " + std::to_string(dims[dim_m]) + " rows, x has " +
                     std::to_string(dims[dim_n]) + ": each row must be a node");
}

Array rows_of(const Array &matrix, int64_t first, int64_t count) {
    return block_of(matrix, first, count, 0, matrix.shape[1]);
}

// A row as a matrix of that many.
Array repeated(const Array &row, int64_t count) {
    Array a = row;
    a.rank = 2;
    a.shape[0] = count;
    a.strides[0] = 0;
    a.shape[1] = row.shape[0];
    a.strides[1] = row.strides[0];
    return a;
}

template <typename T> void subtract(const Array &to, const Array &a, const Array &b) {
    const auto at = [](const Array &from, int64_t i, int64_t j) -> T & {
        return reinterpret_cast<T *>(from.data)[i * from.strides[0] + j * from.strides[1]];
    };
    for (int64_t i = 0; i < to.shape[0]; ++i)
        for (int64_t j = 0; j < to.shape[1]; ++j)
            at(to, i, j) = at(a, i, j) - at(b, i, j);
}

void subtract(const Orchestrator &o, const Array &to, const Array &a, const Array &b) {
    if (o.dry)
        return;
    if (to.dtype == DType::f64)
        subtract<double>(to, a, b);
    else
        subtract<float>(to, a, b);
}

void multiply(Orchestrator &o, const Array &a, const Array &b, const Array &to) {
    o.call("semiring_matmul", find_algebra("real"), {a, b, to});
}

// Columns of the weights that such a kernel reads: a multiple of 16, and above that of 32 or 48, since tiles of one
// vector take twice the time.
int64_t padded_width(const Call &call) {
    constexpr int64_t step = 16;
    const int64_t steps = (call.dims[dim_h] + step - 1) / step;
    return (steps > 1 && steps % 2 != 0 && steps % 3 != 0 ? steps + 1 : steps) * step;
}

// What the layer gives to both ends of edges, for one item of the batch at a time.
class NodeProducts {
public:
    // stores_own: whether what rows add is made, or left to the kernel that reads it.
    NodeProducts(Orchestrator &o, const Call &call, bool stores_own)
        : o_(o), call_(call), stores_own_(stores_own), m_(call.dims[dim_m]), n_(call.dims[dim_n]), d_(call.dims[dim_d]),
          h_(call.dims[dim_h]), step_(std::max(least_rows, block_bytes / (2 * h_ * dtype_bytes(call.dtype))) *
                                      std::max(1, call.options.threads)),
          own(matrix(stores_own ? m_ : 0, h_)), source(matrix(n_, h_)), padded_weight(matrix(d_, padded_width(call))),
          own_weight(block_of(padded_weight, 0, d_, 0, h_)) {
        if (!o.dry)
            fill(padded_weight, 0);
        bias_ = o.scratch(call.dtype, &h_, 1);
        if (!o.dry && !call.arrays[bias].given)
            fill(bias_, -0.0); // which leaves a 0 its sign
    }

    // at(argument, core): that item of an argument, its core dimensions alone.
    template <typename At> void compute(const At &at) {
        const bool biased = call_.arrays[bias].given;
        const Array nodes = at(x, 2), both = at(weight, 2);
        const Array terms = biased ? at(bias, 1) : Array();
        const char *const key[] = {nodes.data, both.data, biased ? terms.data : nullptr};
        if (!o_.dry && known_ && std::equal(key, key + 3, key_)) // that of the item before
            return;
        std::copy_n(key, 3, key_);
        known_ = true;
        source_weight = rows_of(both, d_, d_);
        if (biased && !o_.dry)
            copy_elements(bias_, terms);
        subtract(o_, own_weight, rows_of(both, 0, d_), source_weight);
        if (!stores_own_)
            return multiply(o_, nodes, source_weight, source);
        each_block([&](int64_t first, int64_t count, int64_t owned) { block(nodes, first, count, owned, biased); });
    }

    // body(first node, count, how many of them have rows) for blocks of nodes that stay in the cache.
    template <typename Body> void each_block(const Body &body) const {
        for (int64_t first = 0; first < n_; first += step_) {
            const int64_t count = std::min(step_, n_ - first);
            body(first, count, std::max<int64_t>(0, std::min(count, m_ - first)));
            if (o_.dry && first + 2 * step_ < n_) // one that is whole, and the last
                first = (n_ - 1) / step_ * step_ - step_;
        }
    }
    int64_t block_rows() const { return std::min(step_, n_); }

private:
    Array matrix(int64_t rows, int64_t columns) const {
        const int64_t shape[] = {rows, columns};
        return o_.scratch(call_.dtype, shape, 2);
    }

    void block(const Array &nodes, int64_t first, int64_t count, int64_t owned, bool biased) {
        if (owned) {
            const Array here = rows_of(own, first, owned);
            multiply(o_, rows_of(nodes, first, owned), own_weight, here);
            if (biased)
                o_.add(here, repeated(bias_, owned));
        }
        multiply(o_, rows_of(nodes, first, count), source_weight, rows_of(source, first, count));
    }

    Orchestrator &o_;
    const Call &call_;
    const bool stores_own_;
    const int64_t m_, n_, d_, h_, step_;
    Array bias_ = {};
    const char *key_[3] = {};
    bool known_ = false;

public:
    const Array &terms() const { return bias_; }
    const Array own, source; // (m, h), or no row of it; (n, h)
    const Array padded_weight;
    const Array own_weight;   // (d, h), where it begins
    Array source_weight = {}; // the lower half of the caller's
};

void edge_mlp(Orchestrator &o, const Call &call) {
    check_shapes(call);
    const Array *const a = call.arrays;
    if (a[y].empty())
        return;
    if (call.dims[dim_k] == 0) {
        if (!o.dry)
            fill(a[y], algebras[call.algebra].identity);
        return;
    }
    const int64_t weight_bytes = call.dims[dim_d] * padded_width(call) * dtype_bytes(call.dtype);
    // Of an algebra that does not round, reproducible calls take kernels of any rounding class: none that multiplies.
    const bool fused = weight_bytes > 0 && weight_bytes <= most_weight_bytes &&
                       (!call.options.reproducible || algebras[call.algebra].rounds);
    NodeProducts nodes(o, call, !fused);
    const BroadcastSum all(call, a[y], 2);
    std::optional<Plans> plans; // of the kernels that make a row's product themselves
    std::optional<OutputInParts> output;
    if (fused) {
        plans.emplace(o, call, a[indices], call.dims[dim_n], false);
        output.emplace(o, a[y]);
    }
    for (int64_t item = 0; item < (o.dry ? 1 : all.items()); ++item) {
        const auto at = [&](int argument, int core) {
            return last_dimensions(all.item_of_term(a[argument], core, item, 0), core);
        };
        nodes.compute(at);
        if (!fused) {
            o.call("semiring_ell_edge_reduce", call.algebra,
                   {nodes.own, nodes.source, at(indices, 2), at(slope, 0), at(y, 2)});
            continue;
        }
        const bool chooses = algebras[call.algebra].passing == Passing::winner,
                   first = chooses && (o.dry || keeps_order(value_of(at(slope, 0))));
        each_section(plans->of(at(indices, 2)), [&](const Array &, const Array &sources, const Array &rows) {
            o.call_in_part(first ? "semiring_ell_edge_layer_extreme" : "semiring_ell_edge_layer", call.algebra,
                           {at(x, 2), nodes.padded_weight, nodes.source, sources, rows, nodes.terms(), at(slope, 0),
                            output->of(at(y, 2))});
        });
        output->store(at(y, 2));
    }
}

// The gradients go back through the two products of the nodes.
class Gradients {
public:
    Gradients(Orchestrator &o, const Call &call)
        : o_(o), call_(call), all_(call, call.arrays[y], 2), nodes_(o, call, true) {
        const int64_t *const dims = call.dims, one = 1, h = dims[dim_h], part[] = {nodes_.block_rows(), dims[dim_d]},
                             to_x[] = {dims[dim_n], dims[dim_d]}, to_weight[] = {dims[dim_w], h};
        const int64_t n = dims[dim_n], pair[] = {n, 2 * h}, sums[] = {dims[dim_d], 2 * h};
        if (dims[dim_m] == n) {
            both_ = o.scratch(call.dtype, pair, 2);
            sums_ = o.scratch(call.dtype, sums, 2);
            down_ = block_of(both_, 0, n, 0, h);
            dsource_ = block_of(both_, 0, n, h, h);
        } else {
            down_ = o.scratch(call.dtype, nodes_.own.shape, 2);
            dsource_ = o.scratch(call.dtype, nodes_.source.shape, 2);
        }
        part_ = o.scratch(call.dtype, part, 2);
        one_ = o.scratch(call.dtype, &one, 1);
        if (!o.dry)
            fill(one_, 1);
        if (!summed())
            return;
        to_x_ = o.scratch(call.dtype, to_x, 2);
        to_weight_ = o.scratch(call.dtype, to_weight, 2);
        to_bias_ = o.scratch(call.dtype, &h, 1);
        if (!o.dry)
            for (const int output : {dx, dweight, dbias})
                fill(call.arrays[output], 0);
    }

    void run() {
        for (int64_t i = 0; i < (o_.dry ? 1 : all_.items()); ++i) {
            const auto at = [&](int argument, int core) {
                return last_dimensions(all_.item_of_term(call_.arrays[argument], core, i, 0), core);
            };
            item(at);
        }
    }

private:
    // Items of the batch may share an operand, whose gradient is the sum of theirs.
    bool summed() const { return all_.items() > 1; }

    template <typename At> void item(const At &at) {
        nodes_.compute(at);
        o_.call("semiring_ell_edge_reduce_vjp", call_.algebra,
                {nodes_.own, nodes_.source, at(indices, 2), at(slope, 0), at(y, 2), at(dy, 2), down_, dsource_});
        if (!summed()) {
            to_nodes(at(dx, 2));
            return to_layer(at(x, 2), at(dweight, 2), at(dbias, 1));
        }
        to_nodes(to_x_);
        to_layer(at(x, 2), to_weight_, to_bias_);
        o_.add(at(dx, 2), to_x_);
        o_.add(at(dweight, 2), to_weight_);
        o_.add(at(dbias, 1), to_bias_);
    }

    void to_nodes(const Array &to) {
        const Array own_back = transposed(nodes_.own_weight), source_back = transposed(nodes_.source_weight);
        nodes_.each_block([&](int64_t first, int64_t count, int64_t owned) {
            multiply(o_, rows_of(dsource_, first, count), source_back, rows_of(to, first, count));
            if (!owned)
                return;
            const Array part = rows_of(part_, 0, owned);
            multiply(o_, rows_of(down_, first, owned), own_back, part);
            o_.add(rows_of(to, first, owned), part);
        });
    }

    void to_layer(const Array &nodes, const Array &to_weight, const Array &to_bias) {
        const int64_t m = call_.dims[dim_m], d = call_.dims[dim_d], h = call_.dims[dim_h];
        const Array upper = rows_of(to_weight, 0, d), lower = rows_of(to_weight, d, d);
        if (both_.given) {
            multiply(o_, transposed(nodes), both_, sums_);
            const Array own_sum = block_of(sums_, 0, d, 0, h), source_sum = block_of(sums_, 0, d, h, h);
            if (!o_.dry)
                copy_elements(upper, own_sum);
            subtract(o_, lower, source_sum, own_sum);
        } else {
            multiply(o_, transposed(rows_of(nodes, 0, m)), down_, upper);
            multiply(o_, transposed(nodes), dsource_, lower);
            subtract(o_, lower, lower, upper);
        }
        const int64_t ones[] = {1, m};
        multiply(o_, unread_matrix(one_, ones), down_, repeated(to_bias, 1));
    }

    Orchestrator &o_;
    const Call &call_;
    const BroadcastSum all_;
    NodeProducts nodes_;
    Array down_ = {}, dsource_ = {}; // gradients of what both ends are given,
    Array both_ = {}, sums_ = {};    // side by side where every node has a row: one product for both
    Array part_, one_, to_x_, to_weight_, to_bias_;
};

void edge_mlp_vjp(Orchestrator &o, const Call &call) {
    check_shapes(call);
    if (!call.arrays[y].empty() && call.dims[dim_k] > 0)
        return Gradients(o, call).run();
    if (!o.dry)
        for (const int output : {dx, dweight, dbias})
            fill(call.arrays[output], 0);
}

} // namespace

extern const Composition compose_semiring_ell_edge_mlp, compose_semiring_ell_edge_mlp_vjp;
const Composition compose_semiring_ell_edge_mlp = Composed<edge_mlp>::composition;
const Composition compose_semiring_ell_edge_mlp_vjp = Composed<edge_mlp_vjp>::composition;

} // namespace nitrix
