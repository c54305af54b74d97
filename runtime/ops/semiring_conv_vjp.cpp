// The vector-Jacobian product of semiring_conv: dx and dk from dy. REAL's dx is a convolution of dy by the flipped
// kernel, one for each residue of the stride; the tropical algebras scatter dy to the winning terms; the others have
// kernels that weigh each term anew. No array of patches is formed. The gradient of a broadcast operand is summed over
// the broadcast dimensions, in their order.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

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
    for (int axis = 0; axis < axes; ++axis)
        phases *= std::min(derived(call, 0, axis), size_of(call, X, axis));
    if (phases > 1 && !o.dry)
        fill(dx, 0); // where the stride passes by
    for (int64_t phase = 0; phase < phases; ++phase) {
        Array from = dy, window = k, to = dx;
        Attributes a;
        int64_t rest = phase;
        bool any = true;
        for (int axis = axes - 1; axis >= 0; --axis) {
            const int64_t residues = std::min(derived(call, 0, axis), size_of(call, X, axis));
            const Phase p = phase_of(call, axis, rest % residues);
            rest /= residues;
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

// dx += and dk += dy at the winning terms, in the order of the outputs. Every term has a fixed place beside its output.
template <typename T>
void scatter(Orchestrator &o, const Call &call, const Array &winner, const Array &dy, const Array &to, bool is_image) {
    const int core = is_image ? of_x : of_k;
    const BroadcastSum sum(call, to, core);
    int64_t taps[axes], c_in = size_of(call, X, axes), c_out = size_of(call, Y, axes), terms = c_in;
    for (int axis = 0; axis < axes; ++axis)
        terms *= taps[axis] = size_of(call, K, axis);
    std::vector<int64_t> place(static_cast<size_t>(terms));
    int64_t window[axes + 1];
    for (int64_t term = 0; term < terms; ++term) {
        int64_t rest = term;
        window[axes] = rest % c_in;
        rest /= c_in;
        for (int axis = axes - 1; axis >= 0; --axis) {
            window[axis] = rest % taps[axis];
            rest /= taps[axis];
        }
        int64_t at = 0;
        for (int d = 0; d <= axes; ++d) {
            const int64_t step = to.strides[to.rank - core + d];
            at += step * (!is_image || d == axes ? window[d] : window[d] * derived(call, 1, d) - derived(call, 2, d));
        }
        place[static_cast<size_t>(term)] = at;
    }
    const int lead = call.batch_rank;
    o.parallel(sum.items(), [&](int64_t item) {
        const Array own = sum.item_of_term(to, core, item, 0);
        // The sums of k have as many terms as there are outputs: float64.
        std::vector<double> sums(is_image ? 0 : static_cast<size_t>(terms * c_out));
        Array image = own;
        fill(image, 0);
        for (int64_t t = 0; t < sum.terms(); ++t) {
            const Array from = sum.item_of_term(dy, of_x, item, t), which = sum.item_of_term(winner, of_x, item, t);
            const int64_t *const n = from.shape + lead, *const step = from.strides + lead;
            const int64_t *const pace = which.strides + lead;
            for (int64_t i0 = 0; i0 < n[0]; ++i0)
                for (int64_t i1 = 0; i1 < n[1]; ++i1)
                    for (int64_t i2 = 0; i2 < n[2]; ++i2) {
                        const int64_t at[axes] = {i0, i1, i2};
                        int64_t source = 0, index = 0, target = 0;
                        for (int d = 0; d < axes; ++d) {
                            source += at[d] * step[d];
                            index += at[d] * pace[d];
                            target += at[d] * derived(call, 0, d) * own.strides[lead + d];
                        }
                        for (int64_t c = 0; c < n[axes]; ++c) {
                            const int32_t term = reinterpret_cast<const int32_t *>(which.data)[index + c * pace[axes]];
                            if (term < 0)
                                continue;
                            const T value = reinterpret_cast<const T *>(from.data)[source + c * step[axes]];
                            if (is_image)
                                reinterpret_cast<T *>(own.data)[target + place[static_cast<size_t>(term)]] += value;
                            else
                                sums[static_cast<size_t>(term * c_out + c)] += value;
                        }
                    }
        }
        for (size_t i = 0; i < sums.size(); ++i)
            reinterpret_cast<T *>(
                own.data)[place[i / static_cast<size_t>(c_out)] +
                          static_cast<int64_t>(i % static_cast<size_t>(c_out)) * own.strides[lead + axes + 1]] =
                static_cast<T>(sums[i]);
    });
}

void tropical(Orchestrator &o, const Call &call) {
    const Array *const a = call.arrays;
    int64_t shape[max_rank];
    std::copy(call.batch, call.batch + call.batch_rank, shape);
    for (int d = 0; d < of_x; ++d)
        shape[call.batch_rank + d] = size_of(call, Y, d);
    const Array winner = o.scratch(DType::i32, shape, call.batch_rank + of_x);
    Attributes attributes = attributes_of(call);
    o.call("semiring_conv_winner", call.algebra, {o.compact(a[X]), o.compact(a[K]), o.compact(a[Y]), winner},
           attributes.get());
    if (o.dry)
        return;
    if (call.dtype == DType::f64) {
        scatter<double>(o, call, winner, a[dY], a[dX], true);
        scatter<double>(o, call, winner, a[dY], a[dK], false);
    } else {
        scatter<float>(o, call, winner, a[dY], a[dX], true);
        scatter<float>(o, call, winner, a[dY], a[dK], false);
    }
}

void weighted(Orchestrator &o, const Call &call) {
    const Array *const a = call.arrays;
    const Array x = o.compact(a[X]), k = o.compact(a[K]), y = o.compact(a[Y]), dy = o.compact(a[dY]);
    const BroadcastSum for_x(call, x, of_x), for_k(call, k, of_k);
    Attributes attributes = attributes_of(call);
    const bool is_real = !std::strcmp(call.algebra_name(), "real");
    sum_terms(o, for_x, a[dX], of_x, [&](int64_t t, const Array &target) {
        const Array window = for_x.term(k, of_k, t), from = for_x.term(dy, of_x, t);
        if (is_real)
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

void gradients(Orchestrator &o, const Call &call) {
    const Array *const a = call.arrays;
    if (a[dX].empty() || a[dK].empty() || a[dY].empty()) { // no term
        if (!o.dry) {
            fill(a[dX], 0);
            fill(a[dK], 0);
        }
        return;
    }
    if (!std::strncmp(call.algebra_name(), "tropical", 8))
        tropical(o, call);
    else
        weighted(o, call);
}

} // namespace

extern const Composition compose_semiring_conv_vjp;
const Composition compose_semiring_conv_vjp = Composed<gradients>::composition;

} // namespace nitrix
