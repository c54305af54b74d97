// LOG's half of semiring_conv_vjp: its gradient through exponentials of whole arrays.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/conv_gradient.h"
#include "run.h"

namespace nitrix {

using namespace conv_gradient;

namespace {

// LOG's weight exp(x + k - y) as a product. With EX = exp(x - largest of x), EK = exp(k - largest of k) and W = dy *
// exp(both largest - y), the gradients are EX and EK times those of a REAL convolution of EX by EK: no exponential for
// each term.
template <typename T> class Lowered {
public:
    Lowered(Orchestrator &o, const Call &call)
        : o_(o), call_(call), of_item_x_(largest(call.arrays[X], of_x)), of_item_k_(largest(call.arrays[K], of_k)) {}

    // Whether no exponential that matters underflows: beside an output this near to the largest sum, what is lost lies
    // far below rounding (the limit of semiring_matmul_log_weight).
    bool is_exact() const {
        constexpr T limit = sizeof(T) == 8 ? 460 : 55, infinity = std::numeric_limits<T>::infinity();
        const BroadcastSum all(call_, every_output(), of_x);
        bool exact = true;
        for (int64_t item = 0; exact && item < all.items(); ++item) {
            const T largest = *first_of(all.item_of_term(of_item_x_, 0, item, 0)) +
                              *first_of(all.item_of_term(of_item_k_, 0, item, 0));
            each_row(all.item_of_term(call_.arrays[Y], of_x, item, 0), [&](const T *row, int64_t n, int64_t step) {
                bool fits = true;
                for (int64_t i = 0; i < n; ++i) {
                    const T value = row[i * step];
                    // -inf passes nothing on, NaN itself; +inf, or a difference to it, has no exponential.
                    fits &= (value < infinity && largest - value <= limit) | (value == -infinity) | std::isnan(value);
                }
                exact &= fits;
            });
        }
        return exact;
    }

    void run() {
        const Array *const a = call_.arrays;
        Call linear = call_;
        linear.algebra = find_algebra("real");
        const Array ex = linear.arrays[X] = scratch_like(a[X]), ek = linear.arrays[K] = scratch_like(a[K]);
        const Array w = linear.arrays[dY] = linear.arrays[Y] = scratch_like(every_output()); // y is not read
        exponentials(a[X], of_item_x_, ex);
        exponentials(a[K], of_item_k_, ek);
        const Array matrix = matrices(w);
        const int inside = matrix.rank - call_.batch_rank;
        const int64_t *const extent = matrix.shape + matrix.rank;
        o_.call("semiring_matmul_log_weight", call_.algebra,
                {matrices(a[dY]), matrices(a[Y]), repeated(of_item_x_, inside, extent[-2]),
                 repeated(of_item_k_, inside, extent[-1]), matrix});
        weighted(o_, linear);
        o_.multiply(a[dX], ex);
        o_.multiply(a[dK], ek);
    }

private:
    static T *first_of(const Array &a) { return reinterpret_cast<T *>(a.data); }

    // Every row along the last dimension: body(first, count, stride).
    template <typename Body> static void each_row(const Array &a, const Body &body) {
        const Array m = matrices(a);
        int64_t index[max_rank] = {};
        T *row = first_of(m);
        for (int d = 0; d >= 0;) {
            body(row, m.shape[m.rank - 1], m.strides[m.rank - 1]);
            for (d = m.rank - 2; d >= 0; --d) {
                row += m.strides[d];
                if (++index[d] < m.shape[d])
                    break;
                row -= m.strides[d] * m.shape[d];
                index[d] = 0;
            }
        }
    }

    // Without a last dimension of one element: vectors run along the one before.
    static Array matrices(Array a) {
        a.rank -= a.shape[a.rank - 1] == 1;
        return a;
    }

    Array scratch_like(const Array &a) { return o_.scratch(a.dtype, a.shape, a.rank); }

    // The shape of an output with all leading dimensions.
    Array every_output() const {
        Array y = call_.arrays[Y];
        y.rank = call_.batch_rank + of_x;
        std::copy(call_.batch, call_.batch + call_.batch_rank, y.shape);
        for (int d = 0; d < of_x; ++d)
            y.shape[call_.batch_rank + d] = size_of(call_, Y, d);
        return y;
    }

    // The largest element of each item of an operand with `core` dimensions of its own; NaN is passed over.
    Array largest(const Array &a, int core) {
        const Array out = o_.scratch(a.dtype, a.shape, a.rank - core);
        if (o_.dry)
            return out;
        int64_t items = 1;
        for (int d = 0; d < out.rank; ++d)
            items *= out.shape[d];
        o_.parallel(items, [&](int64_t item) {
            Array own = a;
            int64_t rest = item;
            for (int d = out.rank - 1; d >= 0; --d) {
                own.data += rest % a.shape[d] * a.strides[d] * dtype_bytes(a.dtype);
                own.shape[d] = 1;
                rest /= a.shape[d];
            }
            constexpr int lanes = 16; // whose order does not matter
            T top[lanes];
            std::fill_n(top, lanes, -std::numeric_limits<T>::infinity());
            each_row(own, [&](const T *row, int64_t n, int64_t step) {
                int64_t i = 0;
                for (; step == 1 && i + lanes <= n; i += lanes)
                    for (int l = 0; l < lanes; ++l)
                        top[l] = row[i + l] > top[l] ? row[i + l] : top[l];
                for (; i < n; ++i)
                    top[0] = row[i * step] > top[0] ? row[i * step] : top[0];
            });
            first_of(out)[item] = *std::max_element(top, top + lanes);
        });
        return out;
    }

    // One number for each item, repeated along a row or a column of matrices that have `inside` dimensions in an item.
    static Array repeated(Array of_item, int inside, int64_t extent) {
        for (int d = 2; d <= inside; ++d) {
            of_item.shape[of_item.rank] = d < inside ? 1 : extent;
            of_item.strides[of_item.rank++] = 0;
        }
        return of_item;
    }

    void exponentials(const Array &a, const Array &of_item, const Array &out) {
        const Array matrix = matrices(out);
        const int64_t *const extent = matrix.shape + matrix.rank, one = 1;
        const Array zero = o_.scratch(a.dtype, &one, 0);
        if (!o_.dry)
            fill(zero, 0);
        o_.call("semiring_matmul_log_operand", call_.algebra,
                {matrices(a), repeated(of_item, matrix.rank - of_item.rank, extent[-2]), repeated(zero, 2, extent[-1]),
                 matrix});
    }

    Orchestrator &o_;
    const Call &call_;
    const Array of_item_x_, of_item_k_;
};

template <typename T> void one_of_two(Orchestrator &o, const Call &call, bool lowered) {
    Lowered<T> form(o, call);
    if (lowered && (o.dry || form.is_exact()))
        form.run();
    else
        weighted(o, call);
}

} // namespace

void conv_gradient::log_sums(Orchestrator &o, const Call &call, bool lowered) {
    (call.dtype == DType::f64 ? one_of_two<double> : one_of_two<float>)(o, call, lowered);
}

} // namespace nitrix
