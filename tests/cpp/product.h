// A matrix product ready to be called or bound: the plainest call there is.
#pragma once

#include "call.h"
#include "samples.h"

namespace samples {

class Product {
public:
    Product(int64_t m, int64_t n, int64_t k, std::vector<int64_t> batch = {}, nitrix::DType dtype = nitrix::DType::f32)
        : a(dtype, joined(batch, m, k)), b(dtype, joined(batch, k, n)), c(dtype, joined(batch, m, n)) {
        std::mt19937_64 rng(3);
        a.fill(Kind::random, rng);
        b.fill(Kind::random, rng);
        refresh();
    }
    // After a change to a, b or c.
    void refresh() {
        views = {a.view(), b.view(), c.view()};
        for (int i = 0; i < 3; ++i)
            arrays[i] = &views[static_cast<size_t>(i)];
    }
    nitrix::Request request() {
        semiring.s = algebra.c_str();
        return {nitrix::op_named("semiring_matmul"), arrays, 3, &semiring, 1, &options};
    }
    nitrix_status call() { return nitrix::call_op(request()); }
    void bind(nitrix::Call &call, bool has_data = true) { nitrix::bind_call(request(), has_data, call); }

    Tensor a, b, c;
    std::string algebra = "real";
    nitrix_options options = NITRIX_OPTIONS_INIT;
    std::vector<DLTensor> views;
    DLTensor *arrays[3];

private:
    static std::vector<int64_t> joined(std::vector<int64_t> batch, int64_t rows, int64_t columns) {
        batch.push_back(rows);
        batch.push_back(columns);
        return batch;
    }
    nitrix_attribute semiring = {"semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, nullptr, nullptr};
};

} // namespace samples
