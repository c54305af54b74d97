// The estimate of scratch memory against what kernels hold: an upper bound always, and a close one for large products.
#include <gtest/gtest.h>

#include "dispatch.h"
#include "product.h"
#include "run.h"

using namespace nitrix;

namespace {

// Shapes around tiles, blocks of the reduction and blocks of rows, and some of no kind.
std::vector<std::vector<int64_t>> shapes() {
    std::vector<std::vector<int64_t>> all;
    for (const int64_t m : {1, 193, 500})
        for (const int64_t n : {1, 65, 300})
            for (const int64_t k : {15, 257, 520})
                all.push_back({m, n, k});
    std::mt19937_64 rng(11);
    for (int i = 0; i < 6; ++i) {
        std::vector<int64_t> shape;
        for (int d = 0; d < 3; ++d)
            shape.push_back(1 + static_cast<int64_t>(rng() % 400));
        all.push_back(shape);
    }
    return all;
}

class Estimate : public testing::TestWithParam<int> {};

TEST_P(Estimate, BoundsTheMeasuredPeak) {
    const Variant &v = variants[GetParam()];
    if (!machine_has(v.target) || v.op != find_op("semiring_matmul")) // Product makes its calls
        GTEST_SKIP();
    const bool is_naive = targets[v.target].priority <= 0;
    for (const auto &shape : shapes()) {
        if (is_naive && shape[0] * shape[1] * shape[2] > 300000)
            continue;
        {
            samples::Product product(shape[0], shape[1], shape[2], {2}, v.dtype);
            product.algebra = algebras[v.algebra].name;
            product.options.variant = v.id;
            for (const int threads : {1, 2}) {
                product.options.threads = threads;
                Call call;
                product.bind(call);
                if (judge(v, call) != Refusal::none)
                    continue;
                // A transposed operand may need a copy that a plain one does not.
                samples::Product transposed = product;
                transposed.a.store_transposed();
                transposed.refresh();
                Call other;
                transposed.bind(other);
                const int64_t estimate = scratch_of(v, call);
                const int64_t peak = std::max(run_variant(call, v), run_variant(other, v));
                const std::string at = std::string(v.id) + " " + signature_text(call) + " on " +
                                       std::to_string(threads) + ": estimate " + std::to_string(estimate) + ", peak " +
                                       std::to_string(peak);
                ASSERT_LE(peak, estimate) << at;
                // LOG's list of entries to compute again is taken only where there are some; a single row is never
                // copied here.
                if (call.options.threads == 1 && shape[0] > 1 && estimate > 65536 && product.algebra != "log") {
                    ASSERT_GE(peak * 110, estimate * 100) << at;
                }
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Registry, Estimate, testing::Range(0, n_variants), [](const auto &info) {
    std::string name = variants[info.param].id;
    for (char &c : name)
        if (!isalnum(static_cast<unsigned char>(c)))
            c = '_';
    return name;
});

TEST(Workspace, HoldsAllThatACallAllocates) {
    struct Counts {
        int allocations = 0;
    } counts;
    nitrix_context_options with_allocator = {sizeof with_allocator,
                                             [](size_t bytes, void *user) -> void * {
                                                 ++static_cast<Counts *>(user)->allocations;
                                                 return std::aligned_alloc(64, bytes);
                                             },
                                             [](void *memory, void *) { std::free(memory); },
                                             nullptr,
                                             &counts,
                                             2,
                                             0};
    nitrix_context *context = nullptr;
    ASSERT_EQ(nitrix_context_create(&with_allocator, &context), NITRIX_OK) << nitrix_last_error();
    for (const char *algebra : {"real", "tropical_max_plus"}) {
        samples::Product product(300, 200, 520, {3});
        product.algebra = algebra;
        product.c.store_transposed(); // a compact copy of the output is scratch memory too
        product.refresh();
        product.options.context = context;
        ASSERT_EQ(product.call(), NITRIX_OK) << nitrix_last_error();
        EXPECT_GT(counts.allocations, 0);
        size_t bytes = 0;
        ASSERT_EQ(workspace_of_op(product.request(), &bytes), NITRIX_OK) << nitrix_last_error();
        std::vector<char> memory(bytes + 64);
        product.options.workspace = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
        product.options.workspace_size = bytes;
        counts.allocations = 0;
        ASSERT_EQ(product.call(), NITRIX_OK) << nitrix_last_error();
        EXPECT_EQ(counts.allocations, 0) << algebra;
    }
    nitrix_context_destroy(context);
}

TEST(Budget, RefusesWhatNeedsMoreOrIsUnknown) {
    samples::Product product(300, 300, 300);
    nitrix_context_options tight = {sizeof tight, nullptr, nullptr, nullptr, nullptr, 1, 1000};
    nitrix_context *context = nullptr;
    ASSERT_EQ(nitrix_context_create(&tight, &context), NITRIX_OK);
    product.options.context = context;
    Call call;
    product.bind(call);
    const Choice choice = choose(call);
    EXPECT_EQ(targets[choice.variant->target].priority, 0);
    const Cell rows = cell(call.op_index, call.algebra, call.dtype);
    for (int r = rows.first; r < rows.first + rows.count; ++r) {
        Variant v = variants[r];
        if (targets[v.target].priority <= 0 || !machine_has(v.target) || v.applies)
            continue;
        EXPECT_TRUE(choice.fallback);
        EXPECT_EQ(judge(v, call), Refusal::budget);
        EXPECT_NE(refusal_sentence(v, Refusal::budget, call).find("the budget is 1000"), std::string::npos);
        v.scratch_bytes = [](const int64_t *, int64_t, int64_t) -> int64_t { return -1; };
        EXPECT_EQ(judge(v, call), Refusal::unknown);
        EXPECT_NE(refusal_sentence(v, Refusal::unknown, call).find("not known from shapes"), std::string::npos);
    }
    nitrix_context_destroy(context);
}

} // namespace
