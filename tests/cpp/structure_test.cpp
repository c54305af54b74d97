// Index structures through the C interface: what is refused, what is recognised, and that results do not depend on
// them.
#include <gtest/gtest.h>

#include <algorithm>

#include "nitrix/nitrix_ops.h"
#include "samples.h"
#include "structure.h"

using nitrix::DType;
using samples::Tensor;

namespace {

// Rows that a random numbering has scattered: an order that suits no cache.
Tensor scattered(int64_t rows, int64_t depth) {
    Tensor at(DType::i32, {rows, depth});
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t k = 0; k < depth; ++k) {
            const int32_t index = k == 2 && i % 7 == 0 ? -5 : static_cast<int32_t>((i * 7919 + k) * 104729 % rows);
            std::memcpy(&at.bytes[static_cast<size_t>(4 * (i * depth + k))], &index, 4);
        }
    return at;
}

struct Problem {
    Problem(int64_t rows, int64_t depth, int64_t columns)
        : values(DType::f32, {rows, depth}), at(scattered(rows, depth)), b(DType::f32, {rows, columns}),
          c(DType::f32, {rows, columns}) {
        std::mt19937_64 rng(1);
        values.fill(samples::Kind::random, rng);
        b.fill(samples::Kind::random, rng);
    }
    nitrix_status multiply(const DLTensor *indices) {
        DLTensor v = values.view(), x = b.view(), y = c.view();
        return nitrix_semiring_ell_matmul(&v, indices, &x, &y, "tropical_min_plus", nullptr);
    }
    Tensor values, at, b, c;
};

TEST(Structure, HasTheBitsOfTheArray) {
    Problem p(20000, 5, 40);
    const DLTensor raw = p.at.view();
    ASSERT_EQ(p.multiply(&raw), NITRIX_OK) << nitrix_last_error();
    const Tensor expected = p.c;
    nitrix_structure *structure = nullptr;
    ASSERT_EQ(nitrix_structure_create(&raw, 20000, &structure), NITRIX_OK) << nitrix_last_error();
    const DLTensor *const own = nitrix_structure_indices(structure);
    EXPECT_EQ(reinterpret_cast<const int32_t *>(own->data)[2], -1) << "padding is -1 in the copy";
    nitrix::Array array;
    nitrix::read_array(own, "indices", true, array);
    const nitrix::Structure *const found = nitrix::find_structure(array);
    ASSERT_NE(found, nullptr);
    EXPECT_NE(found->forward(), nullptr) << "a better order of these rows is not hard to find";
    std::fill(p.c.bytes.begin(), p.c.bytes.end(), 0);
    ASSERT_EQ(p.multiply(own), NITRIX_OK) << nitrix_last_error();
    EXPECT_EQ(samples::first_difference(p.c, expected, DType::f32), -1);
    // A view of it that starts at the same address is an array like any other.
    int64_t half[] = {10000, 5};
    DLTensor part = *own;
    part.shape = half;
    nitrix::read_array(&part, "indices", true, array);
    EXPECT_EQ(nitrix::find_structure(array), nullptr);
    nitrix::read_array(own, "indices", true, array);
    nitrix_structure_destroy(structure);
    EXPECT_EQ(nitrix::find_structure(array), nullptr);
    nitrix_structure_destroy(nullptr);
    EXPECT_EQ(nitrix_structure_indices(nullptr), nullptr);
}

TEST(Structure, RefusesWhatIsWrong) {
    Problem p(50, 5, 3);
    const DLTensor raw = p.at.view();
    nitrix_structure *structure = nullptr;
    EXPECT_EQ(nitrix_structure_create(&raw, 49, &structure), NITRIX_ERROR_VALUE);
    EXPECT_NE(std::string(nitrix_last_error()).find("must be below 49"), std::string::npos) << nitrix_last_error();
    EXPECT_EQ(nitrix_structure_create(&raw, -1, &structure), NITRIX_ERROR_VALUE);
    EXPECT_EQ(nitrix_structure_create(&raw, 50, nullptr), NITRIX_ERROR_VALUE);
    EXPECT_EQ(nitrix_structure_create(nullptr, 50, &structure), NITRIX_ERROR_VALUE);
    const DLTensor floats = p.values.view();
    EXPECT_EQ(nitrix_structure_create(&floats, 50, &structure), NITRIX_ERROR_TYPE);
    EXPECT_EQ(structure, nullptr);
}

TEST(Structure, RaggedRowsOfWrongCountsAreRefused) {
    Tensor flat(DType::i32, {6}), counts(DType::i32, {2});
    const int32_t two_and_four[] = {2, 4}, too_many[] = {3, 4};
    std::memcpy(counts.bytes.data(), too_many, sizeof too_many);
    const DLTensor at = flat.view(), rows = counts.view();
    nitrix_structure *structure = nullptr;
    EXPECT_EQ(nitrix_structure_create_ragged(&at, &rows, nullptr, 1, &structure), NITRIX_ERROR_VALUE);
    std::memcpy(counts.bytes.data(), two_and_four, sizeof two_and_four);
    ASSERT_EQ(nitrix_structure_create_ragged(&at, &rows, nullptr, 1, &structure), NITRIX_OK) << nitrix_last_error();
    EXPECT_EQ(nitrix_structure_indices(structure)->ndim, 1);
    nitrix_structure_destroy(structure);
}

// Rows of all lengths, some without entries, whose values lie so far apart.
static nitrix::Lists ragged_lists(int32_t apart) {
    nitrix::Lists lists;
    lists.starts.push_back(0);
    std::mt19937_64 rng(5);
    for (int i = 0; i < 3000; ++i) {
        const int64_t length = static_cast<int64_t>(rng() % (1 + rng() % 240));
        for (int64_t e = 0; e < length; ++e) {
            lists.slots.push_back(static_cast<int32_t>(lists.slots.size()) * apart);
            lists.indices.push_back(static_cast<int32_t>(rng() % 100));
        }
        lists.starts.push_back(static_cast<int64_t>(lists.slots.size()));
    }
    return lists;
}

// Stored entries are less than twice those that there are, whatever the lengths of the rows.
TEST(Structure, SectionsStoreLessThanTwice) {
    for (const int32_t apart : {1, 2}) {
        const nitrix::Lists lists = ragged_lists(apart);
        const nitrix::Plan plan = nitrix::make_plan(lists, {});
        EXPECT_EQ(plan.rows.size(), 3000U);
        EXPECT_LT(plan.indices.size(), 2 * lists.slots.size());
        std::vector<int> seen(lists.slots.size());
        size_t slots = 0;
        for (const nitrix::Plan::Section &section : plan.sections) {
            EXPECT_EQ(section.side_by_side, apart == 1 || section.depth == 1);
            const int64_t width = section.side_by_side ? 1 : section.depth;
            slots += static_cast<size_t>(section.rows * width);
            for (int64_t e = 0; e < section.rows * section.depth; ++e) {
                if (plan.indices[static_cast<size_t>(section.index + e)] < 0)
                    continue;
                const int64_t row = e / section.depth, k = e % section.depth;
                const int64_t own = section.side_by_side ? 0 : k;
                const int32_t slot = plan.slots[static_cast<size_t>(section.entry + row * width + own)];
                ++seen[static_cast<size_t>((slot + (section.side_by_side ? k : 0)) / apart)];
            }
        }
        EXPECT_EQ(slots, plan.slots.size());
        for (const int times : seen)
            EXPECT_EQ(times, 1);
    }
}

// Row i names the columns i to i + 5: one that no row before it has named, which stands behind a row in time.
TEST(Structure, PlansLookAhead) {
    constexpr int32_t rows = 5000, depth = 6, early = nitrix::Plan::rows_ahead;
    nitrix::Lists lists;
    lists.starts.push_back(0);
    for (int32_t i = 0; i < rows; ++i) {
        for (int32_t k = 0; k < depth; ++k) {
            lists.slots.push_back(i * depth + k);
            lists.indices.push_back(i + k);
        }
        lists.starts.push_back(static_cast<int64_t>(lists.slots.size()));
    }
    nitrix::Plan plan = nitrix::make_plan(lists, {});
    plan.look_ahead(rows + depth);
    ASSERT_EQ(plan.sections.size(), 1U);
    const nitrix::Plan::Section &section = plan.sections[0];
    ASSERT_EQ(section.apart, depth + 2) << "one is needed, and a quarter more";
    ASSERT_EQ(plan.indices.size(), static_cast<size_t>(rows * section.apart));
    for (int32_t i = 0; i < rows; ++i) {
        const int32_t *const own = plan.indices.data() + section.index + i * section.apart;
        for (int32_t k = 0; k < depth; ++k)
            ASSERT_EQ(own[k], i + k);
        if (i + early < rows) {
            ASSERT_TRUE(std::count(own + depth, own + section.apart, i + early + depth - 1)) << i;
        }
    }
}

// Where every entry is another column there is nothing that the cache holds by then.
TEST(Structure, PlansOfScatteredColumnsAreCompact) {
    nitrix::Lists lists;
    lists.starts.push_back(0);
    for (int32_t i = 0; i < 900; ++i) {
        lists.slots.push_back(i);
        lists.indices.push_back(i);
        if (i % 3 == 2)
            lists.starts.push_back(i + 1);
    }
    nitrix::Plan plan = nitrix::make_plan(lists, {});
    const std::vector<int32_t> before = plan.indices;
    plan.look_ahead(900);
    EXPECT_EQ(plan.sections[0].apart, plan.sections[0].depth);
    EXPECT_EQ(plan.indices, before);
}

} // namespace
