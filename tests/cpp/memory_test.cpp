// Memory for arrays: where it begins, what is kept of it.
#include "memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "nitrix/nitrix.h"

namespace {

constexpr size_t megabyte = 1 << 20;

// Nothing is kept but what later blocks may be made of.
void fill_up() {
    std::vector<void *> blocks;
    for (int i = 0; i < 16; ++i)
        blocks.push_back(nitrix_allocate(megabyte));
    for (void *block : blocks)
        nitrix_release(block);
}

TEST(Memory, BeginsAtALineAndHasWhatWasAskedFor) {
    for (const size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{4097}, megabyte - 1, megabyte,
                               5 * megabyte + 3, 70 * megabyte}) {
        char *const memory = static_cast<char *>(nitrix_allocate(bytes));
        ASSERT_NE(memory, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 64, 0U);
        EXPECT_GE(nitrix_allocated_size(memory), bytes);
        EXPECT_LE(nitrix_allocated_size(memory), bytes + bytes / 4 + 2 * 4096);
        if (bytes)
            memory[0] = memory[bytes - 1] = 1;
        nitrix_release(memory);
    }
}

TEST(Memory, NothingIsNothing) {
    nitrix_release(nullptr);
    EXPECT_EQ(nitrix_allocated_size(nullptr), 0U);
}

TEST(Memory, TooMuchIsNull) {
    EXPECT_EQ(nitrix_allocate(SIZE_MAX), nullptr);
    EXPECT_EQ(nitrix_allocate(SIZE_MAX - 8192), nullptr);
    EXPECT_EQ(nitrix_allocate(SIZE_MAX / 2), nullptr);
}

TEST(Memory, TheLatestOfItsSizeIsGivenAgain) {
    fill_up();
    void *const first = nitrix_allocate(8 * megabyte), *const second = nitrix_allocate(8 * megabyte);
    nitrix_release(first);
    nitrix_release(second);
    const size_t before = nitrix::kept_memory();
    void *const smaller = nitrix_allocate(7 * megabyte);
    EXPECT_EQ(smaller, second);
    EXPECT_LE(nitrix::kept_memory(), before - 8 * megabyte);
    void *const half = nitrix_allocate(4 * megabyte); // what is far too large stays
    EXPECT_NE(half, first);
    EXPECT_EQ(nitrix_allocate(8 * megabyte), first);
    nitrix_release(first);
    nitrix_release(half);
    nitrix_release(smaller);
}

TEST(Memory, KeepsNoMoreThanTheLimit) {
    constexpr size_t limit = 256 * megabyte;
    std::vector<void *> blocks;
    for (int i = 0; i < 12; ++i)
        blocks.push_back(nitrix_allocate(40 * megabyte));
    for (void *block : blocks) {
        nitrix_release(block);
        EXPECT_LE(nitrix::kept_memory(), limit);
    }
    EXPECT_GE(nitrix::kept_memory(), 200 * megabyte);
    void *const large = nitrix_allocate(limit + 1);
    const size_t before = nitrix::kept_memory();
    nitrix_release(large);
    EXPECT_EQ(nitrix::kept_memory(), before);
    fill_up(); // the oldest make room
    EXPECT_LE(nitrix::kept_memory(), 17 * megabyte);
}

TEST(Memory, SmallBlocksAreNotKept) {
    const size_t before = nitrix::kept_memory();
    nitrix_release(nitrix_allocate(megabyte / 2));
    EXPECT_EQ(nitrix::kept_memory(), before);
}

TEST(Memory, ThreadsShareIt) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([t] {
            for (int i = 0; i < 200; ++i) {
                const size_t bytes = megabyte + static_cast<size_t>(i % 3) * megabyte;
                char *const memory = static_cast<char *>(nitrix_allocate(bytes));
                ASSERT_NE(memory, nullptr);
                std::memset(memory, t, 4096);
                memory[bytes - 1] = static_cast<char>(t);
                EXPECT_EQ(memory[4095], t);
                EXPECT_EQ(memory[bytes - 1], t);
                nitrix_release(memory);
            }
        });
    for (std::thread &thread : threads)
        thread.join();
}

} // namespace
