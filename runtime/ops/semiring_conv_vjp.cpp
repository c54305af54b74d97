// The vector-Jacobian product of semiring_conv: dx and dk from dy. REAL's dx is a convolution of dy by the flipped
// kernel, one for each residue of the stride; the tropical algebras scatter dy to the winning terms; the others have
// kernels that weigh each term anew, of which LOG needs them where exponentials underflow. No array of patches is
// formed. The gradient of a broadcast operand is summed over the broadcast dimensions, in their order.
#include <algorithm>
#include <numeric>

#include "ops/conv_gradient.h"
#include "run.h"

namespace nitrix {

using namespace conv_gradient;

namespace {

enum { stride, padding, pads, dilation, spatial_rank, n_attributes };
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

} // namespace

void conv_gradient::weighted(Orchestrator &o, const Call &call) {
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

namespace {

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
        log_sums(o, call, lowered);
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
