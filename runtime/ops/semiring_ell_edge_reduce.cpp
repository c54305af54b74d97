// Aggregations of edges act(own + source), and their gradients for both ends: by the plan of the structure for the
// rows, by that of its transpose for the nodes where edges end. No array of m x k x d elements is formed.
#include "ell.h"
#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

enum { own, source, indices, slope, y, dy, d_own, d_source };

constexpr int32_t no_winner = 0x7fffffff; // of semiring_ell_edge_winner

int core_of(int argument) { return argument == slope ? 0 : 2; }

void reduce(Orchestrator &o, const Call &call) {
    const Array *const x = call.arrays;
    if (call.is_empty()) {
        if (!o.dry)
            fill(x[y], algebras[call.algebra].identity);
        return;
    }
    Plans plans(o, call, x[indices], call.dims[call.op->indirect_axis], false);
    const OutputInParts output(o, x[y]);
    const BroadcastSum all(call, x[y], 2);
    const bool chooses = algebras[call.algebra].passing == Passing::winner;
    const Array nothing = chooses ? o.scratch(call.dtype, x[y].shape + x[y].rank - 1, 1) : Array();
    if (chooses && !o.dry)
        fill(nothing, -0.0); // which leaves a 0 its sign
    for (int64_t item = 0; item < (o.dry ? 1 : all.items()); ++item) {
        const auto at = [&](int argument) { return all.item_of_term(x[argument], core_of(argument), item, 0); };
        const bool first = chooses && (o.dry || keeps_order(value_of(at(slope))));
        each_section(plans.of(at(indices)), [&](const Array &, const Array &sources, const Array &rows) {
            const Array to = output.of(at(y));
            if (first)
                o.call_in_part("semiring_ell_edge_extreme", call.algebra,
                               {at(own), at(source), sources, rows, nothing, at(slope), to});
            else
                o.call_in_part("semiring_ell_edge_rows", call.algebra,
                               {at(own), at(source), sources, rows, at(slope), to});
        });
        output.store(at(y));
    }
}

// What the winners of a tropical aggregation pass on: dy where y is above 0, slope * dy elsewhere. For a slope that is
// not negative, which leaves y the sign of own + source.
template <typename T>
void pass_on(T slope, const T *__restrict y, const T *__restrict dy, const int32_t *__restrict winner, T *__restrict to,
             int64_t count) {
    for (int64_t j = 0; j < count; ++j) {
        const T weight = y[j] > 0 ? T(1) : slope, passed = winner[j] == no_winner ? T(0) : dy[j];
        to[j] = T(0) + passed * weight; // no -0
    }
}

template <typename T>
void pass_to_winners(Orchestrator &o, T slope, const Array &y, const Array &dy, const Array &winner, const Array &to) {
    const auto step = [](const Array &a, int d) { return a.strides[a.rank - 2 + d]; };
    const auto row = [&](const Array &a, int64_t i) { return reinterpret_cast<T *>(a.data) + i * step(a, 0); };
    const bool in_rows = step(y, 1) == 1 && step(dy, 1) == 1 && step(to, 1) == 1;
    const int64_t columns = to.shape[to.rank - 1];
    o.parallel(to.shape[to.rank - 2], [&](int64_t i) {
        const int32_t *const won = reinterpret_cast<const int32_t *>(winner.data) + i * step(winner, 0);
        if (in_rows)
            return pass_on<T>(slope, row(y, i), row(dy, i), won, row(to, i), columns);
        for (int64_t j = 0; j < columns; ++j)
            pass_on<T>(slope, row(y, i) + j * step(y, 1), row(dy, i) + j * step(dy, 1), won + j,
                       row(to, i) + j * step(to, 1), 1);
    });
}

class EdgeGradient {
public:
    EdgeGradient(Orchestrator &o, const Call &call)
        : o_(o), call_(call), forward_(o, call, call.arrays[indices], call.dims[call.op->indirect_axis], false),
          backward_(o, call, call.arrays[indices], call.dims[call.op->indirect_axis], true),
          passing_(algebras[call.algebra].passing) {
        const int64_t *const shape = call.arrays[own].shape + call.arrays[own].rank - 2, one = 1;
        if (passing_ == Passing::scaled)
            quotients_ = o.scratch(call.dtype, shape, 2);
        if (passing_ == Passing::winner) {
            winner_ = o.scratch(DType::i32, shape, 2);
            passed_on_ = o.scratch(call.dtype, shape, 2);
            unread_ = o.scratch(call.dtype, &one, 1);
        } else {
            winner_ = unread_matrix(o.scratch(DType::i32, &one, 1), shape);
        }
    }

    void run() {
        sum_items(call_.arrays[d_own], forward_, false);
        sum_items(call_.arrays[d_source], backward_, true);
    }

private:
    // What the terms of one item of the batch read.
    struct Item {
        Array own, source, indices, slope, y, dy;
    };

    void sum_items(const Array &gradient, Plans &plans, bool for_source) {
        const BroadcastSum sum(call_, gradient, 2);
        const OutputInParts output(o_, gradient);
        for (int64_t i = 0; i < (o_.dry ? 1 : sum.items()); ++i) {
            const Array to = sum.item_of_term(gradient, 2, i, 0), whole = output.of(to);
            term(sum, i, 0, plans, for_source, whole);
            if (sum.terms() > 1 && i == 0)
                part_ = o_.scratch(whole.dtype, whole.shape, whole.rank);
            for (int64_t t = 1; t < (o_.dry ? 1 : sum.terms()); ++t) {
                term(sum, i, t, plans, for_source, part_);
                o_.add(whole, part_);
            }
            output.store(to);
        }
    }

    void term(const BroadcastSum &sum, int64_t i, int64_t t, Plans &plans, bool for_source, const Array &target) {
        const auto at = [&](int argument) { return sum.item_of_term(call_.arrays[argument], core_of(argument), i, t); };
        Item item = {at(own), at(source), at(indices), at(slope), at(y), at(dy)};
        if (passing_ == Passing::winner)
            return for_source ? to_sources_of_winners(item, plans, target) : to_winners(item, target);
        if (passing_ == Passing::scaled) {
            divide(o_, quotients_, item.dy, item.y);
            item.dy = quotients_;
        }
        to_ends(item, plans, for_source ? "semiring_ell_edge_source_vjp" : "semiring_ell_edge_own_vjp", target);
    }

    void to_ends(const Item &x, Plans &plans, const char *kernel, const Array &target) {
        each_section(plans.of(x.indices), [&](const Array &slots, const Array &sources, const Array &rows) {
            o_.call_in_part(kernel, call_.algebra,
                            {x.own, x.source, x.y, x.dy, winner_, slots, sources, rows, x.slope, target});
        });
    }

    // The one edge that each result is receives all of its gradient: what a row receives is known without a sum.
    void to_winners(const Item &x, const Array &target) {
        const Array winner = with_rank_of(winner_, x.y);
        each_section(forward_.of(x.indices), [&](const Array &slots, const Array &sources, const Array &rows) {
            o_.call_in_part("semiring_ell_edge_winner", call_.algebra,
                            {x.own, x.source, x.y, slots, sources, rows, x.slope, winner});
        });
        const double slope = o_.dry ? -1 : value_of(x.slope);
        if (!keeps_order(slope))
            to_ends(x, forward_, "semiring_ell_edge_own_vjp", target);
        else if (call_.dtype == DType::f64)
            pass_to_winners<double>(o_, slope, x.y, x.dy, winner, target);
        else
            pass_to_winners<float>(o_, static_cast<float>(slope), x.y, x.dy, winner, target);
        last_ = x;
        passed_to_ = target;
    }

    // What rows received goes on to the other ends of the edges that won it.
    void to_sources_of_winners(const Item &x, Plans &plans, const Array &target) {
        const bool known = !o_.dry && last_.y.given && last_.own.data == x.own.data &&
                           last_.source.data == x.source.data && last_.indices.data == x.indices.data &&
                           last_.slope.data == x.slope.data && last_.y.data == x.y.data && last_.dy.data == x.dy.data;
        if (!known)
            to_winners(x, with_rank_of(passed_on_, x.y));
        const Array passed = passed_to_;
        const Array &value = unread_;
        each_section(plans.of(x.indices), [&](const Array &slots, const Array &sources, const Array &rows) {
            o_.call_in_part("semiring_ell_rows_vjp", call_.algebra,
                            {value, slots, sources, rows, x.source, x.y, passed, winner_, target});
        });
    }

    Orchestrator &o_;
    const Call &call_;
    Plans forward_, backward_;
    const Passing passing_;
    Array quotients_, winner_, passed_on_, unread_, part_;
    Item last_ = {};       // whose winners are in winner_,
    Array passed_to_ = {}; // and what they received
};

void reduce_vjp(Orchestrator &o, const Call &call) {
    if (!call.is_empty())
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
