// Every row of the registry that this machine runs, bit for bit against the naive row of its cell: over shapes,
// strides, batches, kinds of values and thread counts. A row of the unfused rounding class is compared on inputs whose
// results are exact, where the classes agree, and with itself everywhere else.
#include <gtest/gtest.h>

#include "cpu_features.h"
#include "dispatch.h"
#include "samples.h"

using namespace nitrix;
using samples::Kind;
using samples::Tensor;

namespace {

struct Layout {
    bool transposed;
    std::vector<int64_t> batch;
};

std::vector<std::vector<int64_t>> shapes_of(const Op &op) {
    // Odd sizes around tiles and blocks of the reduction; each row gives the op's core dimensions in turn.
    static const int64_t sizes[][4] = {{1, 1, 1, 1},     {4, 4, 4, 2},     {7, 5, 3, 2},     {6, 256, 64, 3},
                                       {13, 257, 65, 2}, {3, 700, 129, 2}, {97, 33, 200, 2}, {200, 300, 1, 2}};
    // (m, k, n, d) of a gathered product: columns around whole and half tiles, a reduction of several blocks.
    static const int64_t gathered[][4] = {{1, 1, 1, 1},    {5, 3, 4, 7},     {9, 7, 20, 64}, {3, 300, 33, 129},
                                          {4, 9, 30, 200}, {130, 2, 11, 17}, {7, 5, 9, 33},  {2, 3, 5, 600}};
    std::vector<std::vector<int64_t>> shapes;
    if (op.indirect_axis >= 0) {
        for (const auto &s : gathered)
            shapes.emplace_back(s, s + std::min(op.n_dims, 4));
        return shapes;
    }
    for (const auto &s : sizes)
        shapes.emplace_back(s, s + std::min(op.n_dims, 4));
    return shapes;
}

std::vector<Tensor> make_arguments(const Op &op, DType dtype, const std::vector<int64_t> &dims, const Layout &layout,
                                   Kind kind) {
    std::mt19937_64 rng(7);
    std::vector<Tensor> tensors;
    for (int i = 0; i < op.n_arguments; ++i) {
        const Argument &a = op.arguments[i];
        std::vector<int64_t> shape = layout.batch;
        if (i == 1)
            for (int64_t &s : shape)
                s = 1; // the second operand is broadcast
        for (int d = 0; d < a.rank; ++d)
            shape.push_back(dims[a.dims[d]]);
        // Both widths of indices: the wide ones in a transposed layout too.
        const DType index = layout.transposed || !layout.batch.empty() ? DType::i64 : DType::i32;
        tensors.emplace_back(a.dtype == any_dtype     ? dtype
                             : a.dtype == index_dtype ? index
                                                      : static_cast<DType>(a.dtype),
                             shape);
        if (a.role == Role::input || a.role == Role::structure) {
            if (a.role == Role::structure)
                tensors.back().fill_indices(dims[op.indirect_axis], rng);
            else
                tensors.back().fill(kind, rng);
            if (layout.transposed && shape.size() >= 2)
                tensors.back().store_transposed();
        }
    }
    return tensors;
}

// The outputs of one variant on those inputs.
std::vector<Tensor> outputs_of(const Variant &v, std::vector<Tensor> tensors, int threads) {
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
    nitrix_attribute semiring = {
        "semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, v.algebra < 0 ? nullptr : algebras[v.algebra].name, nullptr};
    const nitrix_status status =
        nitrix_call(op.name, pointers.data(), op.n_arguments, &semiring, op.has_algebra, &options);
    EXPECT_EQ(status, NITRIX_OK) << nitrix_last_error();
    EXPECT_STREQ(nitrix_last_variant(), v.id);
    return {tensors.begin() + op.n_inputs, tensors.end()};
}

bool same_class(const Variant &a, const Variant &b) {
    return std::string(targets[a.target].rounding) == targets[b.target].rounding;
}

void compare_rows(const Variant &v, const Variant &naive, const std::vector<int64_t> &dims, const Layout &layout,
                  Kind kind) {
    const Op &op = ops[v.op];
    const std::vector<Tensor> inputs = make_arguments(op, v.dtype, dims, layout, kind);
    const std::vector<Tensor> one = outputs_of(v, inputs, 1), two = outputs_of(v, inputs, 2);
    const bool rounds = v.algebra >= 0 && algebras[v.algebra].unresolved[0]; // exp and log of whatever comes
    const bool exact = v.dtype == DType::u8 || (!rounds && (kind == Kind::integers || kind == Kind::zeros));
    std::vector<Tensor> expected;
    if (same_class(v, naive) || exact)
        expected = outputs_of(naive, inputs, 1);
    for (size_t o = 0; o < one.size(); ++o) {
        std::string at = std::string(v.id) + " " + samples::name(kind) + (layout.transposed ? " transposed" : "");
        for (const int64_t d : dims)
            at += " " + std::to_string(d);
        EXPECT_EQ(samples::first_difference(one[o], two[o], one[o].dtype()), -1) << at << ": one thread against two";
        if (!expected.empty()) {
            EXPECT_EQ(samples::first_difference(one[o], expected[o], one[o].dtype()), -1) << at << ": against naive";
        }
    }
}

class EveryRow : public testing::TestWithParam<int> {};

TEST_P(EveryRow, HasTheBitsOfNaive) {
    const Variant &v = variants[GetParam()];
    if (!machine_has(v.target))
        GTEST_SKIP() << "this processor does not run " << targets[v.target].name;
    if (ops[v.op].internal)
        GTEST_SKIP() << "a helper: tests run it through its op";
    const Cell rows = cell(v.op, v.algebra, v.dtype);
    for (const auto &dims : shapes_of(ops[v.op])) {
        if (v.applies && !v.applies(dims.data()))
            continue;
        const Variant *naive = nullptr;
        for (int r = rows.first; r < rows.first + rows.count && !naive; ++r)
            if (targets[variants[r].target].priority == 0 && (!variants[r].applies || variants[r].applies(dims.data())))
                naive = &variants[r];
        ASSERT_NE(naive, nullptr);
        for (const Kind kind : samples::kinds)
            for (const Layout &layout : {Layout{false, {}}, Layout{true, {}}, Layout{false, {2, 3}}})
                compare_rows(v, *naive, dims, layout, kind);
    }
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
        outputs_of(*one, make_arguments(ops[one->op], one->dtype, {5, 4, 3, 2}, {false, {}}, Kind::random), 1);
        EXPECT_EQ(times_served(*one), before + 1) << one->id;
    }
}

} // namespace
