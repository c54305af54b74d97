// The vector-Jacobian product of semiring_conv: dx and dk from dy. REAL's dx is a convolution of dy by the flipped
// kernel, one for each residue of the stride; the tropical algebras scatter dy to the winning terms; the others have
// kernels that weigh each term anew, of which LOG needs them where exponentials underflow. No array of patches is
// formed. The gradient of a broadcast operand is summed over the broadcast dimensions, in their order.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

enum { X, K, Y, dY, dX, dK };
enum { stride, padding, pads, dilation, spatial_rank, n_attributes };
constexpr int axes = 3, of_x = axes + 1, of_k = axes + 2; // core dimensions: the arrays are padded to three axes

// The attributes of a convolution in three dimensions, in the order of the manifest.
struct Attributes {
    int64_t strides[axes], dilations[axes], room[2 * axes];
    AttributeValue values[n_attributes];

    const AttributeValue *get() {
        values[stride] = {0, 0, nullptr, strides, axes};
        values[padding] = {0, 0, "VALID", nullptr, 0};
        values[pads] = {0, 0, nullptr, room, 2 * axes};
        values[dilation] = {0, 0, nullptr, dilations, axes};
        values[spatial_rank] = {axes, 0, nullptr, nullptr, 0};
        return values;
    }
};

int64_t size_of(const Call &call, int argument, int core) { return call.dims[call.op->arguments[argument].dims[core]]; }
int64_t derived(const Call &call, int which, int axis) { return call.dims[call.op->n_dims + which * axes + axis]; }

// What the call has, with the padding spelt out.
Attributes attributes_of(const Call &call) {
    Attributes a;
    for (int axis = 0; axis < axes; ++axis) {
        a.strides[axis] = derived(call, 0, axis);
        a.dilations[axis] = derived(call, 1, axis);
        const int64_t reach = (size_of(call, K, axis) - 1) * a.dilations[axis] + 1;
        const int64_t before = a.room[2 * axis] = derived(call, 2, axis);
        // What the last output reads; rows of x behind it are read by none.
        const int64_t end = (size_of(call, Y, axis) - 1) * a.strides[axis] + reach;
        a.room[2 * axis + 1] = std::max<int64_t>(end - before - size_of(call, X, axis), 0);
    }
    return a;
}

void slice(Array &a, int d, int64_t first, int64_t count, int64_t step) {
    if (a.data && count > 0)
        a.data += first * a.strides[d] * dtype_bytes(a.dtype);
    a.shape[d] = count;
    a.strides[d] *= step;
}

// Positions r, r + s, ... of an axis of x, for 0 <= r < s: the taps that reach them, and the convolution of dy by these
// taps, flipped, that gives their gradient.
struct Phase {
    int64_t first, count;        // positions of x
    int64_t tap, taps, tap_step; // of k
    int64_t dilation;            // of the taps, in outputs
    int64_t skip, kept;          // of the outputs
    int64_t before, after;       // padding of what is kept
};

int64_t residues(const Call &call, int axis) { return std::min(derived(call, 0, axis), size_of(call, X, axis)); }

Phase phase_of(const Call &call, int axis, int64_t residue) {
    const int64_t s = derived(call, 0, axis), d = derived(call, 1, axis), b = derived(call, 2, axis);
    const int64_t size = size_of(call, X, axis), taps = size_of(call, K, axis), outputs = size_of(call, Y, axis);
    Phase p{};
    p.first = residue;
    p.count = (size - residue + s - 1) / s;
    const int64_t shared = std::gcd(s, d);
    p.tap_step = s / shared;
    p.dilation = d / shared;
    p.tap = -1;
    for (int64_t q = 0; q < std::min(taps, p.tap_step) && p.tap < 0; ++q)
        if ((residue + b - q * d) % s == 0)
            p.tap = q;
    if (p.tap < 0)
        return p;
    p.taps = (taps - p.tap + p.tap_step - 1) / p.tap_step;
    const int64_t reach = (p.taps - 1) * p.dilation + 1;
    // Position j of the phase is read at its tap t by output j + offset - t * dilation.
    const int64_t offset = (residue + b - p.tap * d) / s, before = (reach - 1) - offset;
    const int64_t after = p.count - 1 + reach - outputs - before;
    p.skip = std::max<int64_t>(-before, 0);
    p.kept = outputs - p.skip - std::max<int64_t>(-after, 0);
    p.before = std::max<int64_t>(before, 0);
    p.after = std::max<int64_t>(after, 0);
    if (p.kept <= 0) { // none of the outputs: as many zeros as the positions need
        p.skip = p.kept = 0;
        p.before = p.count - 1 + reach;
        p.after = 0;
    }
    return p;
}

// dx for REAL: for each combination of residues a convolution with stride 1.
void convolve_back(Orchestrator &o, const Call &call, const Array &k, const Array &dy, const Array &dx) {
    int64_t phases = 1;
    bool passes_by = false;
    for (int axis = 0; axis < axes; ++axis) {
        phases *= residues(call, axis);
        passes_by |= derived(call, 0, axis) > 1;
    }
    if (passes_by && !o.dry)
        fill(dx, 0); // there may be positions, even the only one, that no tap reaches
    for (int64_t phase = 0; phase < phases; ++phase) {
        Array from = dy, window = k, to = dx;
        Attributes a;
        int64_t rest = phase;
        bool any = true;
        for (int axis = axes - 1; axis >= 0; --axis) {
            const int64_t n = residues(call, axis);
            const Phase p = phase_of(call, axis, rest % n);
            rest /= n;
            any = p.tap >= 0;
            if (!any)
                break;
            slice(to, to.rank - of_x + axis, p.first, p.count, derived(call, 0, axis));
            slice(from, from.rank - of_x + axis, p.skip, p.kept, 1);
            slice(window, window.rank - of_k + axis, p.tap + (p.taps - 1) * p.tap_step, p.taps, -p.tap_step);
            a.strides[axis] = 1;
            a.dilations[axis] = p.dilation;
            a.room[2 * axis] = p.before;
            a.room[2 * axis + 1] = p.after;
        }
        if (any)
            o.call("semiring_conv", call.algebra, {from, transposed(window), to}, a.get());
    }
}

int64_t terms_of(const Call &call) {
    int64_t terms = 1;
    for (int d = 0; d <= axes; ++d)
        terms *= size_of(call, K, d);
    return terms;
}

// How far each term of an output lies from the output's first tap in dx, or from the start of dk: int64.
Array places(Orchestrator &o, const Call &call, const Array &to, int core) {
    const int64_t terms = terms_of(call);
    const Array table = o.scratch(DType::i64, &terms, 1);
    if (o.dry)
        return table;
    for (int64_t term = 0; term < terms; ++term) {
        int64_t rest = term, at = 0;
        for (int d = axes; d >= 0; --d) {
            const int64_t index = rest % size_of(call, K, d);
            const bool is_tap_of_x = core == of_x && d < axes;
            at += to.strides[to.rank - core + d] *
                  (is_tap_of_x ? index * derived(call, 1, d) - derived(call, 2, d) : index);
            rest /= size_of(call, K, d);
        }
        reinterpret_cast<int64_t *>(table.data)[term] = at;
    }
    return table;
}

// Adds dy to the winning terms, in the order of the outputs: to dx through a table of places, to a sum for each term
// and channel of dk, of which each has as many summands as there are outputs: float64.
template <typename T, bool for_x, bool for_k>
void add_outputs(const Call &call, const Array &dy, const Array &winner, const Array &dx, const int64_t *place,
                 double *sums) {
    const int lead = call.batch_rank;
    const int64_t *const n = dy.shape + lead, *const step = dy.strides + lead, *const pace = winner.strides + lead;
    int64_t hop[axes] = {};
    for (int d = 0; for_x && d < axes; ++d)
        hop[d] = derived(call, 0, d) * dx.strides[lead + d];
    const int64_t channels = n[axes], along = step[axes], by = pace[axes];
    for (int64_t i0 = 0; i0 < n[0]; ++i0)
        for (int64_t i1 = 0; i1 < n[1]; ++i1)
            for (int64_t i2 = 0; i2 < n[2]; ++i2) {
                const T *const from = reinterpret_cast<const T *>(dy.data) + i0 * step[0] + i1 * step[1] + i2 * step[2];
                const int32_t *const which =
                    reinterpret_cast<const int32_t *>(winner.data) + i0 * pace[0] + i1 * pace[1] + i2 * pace[2];
                T *const to = reinterpret_cast<T *>(dx.data) + (i0 * hop[0] + i1 * hop[1] + i2 * hop[2]);
                for (int64_t c = 0; c < channels; ++c) {
                    const int64_t term = which[c * by];
                    if (term < 0)
                        continue;
                    const T value = from[c * along];
                    if constexpr (for_x)
                        to[place[term]] += value;
                    if constexpr (for_k)
                        sums[term * channels + c] += value;
                }
            }
}

// For each item of `sum`, which are those of dx, of dk or of both.
template <typename T, bool for_x, bool for_k>
void scatter(Orchestrator &o, const Call &call, const Array &winner, const BroadcastSum &sum) {
    const Array *const a = call.arrays;
    const int64_t terms = terms_of(call), c_out = size_of(call, Y, axes), shape[] = {sum.items(), terms * c_out};
    Array of_dx{}, of_dk{}, sums{};
    if (for_x)
        of_dx = places(o, call, a[dX], of_x);
    if (for_k) {
        of_dk = places(o, call, a[dK], of_k);
        sums = o.scratch(DType::f64, shape, 2);
    }
    const auto *const place = reinterpret_cast<const int64_t *>(of_dx.data);
    o.parallel(sum.items(), [&](int64_t item) {
        Array dx{};
        double *own = nullptr;
        if (for_x) {
            dx = sum.item_of_term(a[dX], of_x, item, 0);
            fill(dx, 0);
        }
        if (for_k) {
            own = reinterpret_cast<double *>(sums.data) + item * shape[1];
            std::fill_n(own, shape[1], 0.0);
        }
        for (int64_t t = 0; t < sum.terms(); ++t)
            add_outputs<T, for_x, for_k>(call, sum.item_of_term(a[dY], of_x, item, t),
                                         sum.item_of_term(winner, of_x, item, t), dx, place, own);
        if (!for_k)
            return;
        const Array dk = sum.item_of_term(a[dK], of_k, item, 0);
        for (int64_t term = 0; term < terms; ++term) {
            T *const to = reinterpret_cast<T *>(dk.data) + reinterpret_cast<const int64_t *>(of_dk.data)[term];
            for (int64_t c = 0; c < c_out; ++c)
                to[c * dk.strides[dk.rank - 1]] = static_cast<T>(own[term * c_out + c]);
        }
    });
}

template <typename T> void scatter_both(Orchestrator &o, const Call &call, const Array &winner) {
    const BroadcastSum for_x(call, call.arrays[dX], of_x), for_k(call, call.arrays[dK], of_k);
    if (for_x.terms() == 1 && for_k.terms() == 1) // the same items: one pass
        return scatter<T, true, true>(o, call, winner, for_x);
    scatter<T, true, false>(o, call, winner, for_x);
    scatter<T, false, true>(o, call, winner, for_k);
}

// Of the tropical algebras: to the first term that the output is.
void scatter_to_winners(Orchestrator &o, const Call &call) {
    const Array *const a = call.arrays;
    int64_t shape[max_rank];
    std::copy(call.batch, call.batch + call.batch_rank, shape);
    for (int d = 0; d < of_x; ++d)
        shape[call.batch_rank + d] = size_of(call, Y, d);
    const Array winner = o.scratch(DType::i32, shape, call.batch_rank + of_x);
    Attributes attributes = attributes_of(call);
    o.call("semiring_conv_winner", call.algebra, {o.compact(a[X]), o.compact(a[K]), o.compact(a[Y]), winner},
           attributes.get());
    (call.dtype == DType::f64 ? scatter_both<double> : scatter_both<float>)(o, call, winner);
}

// Each operand's gradient by its kernel: terms weighed by what the algebra's derivative says.
void weighted(Orchestrator &o, const Call &call) {
    const Array *const a = call.arrays;
    const Array &x = a[X], &k = a[K], &y = a[Y], &dy = a[dY];
    const BroadcastSum for_x(call, x, of_x), for_k(call, k, of_k);
    Attributes attributes = attributes_of(call);
    sum_terms(o, for_x, a[dX], of_x, [&](int64_t t, const Array &target) {
        const Array window = for_x.term(k, of_k, t), from = for_x.term(dy, of_x, t);
        if (algebras[call.algebra].passing == Passing::linear)
            return convolve_back(o, call, window, from, target);
        o.call("semiring_conv_input_gradient", call.algebra,
               {for_x.term(x, of_x, t), window, for_x.term(y, of_x, t), from, target}, attributes.get());
    });
    sum_terms(o, for_k, a[dK], of_k, [&](int64_t t, const Array &target) {
        o.call(
            "semiring_conv_kernel_gradient", call.algebra,
            {for_k.term(x, of_x, t), for_k.term(k, of_k, t), for_k.term(y, of_x, t), for_k.term(dy, of_x, t), target},
            attributes.get());
    });
}

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

// LOG in one of its two forms; nothing computed before says which one a dry run would take.
template <typename T> void log_sums(Orchestrator &o, const Call &call, bool lowered) {
    Lowered<T> form(o, call);
    if (lowered && (o.dry || form.is_exact()))
        form.run();
    else
        weighted(o, call);
}

void gradients(Orchestrator &o, const Call &original, bool lowered) {
    Call call = original; // with inputs whose channels, or positions of a single channel, lie side by side
    Array *const a = call.arrays;
    if (a[dX].empty() || a[dK].empty() || a[dY].empty()) { // no term
        if (!o.dry) {
            fill(a[dX], 0);
            fill(a[dK], 0);
        }
        return;
    }
    const Algebra &algebra = algebras[call.algebra];
    for (const int i : {X, K, dY})
        a[i] = o.compact(a[i]);
    a[Y] = algebra.passing == Passing::linear ? a[dY] : o.compact(a[Y]); // of a linear one it is not read
    if (algebra.passing == Passing::winner)
        scatter_to_winners(o, call);
    else if (algebra.unresolved[0])
        (call.dtype == DType::f64 ? log_sums<double> : log_sums<float>)(o, call, lowered);
    else
        weighted(o, call);
}

void run_gradients(const Call &call) {
    Orchestrator o(call, false);
    gradients(o, call, true);
}

size_t bytes_of_gradients(const Call &call) {
    size_t most = 0;
    for (const bool lowered : {true, false}) {
        Orchestrator o(call, true);
        gradients(o, call, lowered);
        most = std::max(most, o.peak_bytes());
    }
    return most;
}

} // namespace

extern const Composition compose_semiring_conv_vjp;
const Composition compose_semiring_conv_vjp = {run_gradients, bytes_of_gradients};

} // namespace nitrix
