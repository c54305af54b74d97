// What a call costs through the C ABI where the arithmetic is nothing: checks, dispatch and one small kernel.
// ./build/bench/nitrix_call_overhead --benchmark_filter=... ; bench/run.py measures the same products through Python.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "nitrix/nitrix.h"
#include "nitrix/nitrix_ops.h"

namespace {

// A compact row-major array of `batch` matrices; batch 0 stands for a plain matrix.
struct Array {
    std::vector<float> data;
    std::vector<int64_t> shape;
    DLTensor tensor;

    Array(int64_t batch, int64_t rows, int64_t columns)
        : data(static_cast<size_t>((batch ? batch : 1) * rows * columns)), shape{rows, columns}, tensor{} {
        if (batch)
            shape.insert(shape.begin(), batch);
        for (size_t i = 0; i < data.size(); ++i)
            data[i] = static_cast<float>(i % 7) - 3.0f;
        tensor.data = data.data();
        tensor.device = {kDLCPU, 0};
        tensor.ndim = static_cast<int32_t>(shape.size());
        tensor.dtype = {kDLFloat, 32, 1};
        tensor.shape = shape.data();
    }
    Array(const Array &) = delete;
    Array &operator=(const Array &) = delete;
};

void product(benchmark::State &state, const char *semiring, int64_t batch, int64_t size, bool reuse_workspace) {
    Array a(batch, size, size), b(batch, size, size), c(batch, size, size);
    nitrix_options options = NITRIX_OPTIONS_INIT;
    options.threads = 1;
    std::vector<char> memory;
    if (reuse_workspace) {
        size_t bytes = 0;
        if (nitrix_semiring_matmul_workspace_size(&a.tensor, &b.tensor, &c.tensor, semiring, &options, &bytes)) {
            state.SkipWithError(nitrix_last_error());
            return;
        }
        memory.resize(bytes + 64);
        const size_t past = reinterpret_cast<uintptr_t>(memory.data()) % 64;
        options.workspace = memory.data() + (past ? 64 - past : 0);
        options.workspace_size = bytes;
    }
    for (auto _ : state) {
        if (nitrix_semiring_matmul(&a.tensor, &b.tensor, &c.tensor, semiring, &options) != NITRIX_OK) {
            state.SkipWithError(nitrix_last_error());
            return;
        }
        benchmark::DoNotOptimize(c.data.data());
        benchmark::ClobberMemory();
    }
    const auto products = state.iterations() * (batch ? batch : 1);
    state.SetLabel(nitrix_last_variant());
    state.SetItemsProcessed(products);
    state.counters["Gop/s"] =
        benchmark::Counter(2.0 * static_cast<double>(size * size * size * products) / 1e9, benchmark::Counter::kIsRate);
}

// A call that is refused: checks and message, no kernel.
void refusal(benchmark::State &state) {
    Array a(0, 4, 4), b(0, 5, 4), c(0, 4, 4);
    for (auto _ : state)
        if (nitrix_semiring_matmul(&a.tensor, &b.tensor, &c.tensor, "real", nullptr) == NITRIX_OK) {
            state.SkipWithError("a product of (4,4) and (5,4) was accepted");
            return;
        }
}

void choice(benchmark::State &state) {
    Array a(0, 4, 4), b(0, 4, 4), c(0, 4, 4);
    size_t bytes = 0;
    for (auto _ : state) {
        if (nitrix_semiring_matmul_workspace_size(&a.tensor, &b.tensor, &c.tensor, "real", nullptr, &bytes)) {
            state.SkipWithError(nitrix_last_error());
            return;
        }
        benchmark::DoNotOptimize(bytes);
    }
}

} // namespace

int main(int argc, char **argv) {
    for (const char *semiring : {"real", "tropical_max_plus", "tropical_min_plus"}) {
        const std::string op = std::string("semiring_matmul/") + semiring;
        for (const int64_t size : {4, 8, 16, 64})
            for (const bool reuse : {false, true})
                benchmark::RegisterBenchmark(
                    (op + "/" + std::to_string(size) + (reuse ? "/own_workspace" : "")).c_str(),
                    [=](benchmark::State &state) { product(state, semiring, 0, size, reuse); });
        benchmark::RegisterBenchmark((op + "/million_of_4").c_str(), [=](benchmark::State &state) {
            product(state, semiring, 1000000, 4, false);
        })->Unit(benchmark::kMillisecond);
    }
    benchmark::RegisterBenchmark("choice_only", choice);
    benchmark::RegisterBenchmark("refusal", refusal);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
