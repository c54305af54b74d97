// Every row of the registry that this machine runs, bit for bit against the naive row of its cell: over shapes,
// strides, batches, kinds of values and thread counts. A row of the unfused rounding class is compared on inputs whose
// results are exact, where the classes agree, and with itself everywhere else.
#include <gtest/gtest.h>

#include <array>

#include "call.h"
#include "cpu_features.h"
#include "dispatch.h"
#include "problems.h"
#include "samples.h"

using namespace nitrix;
using problems::Problem;
using samples::Kind;
using samples::Tensor;

namespace {

struct Layout {
    bool transposed;
    std::vector<int64_t> batch;
};

const char *semiring_of(const Variant &v) { return v.algebra < 0 ? nullptr : algebras[v.algebra].name; }

std::vector<Tensor> make_arguments(const Variant &v, const Problem &problem, const Layout &layout, Kind kind) {
    const Op &op = ops[v.op];
    std::mt19937_64 rng(7);
    std::vector<Tensor> tensors;
    std::vector<DLTensor> views;
    std::vector<DLTensor *> pointers(op.n_arguments);
    for (int i = 0; i < op.n_arguments; ++i) {
        const Argument &a = op.arguments[i];
        std::vector<int64_t> shape = layout.batch;
        if (i == 1)
            for (int64_t &s : shape)
                s = 1; // the second operand is broadcast
        if (i < op.n_inputs) {
            shape.insert(shape.end(), problem.inputs[i].begin(), problem.inputs[i].end());
        } else {
            views.clear();
            for (int n = 0; n < op.n_inputs; ++n)
                views.push_back(tensors[n].view());
            for (int n = 0; n < op.n_inputs; ++n)
                pointers[n] = &views[n];
            shape.resize(16);
            int32_t rank = 0;
            const auto attributes = problem.attributes(semiring_of(v));
            EXPECT_EQ(nitrix_output_shape(op.name, pointers.data(), op.n_arguments, attributes.data(),
                                          static_cast<int32_t>(attributes.size()), i - op.n_inputs, shape.data(),
                                          &rank),
                      NITRIX_OK)
                << nitrix_last_error();
            shape.resize(rank);
        }
        // Both widths of indices: the wide ones in a transposed layout too.
        const DType index = layout.transposed || !layout.batch.empty() ? DType::i64 : DType::i32;
        tensors.emplace_back(a.dtype == any_dtype     ? v.dtype
                             : a.dtype == index_dtype ? index
                                                      : static_cast<DType>(a.dtype),
                             shape);
        if (a.role == Role::input || a.role == Role::structure) {
            if (a.role == Role::structure)
                tensors.back().fill_indices(problems::indexed(op, problem), rng);
            else
                tensors.back().fill(kind, rng);
            if (layout.transposed && shape.size() >= 2)
                tensors.back().store_transposed();
        }
    }
    return tensors;
}

// The outputs of one variant on those inputs.
std::vector<Tensor> outputs_of(const Variant &v, const Problem &problem, std::vector<Tensor> tensors, int threads) {
    const Op &op = ops[v.op];
    std::vector<DLTensor> views;
    std::vector<DLTensor *> pointers;
    for (Tensor &t : tensors)
        views.push_back(t.view());
    for (DLTensor &t : views)
        pointers.push_back(&t);
    nitrix_options options = NITRIX_OPTIONS_INIT;
    options.variant = v.id;
    options.threads = threads;
    const auto attributes = problem.attributes(semiring_of(v));
    const nitrix_status status = nitrix_call(op.name, pointers.data(), op.n_arguments, attributes.data(),
                                             static_cast<int32_t>(attributes.size()), &options);
    EXPECT_EQ(status, NITRIX_OK) << nitrix_last_error();
    EXPECT_STREQ(nitrix_last_variant(), v.id);
    return {tensors.begin() + op.n_inputs, tensors.end()};
}

bool same_class(const Variant &a, const Variant &b) {
    return std::string(targets[a.target].rounding) == targets[b.target].rounding;
}

void compare_rows(const Variant &v, const Variant &naive, const Problem &problem, const Layout &layout, Kind kind) {
    const Op &op = ops[v.op];
    const std::vector<Tensor> inputs = make_arguments(v, problem, layout, kind);
    const std::vector<Tensor> one = outputs_of(v, problem, inputs, 1), two = outputs_of(v, problem, inputs, 2);
    const bool rounds = v.algebra >= 0 && algebras[v.algebra].unresolved[0]; // exp and log of whatever comes
    const bool exact = v.dtype == DType::u8 || (!rounds && (kind == Kind::integers || kind == Kind::zeros));
    std::vector<Tensor> expected;
    if (same_class(v, naive) || exact)
        expected = outputs_of(naive, problem, inputs, 1);
    for (size_t o = 0; o < one.size(); ++o) {
        const std::string at =
            std::string(v.id) + " " + samples::name(kind) + (layout.transposed ? " transposed" : "") + problem.text();
        EXPECT_EQ(samples::first_difference(one[o], two[o], one[o].dtype()), -1) << at << ": one thread against two";
        if (!expected.empty()) {
            EXPECT_EQ(samples::first_difference(one[o], expected[o], one[o].dtype()), -1) << at << ": against naive";
        }
    }
}

using Dims = std::array<int64_t, max_dims>;

// The numbers that a shape class is asked about.
Dims dims_of(const Variant &v, const Problem &problem) {
    const Op &op = ops[v.op];
    std::vector<Tensor> tensors = make_arguments(v, problem, {false, {}}, Kind::zeros);
    std::vector<DLTensor> views;
    for (Tensor &t : tensors)
        views.push_back(t.view());
    std::vector<DLTensor *> pointers;
    for (DLTensor &t : views)
        pointers.push_back(&t);
    const auto attributes = problem.attributes(semiring_of(v));
    Call call;
    bind_call({v.op, pointers.data(), op.n_arguments, attributes.data(), static_cast<int>(attributes.size()), nullptr},
              true, call);
    Dims dims;
    std::copy(call.dims, call.dims + max_dims, dims.begin());
    return dims;
}

class EveryRow : public testing::TestWithParam<int> {};

TEST_P(EveryRow, HasTheBitsOfNaive) {
    const Variant &v = variants[GetParam()];
    if (!machine_has(v.target))
        GTEST_SKIP() << "this processor does not run " << targets[v.target].name;
    if (ops[v.op].internal)
        GTEST_SKIP() << "a helper: tests run it through its op";
    const Cell rows = cell(v.op, v.algebra, v.dtype);
    const std::vector<Problem> all = problems::of(ops[v.op]);
    int compared = 0;
    for (const Problem &problem : all) {
        const Dims dims = dims_of(v, problem);
        if (v.applies && !v.applies(dims.data()))
            continue;
        ++compared;
        const Variant *naive = nullptr;
        for (int r = rows.first; r < rows.first + rows.count && !naive; ++r)
            if (targets[variants[r].target].priority == 0 && (!variants[r].applies || variants[r].applies(dims.data())))
                naive = &variants[r];
        ASSERT_NE(naive, nullptr);
        for (const Kind kind : samples::kinds)
            for (const Layout &layout : {Layout{false, {}}, Layout{true, {}}, Layout{false, {2, 3}}})
                compare_rows(v, *naive, problem, layout, kind);
    }
    EXPECT_GT(compared, 1) << v.id << " serves no problem of tests/cpp/problems.h";
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryRow, testing::Range(0, n_variants), [](const auto &info) {
    std::string name = variants[info.param].id;
    for (char &c : name)
        if (!isalnum(static_cast<unsigned char>(c)))
            c = '_';
    return name;
});

// A feature that the runtime cannot detect would silently switch its target off.
TEST(Registry, EveryFeatureThatATargetNeedsIsKnown) {
    for (int t = 0; t < n_targets; ++t)
        for (int f = 0; f < targets[t].n_cpu_features; ++f) {
            bool known = false;
            for (int k = 0; known_cpu_features[k]; ++k)
                known |= std::string(known_cpu_features[k]) == targets[t].cpu_features[f];
            EXPECT_TRUE(known) << targets[t].name << " needs " << targets[t].cpu_features[f];
        }
}

TEST(Registry, EveryTargetOfThisMachineHasRun) {
    for (int t = 0; t < n_targets; ++t) {
        if (!machine_has(t))
            continue;
        const Variant *one = nullptr;
        for (int i = 0; i < n_variants && !one; ++i)
            if (variants[i].target == t && !variants[i].applies && !ops[variants[i].op].internal)
                one = &variants[i];
        ASSERT_NE(one, nullptr) << targets[t].name << " has no variant";
        const int64_t before = times_served(*one);
        const Problem problem = problems::of(ops[one->op]).back();
        outputs_of(*one, problem, make_arguments(*one, problem, {false, {}}, Kind::random), 1);
        EXPECT_EQ(times_served(*one), before + 1) << one->id;
    }
}

} // namespace
