// Convolution over a graph: y[i, o] reduces combine(x[indices[i, s], c], weight[s, c, o]) over the channels c, with the
// bits of semiring_matmul, and then over the slots s of row i.
//
// A slot's weights meet the nodes before these are gathered: one product for all nodes and slots, whose rows, node * k
// + slot, the edges then name. So nothing of m x k x c is gathered, and any algebra serves, with a mask or without. The
// gradients go the same way back.
#include <algorithm>
#include <climits>

#include "ell.h"
#include "error.h"
#include "pack.h"
#include "run.h"
#include "square.h"

namespace nitrix {

namespace {

enum { indices, x, weight, y, dy, dx, dweight };

// The products of nodes and slots that are held at a time, but for at least 16 channels of the result.
constexpr int64_t most_bytes = 64 << 20, least_channels = 16;

Array matrix_in(const Array &memory, int64_t rows, int64_t columns) {
    Array a = memory;
    a.rank = 2;
    a.shape[0] = rows;
    a.shape[1] = a.strides[0] = columns;
    a.strides[1] = 1;
    return a;
}

// Weights (c, slot, channel) as the caller has them: (slot, c, channel).
Array by_slot(const Array &memory, int64_t k, int64_t c, int64_t channels) {
    Array a = memory;
    a.rank = 3;
    a.shape[0] = k;
    a.strides[0] = channels;
    a.shape[1] = c;
    a.strides[1] = k * channels;
    a.shape[2] = channels;
    a.strides[2] = 1;
    return a;
}

// Some channels of an item of the weights, whose leading dimensions all are 1.
Array channels_of(const Array &item, int64_t first, int64_t count) {
    Array a = last_dimensions(item, 3);
    if (a.data)
        a.data += first * a.strides[2] * dtype_bytes(a.dtype);
    a.shape[2] = count;
    return a;
}

// The products of one part of the result's channels at a time.
class NodeProducts {
public:
    NodeProducts(Orchestrator &o, const Call &call)
        : m(call.dims[0]), k(call.dims[1]), n(call.dims[2]), c(call.dims[3]), o_(o), call_(call) {
        if (n > INT_MAX / k)
            refuse(NITRIX_ERROR_UNSUPPORTED, std::string(call.op->name) + ": " + std::to_string(n) + " nodes with " +
                                                 std::to_string(k) + " slots: must be below 2147483648 in all");
        step_ = std::min(call.dims[4],
                         std::max(least_channels, most_bytes / std::max<int64_t>(1, n * k * dtype_bytes(call.dtype))));
        const int64_t entries[] = {m, k}, one = 1, weights = c * k * step_;
        rows_ = o.scratch(DType::i32, entries, 2);
        unit_ = o.scratch(call.dtype, &one, 1);
        if (!o.dry)
            fill(unit_, unit_of(call.algebra));
        weights_ = o.scratch(call.dtype, &weights, 1);
        products_ = memory();
    }

    Array memory() const { // for products, or their gradients
        const int64_t elements = n * k * step_;
        return o_.scratch(call_.dtype, &elements, 1);
    }

    // body(first, channels) for every part, once `at` has been taken in.
    template <typename Body> void each_part(const Array &at, const Body &body) {
        name_rows(last_two(at));
        for (int64_t first = 0; first < (o_.dry ? 1 : call_.dims[4]); first += step_)
            body(first, std::min(step_, call_.dims[4] - first));
    }

    void multiply(const Array &nodes, const Array &weights, int64_t first, int64_t channels) {
        if (!o_.dry)
            copy_elements(by_slot(weights_, k, c, channels), channels_of(weights, first, channels));
        o_.call("semiring_matmul", call_.algebra, {nodes, matrix(channels), by_node(products_, channels)});
    }

    Array matrix(int64_t channels) const { return matrix_in(weights_, c, k * channels); }
    Array by_node(const Array &memory, int64_t channels) const { return matrix_in(memory, n, k * channels); }
    Array by_row(const Array &memory, int64_t channels) const { return matrix_in(memory, n * k, channels); }
    const Array &products() const { return products_; }
    const Array &rows() const { return rows_; }
    Array values() const { // entries that leave a product as the monoid takes it
        const int64_t shape[] = {m, k};
        return unread_matrix(unit_, shape);
    }

    const int64_t m, k, n, c;

private:
    void name_rows(const Array &at) {
        o_.parallel(m, [&](int64_t i) {
            const int32_t *const from = reinterpret_cast<const int32_t *>(at.data) + i * at.strides[0];
            int32_t *const to = reinterpret_cast<int32_t *>(rows_.data) + i * k;
            for (int64_t s = 0; s < k; ++s) {
                const int32_t node = from[s * at.strides[1]];
                to[s] = node < 0 ? -1 : node * static_cast<int32_t>(k) + static_cast<int32_t>(s);
            }
        });
    }

    Orchestrator &o_;
    const Call &call_;
    int64_t step_;
    Array rows_, unit_, weights_, products_;
};

void conv(Orchestrator &o, const Call &call) {
    const Array *const a = call.arrays;
    if (call.is_empty()) {
        if (!o.dry && !a[y].empty())
            fill(a[y], algebras[call.algebra].identity);
        return;
    }
    NodeProducts nodes(o, call);
    const BroadcastSum all(call, a[y], 2);
    for (int64_t item = 0; item < (o.dry ? 1 : all.items()); ++item) {
        const auto at = [&](int argument, int core) { return all.item_of_term(a[argument], core, item, 0); };
        nodes.each_part(at(indices, 2), [&](int64_t first, int64_t channels) {
            nodes.multiply(last_two(at(x, 2)), at(weight, 3), first, channels);
            o.call("semiring_ell_matmul", call.algebra,
                   {nodes.values(), nodes.rows(), nodes.by_row(nodes.products(), channels),
                    block_of(last_two(at(y, 2)), 0, nodes.m, first, channels)});
        });
    }
}

void conv_vjp(Orchestrator &o, const Call &call) {
    const Array *const a = call.arrays;
    if (!o.dry) {
        fill(a[dx], 0);
        fill(a[dweight], 0);
    }
    if (call.is_empty())
        return;
    NodeProducts nodes(o, call);
    const Array passed = nodes.memory();
    const int64_t entries[] = {nodes.m, nodes.k}, features[] = {nodes.n, nodes.c};
    const int64_t weights = nodes.matrix(call.dims[4]).shape[1] * nodes.c;
    const Array unread = o.scratch(call.dtype, entries, 2), to_x = o.scratch(call.dtype, features, 2),
                to_weights = o.scratch(call.dtype, &weights, 1);
    Array none;
    none.given = false;
    const BroadcastSum all(call, a[y], 2);
    for (int64_t item = 0; item < (o.dry ? 1 : all.items()); ++item) {
        const auto at = [&](int argument, int core) { return all.item_of_term(a[argument], core, item, 0); };
        nodes.each_part(at(indices, 2), [&](int64_t first, int64_t channels) {
            const Array own_x = last_two(at(x, 2));
            nodes.multiply(own_x, at(weight, 3), first, channels);
            const auto part = [&](int argument) {
                return block_of(last_two(at(argument, 2)), 0, nodes.m, first, channels);
            };
            o.call("semiring_ell_matmul_vjp", call.algebra,
                   {nodes.values(), nodes.rows(), nodes.by_row(nodes.products(), channels), part(y), part(dy), unread,
                    nodes.by_row(passed, channels)});
            o.call("semiring_matmul_vjp", call.algebra,
                   {own_x, nodes.matrix(channels), nodes.by_node(nodes.products(), channels),
                    nodes.by_node(passed, channels), none, to_x, matrix_in(to_weights, nodes.c, nodes.k * channels)});
            if (o.dry)
                return;
            o.add(last_two(at(dx, 2)), to_x);
            o.add(channels_of(at(dweight, 3), first, channels), by_slot(to_weights, nodes.k, nodes.c, channels));
        });
    }
}

} // namespace

extern const Composition compose_semiring_ell_conv, compose_semiring_ell_conv_vjp;
const Composition compose_semiring_ell_conv = Composed<conv>::composition;
const Composition compose_semiring_ell_conv_vjp = Composed<conv_vjp>::composition;

} // namespace nitrix
