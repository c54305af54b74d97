// The vector-Jacobian product of semiring_matmul: dA and dB from dC. With w the weight of k in C[i, j],
//   dA[i, k] = sum over j of dC[i, j] w[i, j, k],   dB[k, j] = sum over i of dC[i, j] w[i, j, k].
// The gradient of a broadcast operand is summed over the broadcast dimensions, in their order.
#include <algorithm>

#include "error.h"
#include "ops/matmul_gradient.h"
#include "prefetch.h"
#include "run.h"

namespace nitrix {

using namespace matmul_gradient;

namespace {

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

// dB[k, j] = sum over i, in order, of the dC[i, j] whose index is k: a band of columns belongs to one thread. It is
// summed in the second-level cache and then copied: rows of dB a power of two apart share a few sets of the caches.
template <typename T>
void scatter_columns(Orchestrator &o, const Call &call, const Array &index, const Array &dc, const Array &db) {
    constexpr int64_t band = 64, ahead = 8; // rows
    const BroadcastSum sum(call, db, 2);
    const int r = call.batch_rank;
    const int64_t k = db.shape[db.rank - 2], n = db.shape[db.rank - 1], m = index.shape[index.rank - 2];
    const int64_t bands = (n + band - 1) / band, all = sum.items() * bands;
    const int64_t workers = std::min<int64_t>(std::max(1, call.options.threads), all), size[] = {workers, k, band};
    const Array memory = o.scratch(call.dtype, size, 3);
    o.parallel(workers, [&](int64_t worker) {
        T *const sums = reinterpret_cast<T *>(memory.data) + worker * k * band;
        for (int64_t at = worker; at < all; at += workers) {
            const int64_t item = at / bands, first = at % bands * band, count = std::min(n - first, band);
            std::fill_n(sums, k * band, T(0));
            for (int64_t t = 0; t < sum.terms(); ++t) {
                const Array from = sum.item_of_term(dc, 2, item, t), which = sum.item_of_term(index, 2, item, t);
                const int64_t c_down = from.strides[r], c_step = from.strides[r + 1];
                const int64_t ix_down = which.strides[r], ix_step = which.strides[r + 1];
                const T *c = reinterpret_cast<const T *>(from.data) + first * c_step;
                const int32_t *ix = reinterpret_cast<const int32_t *>(which.data) + first * ix_step;
                // Rows lie too far apart for the processor to see the next one coming.
                for (int64_t i = 0; i < m; ++i, c += c_down, ix += ix_down) {
                    ask_for(c + ahead * c_down, c_step, count);
                    ask_for(ix + ahead * ix_down, ix_step, count);
                    for (int64_t j = 0; j < count; ++j)
                        if (const int64_t x = ix[j * ix_step]; x >= 0)
                            sums[x * band + j] += c[j * c_step];
                }
            }
            const Array to = sum.item_of_term(db, 2, item, 0);
            const int64_t down = to.strides[r], step = to.strides[r + 1];
            T *row = reinterpret_cast<T *>(to.data) + first * step;
            for (int64_t x = 0; x < k; ++x, row += down) {
                ask_for(row + ahead * down, step, count);
                for (int64_t j = 0; j < count; ++j)
                    row[j * step] = sums[x * band + j];
            }
        }
    });
}

// w = 1 at the winning k, 0 elsewhere: find it inside its block, then scatter.
void tropical(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    int64_t shape[max_rank];
    full_shape(call, shape, call.dims[0], call.dims[2]);
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

// w = (a - b) / c for A, its negative for B, 0 where the distance is.
template <typename T> void quotients(Orchestrator &o, const Call &call, const Array &out) {
    const BroadcastSum all(call, out, 2);
    const int r = call.batch_rank;
    const int64_t m = out.shape[r], n = out.shape[r + 1];
    o.parallel(all.items() * m, [&](int64_t at) {
        const Array to = all.item_of_term(out, 2, at / m, 0), above = all.item_of_term(call.arrays[dC], 2, at / m, 0),
                    below = all.item_of_term(call.arrays[C], 2, at / m, 0);
        T *const w = reinterpret_cast<T *>(to.data) + at % m * to.strides[r];
        const T *const x = reinterpret_cast<const T *>(above.data) + at % m * above.strides[r];
        const T *const y = reinterpret_cast<const T *>(below.data) + at % m * below.strides[r];
        by_step(above.strides[r + 1], [&](auto x_step) {
            by_step(below.strides[r + 1], [&](auto y_step) {
                for (int64_t j = 0; j < n; ++j)
                    w[j] = -x[j * x_step] / y[j * y_step];
                for (int64_t j = 0; j < n; ++j)
                    w[j] = y[j * y_step] == 0 ? 0 : w[j];
            });
        });
    });
}

void euclidean(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    int64_t shape[max_rank];
    const Array w = o.scratch(call.dtype, full_shape(call, shape, call.dims[0], call.dims[2]), call.batch_rank + 2);
    if (call.dtype == DType::f64)
        quotients<double>(o, call, w);
    else
        quotients<float>(o, call, w);
    const BroadcastSum for_a(call, x[A], 2), for_b(call, x[B], 2);
    sum_terms(o, for_a, x[dA], 2, [&](int64_t t, const Array &target) {
        o.call("semiring_matmul_differences", call.algebra,
               {for_a.term(w, 2, t), transposed(for_a.term(x[B], 2, t)), for_a.term(x[A], 2, t), target});
    });
    sum_terms(o, for_b, x[dB], 2, [&](int64_t t, const Array &target) {
        o.call("semiring_matmul_right_differences", call.algebra,
               {transposed(for_b.term(x[A], 2, t)), for_b.term(w, 2, t), for_b.term(x[B], 2, t), target});
    });
}

void vjp(Orchestrator &o, const Call &call) {
    if (call.is_empty()) {
        if (!o.dry) {
            fill(call.arrays[dA], 0);
            fill(call.arrays[dB], 0);
        }
        return;
    }
    switch (algebras[call.algebra].passing) {
    case Passing::linear:
        return real(o, call);
    case Passing::winner:
        return tropical(o, call);
    case Passing::scaled:
        return euclidean(o, call);
    case Passing::each:
        return log_sums(o, call);
    case Passing::none:
        break;
    }
    refuse(NITRIX_ERROR_UNSUPPORTED,
           std::string(call.op->name) + ": no gradient for semiring '" + call.algebra_name() + "'");
}

} // namespace

extern const Composition compose_semiring_matmul_vjp;
const Composition compose_semiring_matmul_vjp = Composed<vjp>::composition;

} // namespace nitrix
