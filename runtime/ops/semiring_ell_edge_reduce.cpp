// Aggregations of edges act(own + source), and their gradients for both ends: by the plan of the structure for the
// rows, by that of its transpose for the nodes where edges end. No array of m x k x d elements is formed.
#include <cstring>

#include "ell.h"
#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

enum { own, source, indices, slope, y, dy, d_own, d_source };

bool is_empty(const Call &call) {
    bool empty = call.batch_size() == 0;
    for (int d = 0; d < call.op->n_dims; ++d)
        empty |= call.dims[d] == 0;
    return empty;
}

int core_of(int argument) { return argument == slope ? 0 : 2; }

void reduce(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    if (is_empty(call)) {
        if (!o.dry)
            fill(x[y], algebras[call.algebra].identity);
        return;
    }
    Plans plans(o, call, x[indices], call.dims[call.op->indirect_axis], false);
    const OutputInParts output(o, x[y]);
    const BroadcastSum all(call, x[y], 2);
    for (int64_t item = 0; item < (o.dry ? 1 : all.items()); ++item) {
        const auto at = [&](int argument) { return all.item_of_term(x[argument], core_of(argument), item, 0); };
        each_section(plans.of(at(indices)), [&](const Array &, const Array &sources, const Array &rows) {
            o.call_in_part("semiring_ell_edge_rows", call.algebra,
                           {at(own), at(source), sources, rows, at(slope), output.of(at(y))});
        });
        output.store(at(y));
    }
}

// dy / y, 0 where y is.
template <typename T> void divide(Orchestrator &o, const Array &to, const Array &above, const Array &below) {
    const int64_t *const step = to.strides + to.rank - 2, *const shape = to.shape + to.rank - 2;
    const int64_t *const a_step = above.strides + above.rank - 2, *const b_step = below.strides + below.rank - 2;
    o.parallel(shape[0], [&](int64_t i) {
        T *const q = reinterpret_cast<T *>(to.data) + i * step[0];
        const T *const a = reinterpret_cast<const T *>(above.data) + i * a_step[0];
        const T *const b = reinterpret_cast<const T *>(below.data) + i * b_step[0];
        for (int64_t j = 0; j < shape[1]; ++j)
            q[j * step[1]] = b[j * b_step[1]] == 0 ? 0 : a[j * a_step[1]] / b[j * b_step[1]];
    });
}

class EdgeGradient {
public:
    EdgeGradient(Orchestrator &o, const Call &call)
        : o_(o), call_(call), forward_(o, call, call.arrays[indices], call.dims[call.op->indirect_axis], false),
          backward_(o, call, call.arrays[indices], call.dims[call.op->indirect_axis], true),
          is_euclidean_(!std::strcmp(call.algebra_name(), "euclidean")),
          is_tropical_(!std::strncmp(call.algebra_name(), "tropical", 8)) {
        const int64_t *const shape = call.arrays[own].shape + call.arrays[own].rank - 2;
        if (is_euclidean_)
            quotients_ = o.scratch(call.dtype, shape, 2);
        if (is_tropical_) {
            winner_ = o.scratch(DType::i32, shape, 2);
            return;
        }
        const int64_t one = 1; // which no kernel reads
        winner_ = o.scratch(DType::i32, &one, 1);
        winner_.rank = 2;
        for (int d = 0; d < 2; ++d) {
            winner_.shape[d] = shape[d];
            winner_.strides[d] = 0;
        }
    }

    void run() {
        sum_items(call_.arrays[d_own], forward_, "semiring_ell_edge_own_vjp");
        sum_items(call_.arrays[d_source], backward_, "semiring_ell_edge_source_vjp");
    }

private:
    void sum_items(const Array &gradient, Plans &plans, const char *kernel) {
        const BroadcastSum sum(call_, gradient, 2);
        const OutputInParts output(o_, gradient);
        for (int64_t i = 0; i < (o_.dry ? 1 : sum.items()); ++i) {
            const Array to = sum.item_of_term(gradient, 2, i, 0), whole = output.of(to);
            term(sum, i, 0, plans, kernel, whole);
            if (sum.terms() > 1 && i == 0)
                part_ = o_.scratch(whole.dtype, whole.shape, whole.rank);
            for (int64_t t = 1; t < (o_.dry ? 1 : sum.terms()); ++t) {
                term(sum, i, t, plans, kernel, part_);
                o_.add(whole, part_);
            }
            output.store(to);
        }
    }

    void term(const BroadcastSum &sum, int64_t i, int64_t t, Plans &plans, const char *kernel, const Array &target) {
        const auto at = [&](int argument) { return sum.item_of_term(call_.arrays[argument], core_of(argument), i, t); };
        const Array a = at(own), b = at(source), ix = at(indices), s = at(slope), value = at(y);
        Array g = at(dy);
        if (is_tropical_)
            each_section(forward_.of(ix), [&](const Array &slots, const Array &sources, const Array &rows) {
                Array w = winner_;
                w.rank = value.rank;
                for (int d = 0; d < w.rank; ++d) {
                    const int inner = d - (w.rank - 2);
                    w.shape[d] = inner < 0 ? 1 : winner_.shape[inner];
                    w.strides[d] = inner < 0 ? 0 : winner_.strides[inner];
                }
                o_.call_in_part("semiring_ell_edge_winner", call_.algebra, {a, b, value, slots, sources, rows, s, w});
            });
        if (is_euclidean_) {
            if (!o_.dry && call_.dtype == DType::f64)
                divide<double>(o_, quotients_, g, value);
            else if (!o_.dry)
                divide<float>(o_, quotients_, g, value);
            g = quotients_;
        }
        each_section(plans.of(ix), [&](const Array &slots, const Array &sources, const Array &rows) {
            o_.call_in_part(kernel, call_.algebra, {a, b, value, g, winner_, slots, sources, rows, s, target});
        });
    }

    Orchestrator &o_;
    const Call &call_;
    Plans forward_, backward_;
    const bool is_euclidean_, is_tropical_;
    Array quotients_, winner_, part_;
};

void reduce_vjp(Orchestrator &o, const Call &call) {
    if (!is_empty(call))
        return EdgeGradient(o, call).run();
    if (!o.dry) {
        fill(call.arrays[d_own], 0);
        fill(call.arrays[d_source], 0);
    }
}

} // namespace

extern const Composition compose_semiring_ell_edge_reduce, compose_semiring_ell_edge_reduce_vjp;
const Composition compose_semiring_ell_edge_reduce = Composed<reduce>::composition;
const Composition compose_semiring_ell_edge_reduce_vjp = Composed<reduce_vjp>::composition;

} // namespace nitrix
