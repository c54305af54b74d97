// Shapes and attributes on which every row of an op is compared: from its signature, or from a table where a shape rule
// has the say.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "call.h"
#include "nitrix/nitrix.h"
#include "registry.h"

namespace problems {

struct Ints {
    const char *name;
    std::vector<int64_t> values;
};

// The core shapes of the inputs, outermost first, and attributes beside the algebra.
struct Problem {
    std::vector<std::vector<int64_t>> inputs;
    std::vector<Ints> ints = {};
    int64_t spatial_rank = 0;

    std::vector<nitrix_attribute> attributes(const char *semiring) const {
        std::vector<nitrix_attribute> all;
        if (semiring)
            all.push_back({"semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, semiring, nullptr});
        for (const Ints &a : ints)
            all.push_back(
                {a.name, NITRIX_ATTRIBUTE_INTS, static_cast<int64_t>(a.values.size()), 0, nullptr, a.values.data()});
        if (spatial_rank)
            all.push_back({"spatial_rank", NITRIX_ATTRIBUTE_INT, spatial_rank, 0, nullptr, nullptr});
        return all;
    }
    std::string text() const {
        std::string all;
        for (const auto &shape : inputs)
            all += " " + nitrix::shape_text(shape.data(), static_cast<int>(shape.size()));
        for (const Ints &a : ints)
            all += std::string(" ") + a.name + nitrix::shape_text(a.values.data(), static_cast<int>(a.values.size()));
        return all;
    }
};

// x, k, attributes: odd sizes around tiles and blocks of the reduction, one channel and several, taps outside.
inline std::vector<Problem> convolutions() {
    return {
        {{{1, 1}, {1, 1, 1}}, {}, 1},
        {{{33, 1}, {5, 1, 1}}, {}, 1},
        {{{300, 1}, {270, 1, 1}}, {{"dilation", {2}}}, 1},
        {{{41, 3}, {4, 3, 20}}, {{"stride", {2}}, {"dilation", {3}}}, 1},
        {{{2, 3, 1}, {5, 7, 1, 1}}, {}, 2},
        {{{7, 150, 1}, {3, 3, 1, 1}}, {}, 2},
        {{{11, 70, 1}, {5, 7, 1, 1}}, {{"stride", {2, 1}}, {"dilation", {1, 2}}, {"pads", {0, 3, 4, 1}}}, 2},
        {{{9, 23, 1}, {3, 2, 1, 35}}, {{"stride", {1, 3}}}, 2},
        {{{6, 31, 5}, {3, 3, 5, 33}}, {{"dilation", {2, 1}}}, 2},
        {{{4, 13, 300}, {3, 2, 300, 3}}, {{"pads", {1, 1, 0, 0}}}, 2},
        {{{5, 12, 64}, {1, 1, 64, 65}}, {}, 2},
        {{{5, 6, 37, 1}, {3, 3, 3, 1, 1}}, {}, 3},
        {{{17, 4, 20, 1}, {3, 7, 7, 1, 1}}, {}, 3},
        {{{4, 5, 11, 2}, {2, 3, 4, 2, 3}}, {{"stride", {1, 2, 1}}}, 3},
    };
}

inline std::vector<Problem> of(const nitrix::Op &op) {
    if (op.shape) // one table for each shape rule; an op of an unknown one has no problems, which the test refuses
        return std::string(op.signature).find("*window") != std::string::npos ? convolutions() : std::vector<Problem>();
    // Each row gives the op's core dimensions in turn.
    using Sizes = std::vector<std::array<int64_t, 4>>;
    static const Sizes sizes = {{1, 1, 1, 1},     {4, 4, 4, 2},     {7, 5, 3, 2},      {6, 256, 64, 3},
                                {13, 257, 65, 2}, {3, 700, 129, 2}, {97, 33, 200, 2},  {200, 300, 1, 2},
                                {33, 70, 40, 2},  {12, 17, 100, 2}, {2, 10300, 18, 2}, {131, 273, 2, 2},
                                {35, 47, 6, 2},   {14, 9, 80, 2},   {22, 11, 72, 2}};
    // (m, k, n, d) of a gathered product: columns around whole and half tiles, a reduction of several blocks.
    static const Sizes gathered = {{1, 1, 1, 1},    {5, 3, 4, 7},     {9, 7, 20, 64}, {3, 300, 33, 129},
                                   {4, 9, 30, 200}, {130, 2, 11, 17}, {7, 5, 9, 33},  {2, 3, 5, 600}};
    std::vector<Problem> all;
    for (const auto &s : op.indirect_axis < 0 ? sizes : gathered) {
        Problem problem;
        for (int i = 0; i < op.n_inputs; ++i) {
            std::vector<int64_t> shape;
            for (int d = 0; d < op.arguments[i].rank; ++d)
                shape.push_back(s[std::min<int>(op.arguments[i].dims[d], 3)]);
            problem.inputs.push_back(shape);
        }
        all.push_back(problem);
    }
    return all;
}

// The size of the dimension that indices of the op point into.
inline int64_t indexed(const nitrix::Op &op, const Problem &problem) {
    for (size_t i = 0; i < problem.inputs.size(); ++i)
        for (size_t d = 0; d < problem.inputs[i].size(); ++d)
            if (op.arguments[i].dims[d] == op.indirect_axis)
                return problem.inputs[i][d];
    return 0;
}

} // namespace problems
