// What a call costs and survives: kernels per batch, allocations, threads, forks, errors.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "dispatch.h"
#include "product.h"
#include "run.h"

using namespace nitrix;

static std::atomic<int64_t> allocations{0};

// The linker sends the library's own calls here (--wrap in CMakeLists.txt).
extern "C" {
void *__real_malloc(size_t);
void *__real_aligned_alloc(size_t, size_t);
void *__wrap_malloc(size_t bytes) {
    ++allocations;
    return __real_malloc(bytes);
}
void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    ++allocations;
    return __real_aligned_alloc(alignment, bytes);
}
}
void *operator new(size_t bytes) {
    ++allocations;
    return __real_malloc(bytes ? bytes : 1);
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }

namespace {

TEST(Call, AllocatesNothingAfterTheFirst) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer allocates by itself";
#endif
    for (const char *algebra : {"real", "tropical_max_plus", "euclidean"})
        for (const int64_t size : {4, 100, 300}) {
            samples::Product product(size, size, size, {2});
            product.algebra = algebra;
            product.options.threads = 1;
            ASSERT_EQ(product.call(), NITRIX_OK) << nitrix_last_error();
            const int64_t before = allocations;
            for (int i = 0; i < 10; ++i)
                product.call();
            EXPECT_EQ(allocations, before) << algebra << " " << size;
        }
    const int64_t before = allocations;
    delete new int;
    EXPECT_GT(allocations, before) << "the counter counts";
}

std::atomic<int> launches{0};
const Variant *counted;

TEST(Call, MillionSmallProductsAreOneKernelCall) {
    samples::Product product(4, 4, 4, {1000, 1000});
    Call call;
    product.bind(call);
    counted = choose(call).variant;
    Variant counting = *counted;
    counting.kernel = [](void **arguments) {
        ++launches;
        return counted->kernel(arguments);
    };
    run_variant(call, counting);
    EXPECT_EQ(launches, 1);
    // The last product is right.
    samples::Product last(4, 4, 4);
    last.a.bytes.assign(product.a.bytes.end() - 64, product.a.bytes.end());
    last.b.bytes.assign(product.b.bytes.end() - 64, product.b.bytes.end());
    last.refresh();
    ASSERT_EQ(last.call(), NITRIX_OK);
    EXPECT_TRUE(std::equal(last.c.bytes.begin(), last.c.bytes.end(), product.c.bytes.end() - 64));
}

TEST(Call, ConcurrentCallsGiveTheSameBits) {
    struct Case {
        const char *algebra;
        std::vector<unsigned char> expected;
    };
    std::vector<Case> cases;
    for (const char *algebra : {"real", "tropical_max_plus", "tropical_min_plus", "euclidean"}) {
        samples::Product product(70, 70, 300);
        product.algebra = algebra;
        product.options.threads = 1;
        ASSERT_EQ(product.call(), NITRIX_OK) << nitrix_last_error();
        cases.push_back({algebra, product.c.bytes});
    }
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 8; ++t)
        threads.emplace_back([&, t] {
            samples::Product product(70, 70, 300);
            for (size_t i = 0; i < 1000; ++i) {
                const Case &one = cases[(t + i) % cases.size()];
                product.algebra = one.algebra;
                product.options.threads = 1 + static_cast<int32_t>(i % 2);
                if (product.call() != NITRIX_OK || product.c.bytes != one.expected)
                    ++wrong;
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    EXPECT_EQ(wrong, 0);
}

TEST(Call, WorksInTheChildOfAFork) {
    samples::Product product(300, 300, 300);
    ASSERT_EQ(product.call(), NITRIX_OK); // the pool's threads exist from here on
    const std::vector<unsigned char> expected = product.c.bytes;
    const pid_t child = fork();
    if (child == 0) {
        std::fill(product.c.bytes.begin(), product.c.bytes.end(), 0);
        product.options.threads = 2;
        const bool good = product.call() == NITRIX_OK && product.c.bytes == expected && pool_threads() == 1;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(product.call(), NITRIX_OK);
}

TEST(Call, ErrorsLeaveTheOutputAlone) {
    samples::Product product(5, 6, 7);
    product.c.bytes.assign(product.c.bytes.size(), 0xAB);
    const std::vector<unsigned char> before = product.c.bytes;
    const auto expect_untouched = [&](nitrix_status status, const char *what) {
        EXPECT_EQ(product.call(), status) << what << ": " << nitrix_last_error();
        EXPECT_EQ(product.c.bytes, before) << what;
    };
    product.algebra = "imaginary";
    expect_untouched(NITRIX_ERROR_VALUE, "an unknown algebra");
    EXPECT_NE(std::string(nitrix_last_error()).find("got 'imaginary', must be one of"), std::string::npos);
    product.algebra = "real";
    product.views[1].shape[0] = 8;
    expect_untouched(NITRIX_ERROR_VALUE, "k twice");
    product.views[1].shape[0] = 7;
    product.views[0].data = product.c.bytes.data();
    expect_untouched(NITRIX_ERROR_VALUE, "overlap");
    product.refresh();
    product.views[2].device.device_type = kDLCUDA;
    expect_untouched(NITRIX_ERROR_TYPE, "a foreign device");
    product.refresh();
    product.options.variant = "semiring-matmul/real/f64/any/naive";
    expect_untouched(NITRIX_ERROR_VALUE, "a variant of another dtype");
    product.options.variant = nullptr;
    product.options.size = 3;
    expect_untouched(NITRIX_ERROR_VALUE, "a struct of no version");
}

TEST(Call, ServesArraysBeyondTwoGigabytes) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "ThreadSanitizer touches what calloc reserves";
#endif
    // Rows far apart in memory that is reserved and never touched elsewhere.
    constexpr int64_t rows = 5, k = 40, step = int64_t{1} << 28; // 4 GiB between first and last row
    samples::Product product(rows, 30, k);
    ASSERT_EQ(product.call(), NITRIX_OK);
    float *const wide = static_cast<float *>(std::calloc(static_cast<size_t>((rows - 1) * step + k), sizeof(float)));
    if (!wide)
        GTEST_SKIP() << "no address space";
    for (int64_t i = 0; i < rows; ++i)
        std::memcpy(wide + i * step, product.a.bytes.data() + i * k * 4, k * 4);
    const std::vector<unsigned char> expected = product.c.bytes;
    for (const char *variant : {"semiring-matmul/real/f32/any/naive", static_cast<const char *>(nullptr)}) {
        std::fill(product.c.bytes.begin(), product.c.bytes.end(), 0);
        int64_t strides[] = {step, 1};
        product.views[0].data = wide;
        product.views[0].strides = strides;
        product.options.variant = variant;
        EXPECT_EQ(product.call(), NITRIX_OK) << nitrix_last_error();
        EXPECT_EQ(product.c.bytes, expected);
    }
    // A batch whose stride no 32-bit number holds is a loop of the runtime.
    samples::Product batch(2, 3, 4, {2});
    ASSERT_EQ(batch.call(), NITRIX_OK);
    const std::vector<unsigned char> products = batch.c.bytes;
    float *const far = static_cast<float *>(std::calloc((size_t{1} << 32) + 8, sizeof(float)));
    if (far) {
        for (int64_t i = 0; i < 2; ++i)
            std::memcpy(far + (i << 32), batch.a.bytes.data() + i * 32, 32);
        int64_t strides[] = {int64_t{1} << 32, 4, 1};
        batch.views[0].data = far;
        batch.views[0].strides = strides;
        std::fill(batch.c.bytes.begin(), batch.c.bytes.end(), 0);
        EXPECT_EQ(batch.call(), NITRIX_OK) << nitrix_last_error();
        EXPECT_EQ(batch.c.bytes, products);
        int64_t row_strides[] = {8, int64_t{1} << 32, 1};
        batch.views[0].strides = row_strides;
        EXPECT_EQ(batch.call(), NITRIX_ERROR_UNSUPPORTED);
        EXPECT_NE(std::string(nitrix_last_error()).find("must be below 2147483648"), std::string::npos);
    }
    std::free(far);
    std::free(wide);
}

} // namespace
