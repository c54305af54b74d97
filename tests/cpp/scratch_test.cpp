// The estimate of scratch memory against what kernels hold: an upper bound always, and a close one for large products.
#include <gtest/gtest.h>

#include "dispatch.h"
#include "problem_tensors.h"
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
    all.push_back({65, 65, 9000}); // REAL in slices of k
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

// Every op that a caller can reach, on the shapes of every_row_test.
TEST_P(Estimate, BoundsThePeakOfEveryOp) {
    const Variant &v = variants[GetParam()];
    const Op &op = ops[v.op];
    if (!machine_has(v.target) || op.internal)
        GTEST_SKIP();
    for (const problems::Problem &problem : problems::of(op)) {
        std::vector<samples::Tensor> tensors = make_arguments(v, problem, {false, {2}}, samples::Kind::random);
        std::vector<DLTensor> views;
        for (samples::Tensor &t : tensors)
            views.push_back(t.view());
        std::vector<DLTensor *> pointers;
        for (int i = 0; i < op.n_arguments; ++i)
            pointers.push_back(problems::has(op.arguments[i], v.algebra) ? &views[static_cast<size_t>(i)] : nullptr);
        const auto attributes = problem.attributes(problems::semiring_of(v));
        nitrix_options options = NITRIX_OPTIONS_INIT;
        options.variant = v.id;
        for (const int threads : {1, 2}) {
            options.threads = threads;
            Call call;
            bind_call({v.op, pointers.data(), op.n_arguments, attributes.data(), static_cast<int>(attributes.size()),
                       &options},
                      true, call);
            if (judge(v, call) != Refusal::none)
                continue;
            const int64_t estimate = scratch_of(v, call), peak = run_variant(call, v);
            const std::string at = std::string(v.id) + problem.text() + " on " + std::to_string(threads) +
                                   ": estimate " + std::to_string(estimate) + ", peak " + std::to_string(peak);
            EXPECT_LE(peak, estimate) << at;
            // Of convolutions, those of stencil_scratch_test.cpp.
            if (call.options.threads == 1 && estimate > 65536 && !op.finish && !op.shape) {
                EXPECT_GE(peak * 110, estimate * 100) << at;
            }
        }
    }
}

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
            samples::Product transposed = product; // a copy of that may be needed, which a plain one does not
            transposed.a.store_transposed();
            transposed.refresh();
            for (const int threads : {1, 2, -1, -2}) {
                samples::Product &sample = threads > 0 ? product : transposed;
                sample.options.threads = std::abs(threads);
                Call call;
                sample.bind(call);
                if (judge(v, call) != Refusal::none)
                    continue;
                const int64_t estimate = scratch_of(v, call), peak = run_variant(call, v);
                const std::string at = std::string(v.id) + " " + signature_text(call) +
                                       (threads > 0 ? "" : " transposed") + " on " + std::to_string(std::abs(threads)) +
                                       ": estimate " + std::to_string(estimate) + ", peak " + std::to_string(peak);
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

// What ops made of others, and conversions, hold is known before.
TEST(Workspace, HoldsAllThatComposedOpsAllocate) {
    struct Case {
        const char *op, *semiring;
        DType dtype;
        std::vector<std::vector<int64_t>> inputs;
        nitrix_attribute attribute;
    };
    const auto number = [](const char *name, int64_t value) {
        return nitrix_attribute{name, NITRIX_ATTRIBUTE_INT, value, 0, nullptr, nullptr};
    };
    const std::vector<Case> cases = {
        {"semiring_nearest", "euclidean", DType::f32, {{2, 700, 40}, {40, 900}}, number("k", 20)},
        {"semiring_nearest", "tropical_min_plus", DType::f64, {{70, 3}, {2, 3, 300}}, number("k", 290)},
        {"semiring_power", "real", DType::f64, {{2, 150, 150}}, number("n", 13)},
        {"semiring_power", "log", DType::f32, {{150, 150}}, number("n", 6)},
        {"semiring_closure", "tropical_max_plus", DType::f32, {{300, 300}}, {}},
        {"semiring_closure", "boolean", DType::u8, {{2, 130, 130}}, {}},
        {"semiring_matmul", "real", DType::f16, {{2, 200, 300}, {300, 150}}, {}},
        {"semiring_matmul", "tropical_min_plus", DType::bf16, {{90, 300}, {300, 150}}, {}},
        {"semiring_ell_edge_mlp", "real", DType::f32, {{1200, 3}, {1300, 40}, {80, 70}, {70}, {}}, {}},
        {"semiring_ell_edge_mlp", "log", DType::f64, {{2, 90, 3}, {2, 700, 300}, {600, 33}, {33}, {}}, {}},
        {"semiring_ell_edge_mlp_vjp",
         "tropical_min_plus",
         DType::f32,
         {{1200, 3}, {1300, 40}, {80, 70}, {70}, {}, {1200, 70}, {1200, 70}},
         {}},
        {"semiring_ell_edge_mlp_vjp",
         "real",
         DType::f32,
         {{1300, 3}, {1300, 40}, {80, 70}, {70}, {}, {1300, 70}, {1300, 70}},
         {}},
        {"semiring_ell_edge_mlp_vjp",
         "euclidean",
         DType::f64,
         {{2, 90, 3}, {2, 700, 30}, {60, 33}, {33}, {}, {2, 90, 33}, {2, 90, 33}},
         {}},
    };
    int allocations = 0;
    nitrix_context_options with_allocator = {sizeof with_allocator,
                                             [](size_t bytes, void *user) -> void * {
                                                 ++*static_cast<int *>(user);
                                                 return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
                                             },
                                             [](void *memory, void *) { std::free(memory); },
                                             nullptr,
                                             &allocations,
                                             2,
                                             0};
    nitrix_context *context = nullptr;
    ASSERT_EQ(nitrix_context_create(&with_allocator, &context), NITRIX_OK) << nitrix_last_error();
    for (const Case &c : cases) {
        const nitrix_attribute attributes[] = {{"semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, c.semiring, nullptr},
                                               c.attribute};
        const int n_attributes = c.attribute.name ? 2 : 1;
        const Op &op = ops[op_named(c.op)];
        std::mt19937_64 rng(3);
        std::vector<samples::Tensor> tensors;
        for (const auto &shape : c.inputs) {
            const bool indices = op.arguments[tensors.size()].dtype == index_dtype;
            tensors.emplace_back(indices ? DType::i32 : c.dtype, shape);
            if (!indices && c.dtype != DType::f16 && c.dtype != DType::bf16) // zeros do as well
                tensors.back().fill(samples::Kind::random, rng);
        }
        std::vector<DLTensor> views(static_cast<size_t>(op.n_arguments));
        std::vector<DLTensor *> pointers(views.size());
        for (size_t i = 0; i < views.size(); ++i) {
            if (i >= c.inputs.size()) {
                std::vector<int64_t> shape(16);
                int32_t rank = 0;
                ASSERT_EQ(nitrix_output_shape(c.op, pointers.data(), op.n_arguments, attributes, n_attributes,
                                              static_cast<int32_t>(i - c.inputs.size()), shape.data(), &rank),
                          NITRIX_OK)
                    << nitrix_last_error();
                shape.resize(static_cast<size_t>(rank));
                const int dtype = op.arguments[i].dtype;
                tensors.emplace_back(dtype == any_dtype ? c.dtype : static_cast<DType>(dtype), shape);
            }
            for (size_t t = 0; t <= i; ++t) { // a longer vector may lie elsewhere
                views[t] = tensors[t].view();
                pointers[t] = &views[t];
            }
        }
        nitrix_options options = NITRIX_OPTIONS_INIT;
        options.context = context;
        size_t bytes = 0;
        ASSERT_EQ(
            nitrix_workspace_size(c.op, pointers.data(), op.n_arguments, attributes, n_attributes, &options, &bytes),
            NITRIX_OK)
            << nitrix_last_error();
        std::vector<char> memory(bytes + 64);
        options.workspace = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
        options.workspace_size = bytes;
        allocations = 0;
        ASSERT_EQ(nitrix_call(c.op, pointers.data(), op.n_arguments, attributes, n_attributes, &options), NITRIX_OK)
            << nitrix_last_error();
        EXPECT_EQ(allocations, 0) << c.op << " " << c.semiring;
    }
    nitrix_context_destroy(context);
}

// An empty batch may have matrices of any size: what they would need has no number, and is not computed with one.
TEST(Workspace, OfSizesThatNoMemoryHolds) {
    int64_t left[] = {0, 1, 1}, right[] = {0, 1, INT64_MAX}, strides[] = {0, 0, 0};
    float element = 0;
    const auto tensor = [&](int64_t *shape) {
        return DLTensor{&element, {kDLCPU, 0}, 3, {kDLFloat, 32, 1}, shape, strides, 0};
    };
    DLTensor a = tensor(left), b = tensor(right), c = tensor(right);
    DLTensor *arrays[] = {&a, &b, &c};
    const nitrix_attribute semiring = {"semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, "log", nullptr};
    nitrix_options options = NITRIX_OPTIONS_INIT;
    const Request request = {op_named("semiring_matmul"), arrays, 3, &semiring, 1, &options};
    size_t bytes = 0;
    ASSERT_EQ(workspace_of_op(request, &bytes), NITRIX_OK) << nitrix_last_error();
    EXPECT_GE(bytes, static_cast<size_t>(INT64_MAX)); // its search for entries that underflowed
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
        v.scratch_bytes = [](const int64_t *, int64_t, int64_t, int64_t) -> int64_t { return -1; };
        EXPECT_EQ(judge(v, call), Refusal::unknown);
        EXPECT_NE(refusal_sentence(v, Refusal::unknown, call).find("not known from shapes"), std::string::npos);
    }
    nitrix_context_destroy(context);
}

// argmax of a tropical product: a scratch array between two kernels.
TEST(Budget, OfAComposedOpIsItsArraysAndItsKernels) {
    samples::Product product(300, 200, 2000);
    samples::Tensor index(DType::i32, {300, 200});
    product.algebra = "tropical_max_plus";
    DLTensor index_view = index.view();
    DLTensor *arrays[] = {product.arrays[0], product.arrays[1], product.arrays[2], &index_view};
    const nitrix_attribute semiring = {"semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, "tropical_max_plus", nullptr};
    nitrix_options options = NITRIX_OPTIONS_INIT;
    const Request request = {op_named("semiring_matmul_argmax"), arrays, 4, &semiring, 1, &options};
    ASSERT_EQ(call_op(request), NITRIX_OK) << nitrix_last_error();
    const std::vector<unsigned char> expected = product.c.bytes, winners = index.bytes;
    // The kernel that serves the product where nothing is limited.
    const Cell rows = cell(find_op("semiring_matmul_carry"), find_algebra("tropical_max_plus"), DType::f32);
    const Variant &packs =
        *std::max_element(variants + rows.first, variants + rows.first + rows.count,
                          [](const Variant &x, const Variant &y) { return times_served(x) < times_served(y); });
    const int64_t packed_before = times_served(packs);
    size_t bytes = 0, plain_bytes = 0;
    ASSERT_EQ(workspace_of_op(request, &bytes), NITRIX_OK);
    options.backend = "naive";
    ASSERT_EQ(workspace_of_op(request, &plain_bytes), NITRIX_OK);
    options.backend = nullptr;
    const size_t between = 300 * 200 * 4;
    ASSERT_GT(plain_bytes, between);
    ASSERT_GT(bytes, plain_bytes + 100000); // the product's kernel packs its operands
    const auto run = [&](uint64_t budget, std::string &explained) {
        const nitrix_context_options limit = {sizeof limit, nullptr, nullptr, nullptr, nullptr, 1, budget};
        nitrix_context *context = nullptr;
        EXPECT_EQ(nitrix_context_create(&limit, &context), NITRIX_OK);
        options.context = context;
        product.c.bytes.assign(expected.size(), 0xAB);
        index.bytes.assign(winners.size(), 0xAB);
        char text[4096];
        size_t needed = 0;
        EXPECT_EQ(
            nitrix_explain("semiring_matmul_argmax", arrays, 4, &semiring, 1, &options, text, sizeof text, &needed),
            NITRIX_OK);
        explained = text;
        const nitrix_status status = call_op(request);
        nitrix_context_destroy(context);
        return status;
    };
    nitrix_set_warning_callback([](const nitrix_warning *, void *) {}, nullptr);
    std::string explained;
    EXPECT_EQ(run(between / 2, explained), NITRIX_ERROR_MEMORY);
    EXPECT_NE(std::string(nitrix_last_error()).find("the context's budget is 120000"), std::string::npos);
    EXPECT_NE(explained.find("refused: the budget of scratch memory is 120000"), std::string::npos) << explained;
    EXPECT_EQ(std::count(product.c.bytes.begin(), product.c.bytes.end(), 0xAB), 300 * 200 * 4) << "nothing is written";
    EXPECT_EQ(std::count(index.bytes.begin(), index.bytes.end(), 0xAB), 300 * 200 * 4);
    EXPECT_EQ(run(plain_bytes - 10000, explained), NITRIX_ERROR_MEMORY); // beyond the bookkeeping for two threads
    // Room for the plain kernels: the same answer.
    EXPECT_EQ(run(plain_bytes, explained), NITRIX_OK) << nitrix_last_error();
    EXPECT_EQ(explained.find("refused"), std::string::npos) << explained;
    EXPECT_EQ(product.c.bytes, expected);
    EXPECT_EQ(index.bytes, winners);
    EXPECT_EQ(times_served(packs), packed_before);
    EXPECT_EQ(run(bytes, explained), NITRIX_OK) << nitrix_last_error();
    EXPECT_EQ(times_served(packs), packed_before + 1);
    EXPECT_EQ(product.c.bytes, expected);
    nitrix_set_warning_callback(nullptr, nullptr);
}

} // namespace
