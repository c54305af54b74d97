// The estimate of scratch memory of convolutions and their gradients against what they hold: never below, and no more
// than a tenth above.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "dispatch.h"
#include "problem_tensors.h"
#include "run.h"

using namespace nitrix;
using problems::Problem;

namespace {

// x, k, attributes: around blocks of rows and slices, whole vectors and tiles, borders, strides and dilations.
std::vector<Problem> images() {
    std::vector<Problem> all = {
        {{{40, 600, 1}, {3, 5, 1, 1}}, {}, 2},
        {{{16, 1000, 1}, {3, 3, 1, 1}}, {}, 2},
        {{{60, 300, 1}, {9, 31, 1, 1}}, {{"dilation", {2, 3}}}, 2},
        {{{100, 300, 1}, {5, 5, 1, 1}}, {{"stride", {3, 1}}, {"pads", {0, 4, 7, 0}}}, 2},
        {{{10, 12, 130, 1}, {7, 7, 7, 1, 1}}, {}, 3},
        {{{30, 40, 257, 1}, {3, 3, 3, 1, 1}}, {{"stride", {2, 2, 1}}}, 3},
        {{{50000, 1}, {33, 1, 1}}, {}, 1},
        {{{1, 70000, 1}, {1, 9, 1, 1}}, {{"pads", {0, 0, 30, 1}}}, 2},
        {{{300, 50, 1}, {3, 3, 1, 1}}, {}, 2},
        {{{9, 20, 64}, {3, 3, 64, 100}}, {}, 2},
        {{{12, 40, 300}, {3, 3, 300, 9}}, {{"stride", {2, 2}}}, 2},
        {{{40, 40, 20}, {1, 1, 20, 30}}, {}, 2},
        {{{30, 40, 3}, {5, 5, 3, 40}}, {{"dilation", {2, 1}}}, 2},
        {{{9, 12, 31, 5}, {3, 2, 3, 5, 17}}, {{"stride", {1, 2, 1}}}, 3},
        {{{3000, 16}, {5, 16, 33}}, {{"stride", {2}}}, 1},
    };
    std::mt19937_64 rng(5);
    const auto below = [&](int64_t from, int64_t end) { return from + static_cast<int64_t>(rng() % (end - from)); };
    for (int i = 0; i < 8; ++i) {
        Problem p;
        p.spatial_rank = below(1, 4);
        const bool is_plane = i % 2 == 0;
        const int64_t in = is_plane ? 1 : below(1, 70), out = is_plane ? 1 : below(1, 70);
        std::vector<int64_t> x, k, stride, dilation;
        for (int64_t d = 0; d < p.spatial_rank; ++d) {
            const int64_t sizes[] = {4000, 90, 24};
            x.push_back(below(1, sizes[p.spatial_rank - 1] / (is_plane ? 1 : 3)));
            k.push_back(below(1, 6));
            stride.push_back(is_plane ? 1 : below(1, 3));
            dilation.push_back(below(1, 3));
        }
        x.push_back(in);
        k.insert(k.end(), {in, out});
        p.inputs = {x, k};
        p.ints = {{"stride", stride}, {"dilation", dilation}};
        all.push_back(p);
    }
    return all;
}

// What a caller's allocator hands out, and the most of it at once.
struct Ledger {
    std::mutex lock;
    std::unordered_map<void *, size_t> live;
    size_t now = 0, peak = 0;

    static void *take(size_t bytes, void *user) {
        Ledger &ledger = *static_cast<Ledger *>(user);
        const std::lock_guard<std::mutex> guard(ledger.lock);
        void *memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
        ledger.live[memory] = bytes;
        ledger.now += bytes;
        ledger.peak = std::max(ledger.peak, ledger.now);
        return memory;
    }
    static void give(void *memory, void *user) {
        Ledger &ledger = *static_cast<Ledger *>(user);
        const std::lock_guard<std::mutex> guard(ledger.lock);
        ledger.now -= ledger.live[memory];
        ledger.live.erase(memory);
        std::free(memory);
    }
};

constexpr int64_t small = 16384; // buffers of a few rows, and what allocations are rounded to

// The arrays of one call and views of them; views stay where they are.
struct Arguments {
    std::vector<samples::Tensor> tensors;
    std::vector<DLTensor> views;
    std::vector<DLTensor *> pointers;

    Arguments(const Op &op, DType dtype, const Problem &problem, const std::vector<int64_t> &batch,
              const std::vector<nitrix_attribute> &attributes) {
        std::vector<int64_t> x = problem.inputs[0], k = problem.inputs[1];
        if (op.arguments[1].rank == op.arguments[0].rank) { // channels with a kernel each
            x.back() *= k.back();
            k.back() = x.back();
            k.erase(k.end() - 2);
        }
        const std::vector<int64_t> y = shape_of_result(op, dtype, x, k, attributes);
        std::mt19937_64 rng(7);
        for (int i = 0; i < op.n_arguments; ++i) {
            const Argument &argument = op.arguments[i];
            const std::string name = argument.name;
            const auto &own = name == "x" || name == "dx" ? x : name == "k" || name == "dk" ? k : y;
            std::vector<int64_t> shape = batch;
            shape.insert(shape.end(), own.begin(), own.end());
            tensors.emplace_back(argument.dtype == any_dtype ? dtype : static_cast<DType>(argument.dtype), shape);
            if (i < op.n_inputs)
                tensors.back().fill(samples::Kind::random, rng);
        }
        for (samples::Tensor &t : tensors)
            views.push_back(t.view());
        for (DLTensor &view : views)
            pointers.push_back(&view);
    }

private:
    static std::vector<int64_t> shape_of_result(const Op &op, DType dtype, const std::vector<int64_t> &x,
                                                const std::vector<int64_t> &k,
                                                const std::vector<nitrix_attribute> &attributes) {
        samples::Tensor image(dtype, x), window(dtype, k);
        DLTensor views[] = {image.view(), window.view()};
        DLTensor *pointers[] = {views, views + 1, nullptr};
        const bool has_own = op.arguments[1].rank == op.arguments[0].rank;
        const int forward = has_own ? static_cast<int>(&op - ops) : op_named("semiring_conv");
        std::vector<int64_t> shape(max_rank);
        int rank = 0;
        infer_shape({forward, pointers, 3, attributes.data(), static_cast<int>(attributes.size()), nullptr}, 0,
                    shape.data(), &rank);
        shape.resize(static_cast<size_t>(rank));
        return shape;
    }
};

bool is_empty(const std::vector<samples::Tensor> &tensors) {
    for (const samples::Tensor &t : tensors)
        for (const int64_t n : t.shape)
            if (n == 0)
                return true;
    return false;
}

class StencilEstimate : public testing::TestWithParam<int> {};

TEST_P(StencilEstimate, IsTheMeasuredPeakOrATenthMore) {
    const Variant &v = variants[GetParam()];
    const Op &op = ops[v.op];
    const std::vector<Problem> all = images();
    for (size_t at = 0; at < all.size(); ++at) {
        const Problem &problem = all[at];
        const auto attributes = problem.attributes(problems::semiring_of(v));
        for (const std::vector<int64_t> &batch : {std::vector<int64_t>{}, std::vector<int64_t>{3}}) {
            if (!batch.empty() && problem.inputs[0][0] > 60)
                continue;
            Arguments arguments(op, v.dtype, problem, batch, attributes);
            if (is_empty(arguments.tensors))
                continue;
            nitrix_options options = NITRIX_OPTIONS_INIT;
            options.variant = v.id;
            for (const int threads : {1, 2}) {
                if (threads > 1 && (!batch.empty() || at % 3))
                    continue;
                options.threads = threads;
                Call call;
                bind_call({v.op, arguments.pointers.data(), op.n_arguments, attributes.data(),
                           static_cast<int>(attributes.size()), &options},
                          true, call);
                if (judge(v, call) != Refusal::none)
                    continue;
                const int64_t estimate = scratch_of(v, call), peak = run_variant(call, v);
                const std::string call_of = std::string(v.id) + problem.text() + " batch " +
                                            std::to_string(batch.size()) + " on " + std::to_string(threads) +
                                            ": estimate " + std::to_string(estimate) + ", peak " + std::to_string(peak);
                EXPECT_LE(peak, estimate) << call_of;
                if (threads == 1) { // of two, one may find all done
                    EXPECT_LE(estimate, peak + peak / 10 + small) << call_of;
                }
            }
        }
    }
}

TEST(StencilGradients, PublishABoundOfTheirMeasuredPeak) {
    const Op &op = ops[op_named("semiring_conv_vjp")];
    for (const char *semiring : {"real", "tropical_max_plus", "euclidean", "log"}) {
        for (const Problem &problem : images()) {
            const auto attributes = problem.attributes(semiring);
            Arguments arguments(op, DType::f32, problem, {}, attributes);
            if (is_empty(arguments.tensors))
                continue;
            Ledger ledger;
            nitrix_context_options counted = {sizeof counted, Ledger::take, Ledger::give, nullptr, &ledger, 1, 0};
            nitrix_context *context = nullptr;
            ASSERT_EQ(nitrix_context_create(&counted, &context), NITRIX_OK) << nitrix_last_error();
            nitrix_options options = NITRIX_OPTIONS_INIT;
            options.context = context;
            options.threads = 1;
            const int n = static_cast<int>(attributes.size());
            size_t bytes = 0;
            ASSERT_EQ(nitrix_workspace_size(op.name, arguments.pointers.data(), op.n_arguments, attributes.data(), n,
                                            &options, &bytes),
                      NITRIX_OK)
                << nitrix_last_error();
            ASSERT_EQ(nitrix_call(op.name, arguments.pointers.data(), op.n_arguments, attributes.data(), n, &options),
                      NITRIX_OK)
                << nitrix_last_error();
            const std::string at = std::string(semiring) + problem.text();
            EXPECT_LE(ledger.peak, bytes) << at;
            // A tropical gradient returns what seeks the winners before it sums; LOG may take either of two forms.
            if (!std::strcmp(semiring, "real") || !std::strcmp(semiring, "euclidean")) {
                EXPECT_LE(bytes, ledger.peak + ledger.peak / 10 + small) << at;
            }
            nitrix_context_destroy(context);
        }
    }
}

// Rows of all convolution kernels that this machine runs at speed, one tropical algebra for both and float64 of LOG
// left out for time; one whose rounding is emulated has the schedule of its target.
std::vector<int> stencils() {
    std::vector<int> rows;
    for (int i = 0; i < n_variants; ++i) {
        const Variant &v = variants[i];
        const Target &target = targets[v.target];
        const bool is_emulated = std::string(target.name).find("emulated") != std::string::npos;
        const std::string algebra = algebras[v.algebra].name;
        const bool is_left_out = algebra == "tropical_min_plus" || (algebra == "log" && v.dtype == DType::f64);
        if (std::string(ops[v.op].name).rfind("semiring_conv", 0) == 0 && machine_has(v.target) &&
            target.priority > 0 && !is_emulated && !is_left_out)
            rows.push_back(i);
    }
    return rows;
}

INSTANTIATE_TEST_SUITE_P(Registry, StencilEstimate, testing::ValuesIn(stencils()), [](const auto &info) {
    std::string name = variants[info.param].id;
    for (char &c : name)
        if (!isalnum(static_cast<unsigned char>(c)))
            c = '_';
    return name;
});

} // namespace
