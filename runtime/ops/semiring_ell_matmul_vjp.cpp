// The vector-Jacobian product of semiring_ell_matmul: dvalues and dB from dC. With w the weight of entry (i, k) in C[i,
// j],
//   dvalues[i, k] = sum over j of dC[i, j] w,   dB[n, j] = sum over the entries of column n, by i and then k, of dC[i,
//   j] w.
// The gradient of a broadcast operand is summed over the broadcast dimensions, in their order.
#include "ell.h"
#include "error.h"
#include "orchestrate.h"
#include "run.h"

namespace nitrix {

namespace {

enum { values, indices, B, C, dC, dvalues, dB };

// What the terms of one item of the batch read.
struct Item {
    Array v, ix, b, c, dc, winner;
};

class Gradient {
public:
    Gradient(Orchestrator &o, const Call &call)
        : o_(o), call_(call), plans_(o, call, call.arrays[indices], call.dims[call.op->indirect_axis], true),
          row_(o, call.arrays[values]), passing_(algebras[call.algebra].passing) {
        const int64_t shape[] = {call.dims[0], call.dims[3]}, one = 1;
        if (passing_ == Passing::scaled)
            quotients_ = o.scratch(call.dtype, shape, 2);
        if (passing_ == Passing::winner)
            winner_ = o.scratch(DType::i32, shape, 2);
        else
            winner_ = unread_matrix(o.scratch(DType::i32, &one, 1), shape);
    }

    void run() {
        const Array *const x = call_.arrays;
        sum_items(x[dvalues], [&](const Item &item, const Array &target) {
            o_.call("semiring_ell_values_vjp", call_.algebra,
                    {item.v, item.ix, item.b, item.c, item.dc, item.winner, target});
        });
        const OutputInParts output(o_, x[dB]);
        sum_items(x[dB], [&](const Item &item, const Array &to) {
            const Array target = output.of(to);
            each_section(plans_.of(item.ix), [&](const Array &slots, const Array &sources, const Array &rows) {
                const Array v = row_.of(item.v);
                if (passing_ == Passing::linear)
                    o_.call_in_part("semiring_ell_rows", call_.algebra, {v, slots, sources, rows, item.dc, target});
                else
                    o_.call_in_part("semiring_ell_rows_vjp", call_.algebra,
                                    {v, slots, sources, rows, item.b, item.c, item.dc, item.winner, target});
            });
            output.store(to);
        });
    }

private:
    // gradient = sum over the broadcast items, in order, of what body writes.
    template <typename Body> void sum_items(const Array &gradient, const Body &body) {
        const BroadcastSum sum(call_, gradient, 2);
        for (int64_t i = 0; i < (o_.dry ? 1 : sum.items()); ++i) {
            const Array whole = sum.item_of_term(gradient, 2, i, 0);
            body(item(sum, i, 0), whole);
            if (sum.terms() > 1 && i == 0)
                part_ = o_.scratch(whole.dtype, whole.shape, whole.rank);
            for (int64_t t = 1; t < (o_.dry ? 1 : sum.terms()); ++t) {
                body(item(sum, i, t), part_);
                o_.add(whole, part_);
            }
        }
    }

    Item item(const BroadcastSum &sum, int64_t i, int64_t t) {
        const auto at = [&](int argument) { return sum.item_of_term(call_.arrays[argument], 2, i, t); };
        Item item = {at(values), at(indices), at(B), at(C), at(dC), winner_};
        const Item &last = prepared_;
        const bool same = last.c.given && !o_.dry && last.v.data == item.v.data && last.ix.data == item.ix.data &&
                          last.b.data == item.b.data && last.c.data == item.c.data && last.dc.data == item.dc.data;
        prepared_ = item;
        if (passing_ == Passing::winner && !same)
            o_.call("semiring_ell_winner", call_.algebra,
                    {item.v, item.ix, item.b, item.c, with_rank_of(winner_, item.c)});
        if (passing_ == Passing::scaled) {
            if (!same)
                divide(o_, quotients_, item.dc, item.c);
            item.dc = quotients_;
        }
        return item;
    }

    Orchestrator &o_;
    const Call &call_;
    Plans plans_;
    RowOfValues row_;
    const Passing passing_;
    Array quotients_, winner_, part_;
    Item prepared_ = {}; // what quotients_ and winner_ are of
};

void vjp(Orchestrator &o, const Call &call) {
    if (call.is_empty()) {
        if (!o.dry) {
            fill(call.arrays[dvalues], 0);
            fill(call.arrays[dB], 0);
        }
        return;
    }
    Gradient(o, call).run();
}

} // namespace

extern const Composition compose_semiring_ell_matmul_vjp;
const Composition compose_semiring_ell_matmul_vjp = Composed<vjp>::composition;

} // namespace nitrix
