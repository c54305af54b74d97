// What the ops in runtime/ops share: calls of other ops, scratch memory, loops over threads, sums over broadcast
// dimensions. One function serves the run and the estimate of its memory: in a dry run nothing is computed or
// allocated.
#pragma once

#include <initializer_list>
#include <vector>

#include "call.h"
#include "halide_hooks.h"

namespace nitrix {

class Orchestrator {
public:
    Orchestrator(const Call &call, bool dry);
    ~Orchestrator();
    Orchestrator(const Orchestrator &) = delete;
    Orchestrator &operator=(const Orchestrator &) = delete;

    // The most scratch bytes so far, kernels included.
    size_t peak_bytes() const { return own_bytes_ + kernel_bytes_; }

    // A row-major array that lives as long as this object.
    Array scratch(DType dtype, const int64_t *shape, int rank);

    // Another op, on arrays whose leading dimensions broadcast. algebra: -1 where that op has none. attributes: of an
    // op that has some, in its order; nullptr: the defaults.
    void call(const char *op, int algebra, const Array *arrays, const AttributeValue *attributes) {
        call(op, algebra, arrays, attributes, true);
    }
    void call(const char *op, int algebra, std::initializer_list<Array> arrays,
              const AttributeValue *attributes = nullptr) {
        call(op, algebra, arrays.begin(), attributes, true);
    }
    // One that writes a part of its output: nothing that verify could compare.
    void call_in_part(const char *op, int algebra, std::initializer_list<Array> arrays) {
        call(op, algebra, arrays.begin(), nullptr, false);
    }

    // The array itself where its innermost dimension of more than one element has unit stride, else a copy of it.
    Array compact(const Array &array);

    // body(i) for every i below count, on this call's threads. What a body writes must be its own.
    template <typename Body> void parallel(int64_t count, const Body &body) {
        if (!dry)
            parallel_for(kernel_, count, body);
    }

    // to += from and to *= from, element by element; equal shapes.
    void add(const Array &to, const Array &from);
    void multiply(const Array &to, const Array &from);

    // What a function of the runtime runs with.
    KernelContext &kernel() { return kernel_; }

    const bool dry;

private:
    void call(const char *op, int algebra, const Array *arrays, const AttributeValue *attributes, bool whole);

    const Call &call_;
    KernelContext kernel_;
    KeepDenormals mode_;
    std::vector<void *> blocks_;
    size_t own_bytes_ = 0, kernel_bytes_ = 0, workspace_used_ = 0;
};

// The same elements with the last two dimensions exchanged.
Array transposed(Array a);

// The matrix of an array whose leading dimensions all are 1.
Array last_dimensions(Array a, int count);
inline Array last_two(const Array &a) { return last_dimensions(a, 2); }

// Some rows and columns of a matrix.
Array block_of(Array matrix, int64_t row, int64_t rows, int64_t column, int64_t columns);

// The leading dimensions over which the gradient of a broadcast operand is summed, and those that it has itself: every
// array of a call with leading dimensions of one rank, cut along either.
class BroadcastSum {
public:
    // `operand` with `core` trailing dimensions that are not leading ones.
    BroadcastSum(const Call &call, const Array &operand, int core);

    int64_t terms() const { return terms_; } // summed, in order
    int64_t items() const { return items_; } // of the gradient
    // With all leading dimensions: the part of `a` that belongs to one term (items stay), or to one term of one item.
    Array term(const Array &a, int core, int64_t index) const;
    Array item_of_term(const Array &a, int core, int64_t item, int64_t index) const;

private:
    Array expand(const Array &a, int core) const;
    void cut(Array &a, int64_t index, bool summed) const;

    int rank_;
    int64_t sizes_[max_rank];
    bool summed_[max_rank];
    int64_t terms_ = 1, items_ = 1;
};

// gradient = sum over the terms, in order, of what body(term, target) writes to its target.
template <typename Body>
void sum_terms(Orchestrator &o, const BroadcastSum &sum, const Array &gradient, int core, const Body &body) {
    const Array whole = sum.term(gradient, core, 0);
    body(0, whole);
    if (sum.terms() == 1)
        return;
    const Array part = o.scratch(whole.dtype, whole.shape, whole.rank);
    for (int64_t t = 1; t < (o.dry ? 2 : sum.terms()); ++t) {
        body(t, part);
        o.add(whole, part);
    }
}

// Runs body(orchestrator) for a call, or asks it how much memory it needs.
template <void (*body)(Orchestrator &, const Call &)> struct Composed {
    static void run(const Call &call) {
        Orchestrator o(call, false);
        body(o, call);
    }
    static size_t workspace_bytes(const Call &call) {
        Orchestrator o(call, true);
        body(o, call);
        return o.peak_bytes();
    }
    static constexpr Composition composition = {run, workspace_bytes};
};

} // namespace nitrix
