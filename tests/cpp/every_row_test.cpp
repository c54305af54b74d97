// Every row of the registry that this machine runs, bit for bit against the naive row of its cell: over shapes,
// strides, batches, kinds of values and thread counts. A row of the unfused rounding class whose algebra has products
// is compared on inputs whose results are exact, where the classes agree, and with itself everywhere else.
#include <gtest/gtest.h>

#include <array>

#include "call.h"
#include "cpu_features.h"
#include "dispatch.h"
#include "problem_tensors.h"
#include "samples.h"

using namespace nitrix;
using problems::has;
using problems::Layout;
using problems::make_arguments;
using problems::Problem;
using problems::semiring_of;
using samples::Kind;
using samples::Tensor;

namespace {

// The outputs of one variant on those inputs.
std::vector<Tensor> outputs_of(const Variant &v, const Problem &problem, std::vector<Tensor> tensors, int threads) {
    const Op &op = ops[v.op];
    std::vector<DLTensor> views;
    std::vector<DLTensor *> pointers;
    for (Tensor &t : tensors)
        views.push_back(t.view());
    for (int i = 0; i < op.n_arguments; ++i)
        pointers.push_back(has(op.arguments[i], v.algebra) ? &views[static_cast<size_t>(i)] : nullptr);
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
    const std::vector<Tensor> inputs = make_arguments(v, problem, layout, kind);
    const std::vector<Tensor> one = outputs_of(v, problem, inputs, 1), two = outputs_of(v, problem, inputs, 2);
    const bool rounds = v.algebra >= 0 && algebras[v.algebra].unresolved[0]; // exp and log of whatever comes
    const bool exact = v.dtype == DType::u8 || (!rounds && (kind == Kind::integers || kind == Kind::zeros));
    std::vector<Tensor> expected;
    if (same_class(v, naive) || exact || (v.algebra >= 0 && !algebras[v.algebra].rounds))
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
    for (int i = 0; i < op.n_arguments; ++i)
        pointers.push_back(has(op.arguments[i], v.algebra) ? &views[static_cast<size_t>(i)] : nullptr);
    const auto attributes = problem.attributes(semiring_of(v));
    Call call;
    bind_call({v.op, pointers.data(), op.n_arguments, attributes.data(), static_cast<int>(attributes.size()), nullptr},
              true, call);
    Dims dims = {};
    std::copy(call.dims, call.dims + op.n_dims + op.n_derived, dims.begin());
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
        // The naive rows of an op with a shape rule take long: two items of a batch, not six.
        const std::vector<int64_t> batch = ops[v.op].shape ? std::vector<int64_t>{2} : std::vector<int64_t>{2, 3};
        for (const Kind kind : samples::kinds)
            for (const Layout &layout : {Layout{false, {}}, Layout{true, {}}, Layout{false, batch}})
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
