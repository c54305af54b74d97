// What kernels ask the runtime: whether to ask memory for what is next.
#include <gtest/gtest.h>

#include <cstdint>

extern "C" int32_t nitrix_whether_to_ask_for_items(int64_t a, int64_t b, int64_t c, int64_t a_apart, int64_t b_apart,
                                                   int64_t c_apart, int32_t items);

namespace {

constexpr int64_t item = 16384;

bool asks(int32_t items, int64_t b_apart = item) {
    return nitrix_whether_to_ask_for_items(item, item, item, item, b_apart, item, items);
}

TEST(Requests, OfOneItemThereIsNoNext) {
    EXPECT_FALSE(nitrix_whether_to_ask_for_items(item, item, item, 0, 0, 0, 1));
    EXPECT_FALSE(asks(1));
    EXPECT_FALSE(asks(0));
}

TEST(Requests, ForItemsThatTheCachesDoNotHold) {
    EXPECT_FALSE(asks(255));
    EXPECT_TRUE(asks(256));
    EXPECT_TRUE(asks(256, 0)) << "one B for all";
    EXPECT_FALSE(asks(256, 2 * item)) << "items with gaps";
    EXPECT_FALSE(nitrix_whether_to_ask_for_items(1024, item, item, 1024, item, item, 1 << 20)) << "too small";
}

} // namespace
