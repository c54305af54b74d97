// The vector-Jacobian product of semiring_matmul: dA and dB from dC. With w the weight of k in C[i, j],
//   dA[i, k] = sum over j of dC[i, j] w[i, j, k],   dB[k, j] = sum over i of dC[i, j] w[i, j, k].
// The gradient of a broadcast operand is summed over the broadcast dimensions, in their order.
#include <algorithm>
#include <cstring>

#include "error.h"
#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

enum { A, B, C, dC, winner, dA, dB };

// w = b or a: two products of the same kernel, with transposed operands.
void real(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    const BroadcastSum for_a(call, x[A], 2), for_b(call, x[B], 2);
    sum_terms(o, for_a, x[dA], 2, [&](int64_t t, const Array &target) {
        o.call("semiring_matmul", call.algebra, {for_a.term(x[dC], 2, t), transposed(for_a.term(x[B], 2, t)), target});
    });
    sum_terms(o, for_b, x[dB], 2, [&](int64_t t, const Array &target) {
        o.call("semiring_matmul", call.algebra, {transposed(for_b.term(x[A], 2, t)), for_b.term(x[dC], 2, t), target});
    });
}

// dA[i, k] = sum over j, in order, of the dC[i, j] whose index is k: a row of dA belongs to one thread.
template <typename T>
void scatter_rows(Orchestrator &o, const Call &call, const Array &index, const Array &dc, const Array &da) {
    const BroadcastSum sum(call, da, 2);
    const int r = call.batch_rank;
    const int64_t m = da.shape[da.rank - 2], k = da.shape[da.rank - 1], n = index.shape[index.rank - 1];
    o.parallel(sum.items() * m, [&](int64_t at) {
        const int64_t item = at / m, i = at % m;
        const Array to = sum.item_of_term(da, 2, item, 0);
        T *const row = reinterpret_cast<T *>(to.data) + i * to.strides[r];
        const int64_t step = to.strides[r + 1];
        for (int64_t x = 0; x < k; ++x)
            row[x * step] = 0;
        for (int64_t t = 0; t < sum.terms(); ++t) {
            const Array from = sum.item_of_term(dc, 2, item, t), which = sum.item_of_term(index, 2, item, t);
            const T *const c = reinterpret_cast<const T *>(from.data) + i * from.strides[r];
            const int32_t *const ix = reinterpret_cast<const int32_t *>(which.data) + i * which.strides[r];
            for (int64_t j = 0; j < n; ++j)
                if (const int64_t x = ix[j * which.strides[r + 1]]; x >= 0)
                    row[x * step] += c[j * from.strides[r + 1]];
        }
    });
}

// dB[k, j] = sum over i, in order, of the dC[i, j] whose index is k: a band of columns belongs to one thread, narrow
// enough to stay in the second-level cache.
template <typename T>
void scatter_columns(Orchestrator &o, const Call &call, const Array &index, const Array &dc, const Array &db) {
    constexpr int64_t band = 128;
    const BroadcastSum sum(call, db, 2);
    const int r = call.batch_rank;
    const int64_t k = db.shape[db.rank - 2], n = db.shape[db.rank - 1], m = index.shape[index.rank - 2];
    const int64_t bands = (n + band - 1) / band;
    o.parallel(sum.items() * bands, [&](int64_t at) {
        const int64_t item = at / bands, first = at % bands * band, last = std::min(n, first + band);
        const Array to = sum.item_of_term(db, 2, item, 0);
        T *const columns = reinterpret_cast<T *>(to.data);
        const int64_t down = to.strides[r], across = to.strides[r + 1];
        for (int64_t x = 0; x < k; ++x)
            for (int64_t j = first; j < last; ++j)
                columns[x * down + j * across] = 0;
        for (int64_t t = 0; t < sum.terms(); ++t) {
            const Array from = sum.item_of_term(dc, 2, item, t), which = sum.item_of_term(index, 2, item, t);
            for (int64_t i = 0; i < m; ++i) {
                const T *const c = reinterpret_cast<const T *>(from.data) + i * from.strides[r];
                const int32_t *const ix = reinterpret_cast<const int32_t *>(which.data) + i * which.strides[r];
                for (int64_t j = first; j < last; ++j)
                    if (const int64_t x = ix[j * which.strides[r + 1]]; x >= 0)
                        columns[x * down + j * across] += c[j * from.strides[r + 1]];
            }
        }
    });
}

// w = 1 at the winning k, 0 elsewhere: find it inside its block, then scatter.
void tropical(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    int64_t shape[max_rank];
    std::copy(call.batch, call.batch + call.batch_rank, shape);
    shape[call.batch_rank] = call.dims[0];
    shape[call.batch_rank + 1] = call.dims[2];
    const int rank = call.batch_rank + 2;
    Array product = x[C], block = x[winner];
    if (!block.given) {
        product = o.scratch(call.dtype, shape, rank);
        block = o.scratch(DType::i32, shape, rank);
        o.call("semiring_matmul_carry", call.algebra, {x[A], x[B], product, block});
    }
    const Array index = o.scratch(DType::i32, shape, rank);
    o.call("semiring_matmul_refine", call.algebra, {x[A], x[B], product, block, index});
    if (call.dtype == DType::f64) {
        scatter_rows<double>(o, call, index, x[dC], x[dA]);
        scatter_columns<double>(o, call, index, x[dC], x[dB]);
    } else {
        scatter_rows<float>(o, call, index, x[dC], x[dA]);
        scatter_columns<float>(o, call, index, x[dC], x[dB]);
    }
}

void vjp(Orchestrator &o, const Call &call) {
    bool empty = call.batch_size() == 0;
    for (int d = 0; d < call.op->n_dims; ++d)
        empty |= call.dims[d] == 0;
    if (empty) {
        if (!o.dry) {
            fill(call.arrays[dA], 0);
            fill(call.arrays[dB], 0);
        }
        return;
    }
    const char *const algebra = call.algebra_name();
    if (!std::strcmp(algebra, "real"))
        return real(o, call);
    if (!std::strncmp(algebra, "tropical", 8))
        return tropical(o, call);
    refuse(NITRIX_ERROR_UNSUPPORTED, std::string(call.op->name) + ": no gradient for semiring '" + algebra + "'");
}

} // namespace

extern const Composition compose_semiring_matmul_vjp;
const Composition compose_semiring_matmul_vjp = Composed<vjp>::composition;

} // namespace nitrix
