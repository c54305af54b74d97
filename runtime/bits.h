// BOOLEAN in words: 32 truth values each, bit b of word w being step 32 w + b.
#pragma once

#include "call.h"
#include "context.h"

namespace nitrix {

constexpr int word_bits = 32;
constexpr int64_t words_of(int64_t steps) { return (steps + word_bits - 1) / word_bits; }

// words = the truth values of x along `axis`, 32 to a word, 0 behind the last; any byte but 0 is true. The shape of
// `words` is that of x with ceil(size / 32) along the axis.
void pack_bits(const Array &x, int axis, const Array &words, KernelContext &kernel);

// A product, arrays = {A, B, C} as semiring_matmul takes them, by packing the operands: where these are truth values
// and not too few to repay it.
bool repays_words(const Array *arrays);
void multiply_in_words(const Call &call, const Variant &serving, const Array *arrays, KernelContext &kernel);
int64_t multiply_in_words_bytes(const Call &call, const Variant &serving, const Array *arrays); // of scratch

} // namespace nitrix
