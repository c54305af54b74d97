// Mode verify, with kernels that are wrong on purpose.
#include <gtest/gtest.h>

#include <fstream>

#include "dispatch.h"
#include "error.h"
#include "product.h"
#include "reproducer.h"
#include "run.h"
#include "verify.h"

using namespace nitrix;

namespace {

// Halide's arguments: the user context, then the buffers. host lies 16 bytes into a buffer.
float *output_of(void **arguments) {
    unsigned char *const buffer = static_cast<unsigned char *>(arguments[3]);
    float *host = nullptr;
    std::memcpy(&host, buffer + 16, sizeof host);
    return host;
}

const Variant *honest;

int wrong_in_one_place(void **arguments) {
    const int status = honest->kernel(arguments);
    output_of(arguments)[5] += 1e-6F;
    return status;
}

int negates_zero(void **arguments) {
    const int status = honest->kernel(arguments);
    output_of(arguments)[0] = -0.0F;
    return status;
}

Error error_of(const Call &call, const Variant &v) {
    try {
        run_verified(call, v);
    } catch (const Error &error) {
        return error;
    }
    return {NITRIX_OK, ""};
}

TEST(Verify, PassesEveryHonestVariant) {
    for (int i = 0; i < n_variants; ++i) {
        const Variant &v = variants[i];
        if (!machine_has(v.target) || v.op != find_op("semiring_matmul")) // Product makes its calls
            continue;
        for (const int64_t size : {5, 40}) {
            samples::Product product(size, size + 3, size, {2}, v.dtype);
            product.algebra = algebras[v.algebra].name;
            product.options.variant = v.id;
            product.options.mode = NITRIX_MODE_VERIFY;
            Call call;
            product.bind(call);
            const nitrix_status status = product.call(),
                                wanted = !v.applies || v.applies(call.dims) ? NITRIX_OK : NITRIX_ERROR_UNSUPPORTED;
            EXPECT_EQ(status, wanted) << v.id << " " << size << ": " << nitrix_last_error();
        }
    }
}

TEST(Verify, ReportsADifferenceWithWhatReproducesIt) {
    samples::Product product(4, 3, 2);
    product.a.store_transposed();
    product.refresh();
    Call call;
    product.bind(call);
    honest = choose(call).variant;
    Variant wrong = *honest;
    wrong.kernel = wrong_in_one_place;
    const Error error = error_of(call, wrong);
    EXPECT_EQ(error.status, NITRIX_ERROR_VERIFY);
    EXPECT_NE(
        error.message.find(std::string(wrong.id) + " differs from semiring-matmul/real/f32/any/naive: C[1, 2] is"),
        std::string::npos)
        << error.message;
    const size_t paste = error.message.find("import numpy, nitrix\na = numpy.load(\"");
    ASSERT_NE(paste, std::string::npos) << error.message;
    // The strides come back with the data.
    EXPECT_NE(error.message.find(".npy\").transpose(1, 0)\nb = numpy.load("), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("nitrix.semiring.semiring_matmul(a, b, semiring=\"real\", threads="),
              std::string::npos);
    const size_t start = error.message.find('"', paste) + 1;
    std::ifstream file(error.message.substr(start, error.message.find('"', start) - start), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    ASSERT_EQ(bytes.size() % 64, 4 * 8U) << "a header of whole 64-byte lines, then the eight elements of A";
    EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
    EXPECT_NE(bytes.find("'shape': (2,4)"), std::string::npos) << bytes;
    const std::string memory(product.a.bytes.begin(), product.a.bytes.end());
    EXPECT_EQ(bytes.substr(bytes.size() - 32), memory);
}

TEST(Verify, AReproducerGivesStatesAsTuples) {
    for (const char *algebra : {"real", "log"}) {
        const bool two = !std::strcmp(algebra, "log");
        std::vector<samples::Tensor> tensors(6, samples::Tensor(DType::f32, {2, 3}));
        std::vector<DLTensor> views;
        for (samples::Tensor &t : tensors)
            views.push_back(t.view());
        std::vector<DLTensor *> arrays;
        for (size_t i = 0; i < views.size(); ++i)
            arrays.push_back(i % 2 == 0 || two ? &views[i] : nullptr);
        const nitrix_attribute semiring = {"semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, algebra, nullptr};
        Call call;
        bind_call({op_named("semiring_matmul_merge"), arrays.data(), 6, &semiring, 1, nullptr}, true, call);
        const std::string text = reproducer(call, *choose(call).variant);
        const std::string wanted =
            two ? "semiring_matmul_merge((left, left_2, ), (right, right_2, ), semiring=\"log\", "
                : "semiring_matmul_merge((left, ), (right, ), semiring=\"real\", ";
        EXPECT_NE(text.find(wanted), std::string::npos) << text;
    }
}

TEST(Verify, TellsZerosApart) {
    samples::Product product(1, 1, 1);
    product.a.bytes.assign(4, 0);
    Call call;
    product.bind(call);
    honest = choose(call).variant;
    EXPECT_EQ(error_of(call, *honest).status, NITRIX_OK);
    Variant wrong = *honest;
    wrong.kernel = negates_zero;
    EXPECT_EQ(error_of(call, wrong).status, NITRIX_ERROR_VERIFY);
}

TEST(Verify, ComparesWithinTheRoundingClass) {
    for (int i = 0; i < n_variants; ++i) {
        if (variants[i].op != find_op("semiring_matmul"))
            continue;
        samples::Product product(3, 3, 3, {}, variants[i].dtype);
        product.algebra = algebras[variants[i].algebra].name;
        Call call;
        product.bind(call);
        const Variant *reference = reference_of(variants[i], call);
        ASSERT_NE(reference, nullptr) << variants[i].id;
        EXPECT_STREQ(targets[reference->target].rounding, targets[variants[i].target].rounding) << variants[i].id;
        EXPECT_LE(targets[reference->target].priority, 0);
    }
}

} // namespace
