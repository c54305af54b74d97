// EdgeConv's layer over a graph: y[i] reduces act(x[i] (W1 - W2) + bias + x[j] W2) over the neighbours j of row i, with
// W1 above W2 in `weight`.
//
// Before its activation the layer is linear: what a node gives to its own edges and to those that end in it are two
// products, computed once for each node, not for each edge.
#include <algorithm>

#include "ell.h"
#include "error.h"
#include "pack.h"
#include "run.h"

namespace nitrix {

namespace {

enum { indices, x, weight, bias, slope, y };
enum { dim_m, dim_k, dim_n, dim_d, dim_w, dim_h };

// Rows whose products a thread's second-level cache holds when the bias is added to them, but for weights so wide that
// packing them would cost more.
constexpr int64_t block_bytes = 1 << 19, least_rows = 512;

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

// The last dimensions alone.
Array core_of(const Array &item, int core) {
    Array a = item;
    a.rank = core;
    std::copy_n(item.shape + item.rank - core, core, a.shape);
    std::copy_n(item.strides + item.rank - core, core, a.strides);
    return a;
}

Array rows_of(const Array &matrix, int64_t first, int64_t count) {
    return block_of(matrix, first, count, 0, matrix.shape[1]);
}

template <typename T> void subtract(const Array &to, const Array &a, const Array &b) {
    const auto at = [](const Array &from, int64_t i, int64_t j) -> T & {
        return reinterpret_cast<T *>(from.data)[i * from.strides[0] + j * from.strides[1]];
    };
    for (int64_t i = 0; i < to.shape[0]; ++i)
        for (int64_t j = 0; j < to.shape[1]; ++j)
            at(to, i, j) = at(a, i, j) - at(b, i, j);
}

template <typename T> void add_to_row(T *__restrict row, const T *__restrict terms, int64_t count) {
    for (int64_t j = 0; j < count; ++j)
        row[j] += terms[j];
}

// terms (columns) to each row of a compact matrix.
template <typename T> void add_to_rows(Orchestrator &o, const Array &rows, const Array &terms) {
    constexpr int64_t at_once = 64;
    const int64_t m = rows.shape[0], columns = rows.shape[1];
    o.parallel((m + at_once - 1) / at_once, [&](int64_t group) {
        for (int64_t i = group * at_once; i < std::min(m, (group + 1) * at_once); ++i)
            add_to_row(reinterpret_cast<T *>(rows.data) + i * columns, reinterpret_cast<const T *>(terms.data),
                       columns);
    });
}

// What the layer gives to both ends of edges, for one item of the batch at a time.
class NodeProducts {
public:
    NodeProducts(Orchestrator &o, const Call &call)
        : o_(o), call_(call), m_(call.dims[dim_m]), n_(call.dims[dim_n]), d_(call.dims[dim_d]), h_(call.dims[dim_h]),
          step_(std::max(least_rows, block_bytes / (2 * h_ * dtype_bytes(call.dtype))) *
                std::max(1, call.options.threads)),
          own(matrix(m_)), source(matrix(n_)), own_weight(matrix(d_)) {
        if (call.arrays[bias].given)
            bias_ = o.scratch(call.dtype, &h_, 1);
    }

    // at(argument, core): that item of an argument.
    template <typename At> void compute(const At &at) {
        const bool biased = call_.arrays[bias].given;
        const Array nodes = core_of(at(x, 2), 2), both = core_of(at(weight, 2), 2);
        const Array terms = biased ? core_of(at(bias, 1), 1) : Array();
        const char *const key[] = {nodes.data, both.data, biased ? terms.data : nullptr};
        if (!o_.dry && known_ && std::equal(key, key + 3, key_)) // that of the item before
            return;
        std::copy_n(key, 3, key_);
        known_ = true;
        source_weight = rows_of(both, d_, d_);
        if (!o_.dry) {
            if (biased)
                copy_elements(bias_, terms);
            if (call_.dtype == DType::f64)
                subtract<double>(own_weight, rows_of(both, 0, d_), source_weight);
            else
                subtract<float>(own_weight, rows_of(both, 0, d_), source_weight);
        }
        for (int64_t first = 0; first < n_; first += step_) {
            block(nodes, first);
            if (o_.dry && first + 2 * step_ < n_) // one that is whole, and the last
                first = (n_ - 1) / step_ * step_ - step_;
        }
    }

private:
    Array matrix(int64_t rows) const {
        const int64_t shape[] = {rows, h_};
        return o_.scratch(call_.dtype, shape, 2);
    }

    void block(const Array &nodes, int64_t first) {
        const int64_t count = std::min(step_, n_ - first), owned = std::min(count, m_ - first);
        if (owned > 0) {
            const Array here = rows_of(own, first, owned);
            multiply(rows_of(nodes, first, owned), own_weight, here);
            if (!o_.dry && call_.arrays[bias].given)
                call_.dtype == DType::f64 ? add_to_rows<double>(o_, here, bias_) : add_to_rows<float>(o_, here, bias_);
        }
        multiply(rows_of(nodes, first, count), source_weight, rows_of(source, first, count));
    }

    void multiply(const Array &a, const Array &b, const Array &to) {
        o_.call("semiring_matmul", find_algebra("real"), {a, b, to});
    }

    Orchestrator &o_;
    const Call &call_;
    const int64_t m_, n_, d_, h_, step_;
    Array bias_ = {};
    const char *key_[3] = {};
    bool known_ = false;

public:
    const Array own, source;  // (m, h), (n, h)
    const Array own_weight;   // (d, h)
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
    NodeProducts nodes(o, call);
    const BroadcastSum all(call, a[y], 2);
    for (int64_t item = 0; item < (o.dry ? 1 : all.items()); ++item) {
        const auto at = [&](int argument, int core) { return all.item_of_term(a[argument], core, item, 0); };
        nodes.compute(at);
        o.call("semiring_ell_edge_reduce", call.algebra,
               {nodes.own, nodes.source, core_of(at(indices, 2), 2), core_of(at(slope, 0), 0), core_of(at(y, 2), 2)});
    }
}

} // namespace

extern const Composition compose_semiring_ell_edge_mlp;
const Composition compose_semiring_ell_edge_mlp = Composed<edge_mlp>::composition;

} // namespace nitrix
