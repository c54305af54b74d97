#include "bits.h"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "halide_hooks.h"
#include "run.h"
#include "scratch.h"

namespace nitrix {

namespace {

constexpr int vector = 16, lines_at_once = 64;
typedef uint8_t Bytes __attribute__((vector_size(vector)));

Bytes load(const uint8_t *at) {
    Bytes bytes;
    std::memcpy(&bytes, at, vector);
    return bytes;
}

// Bit i is whether byte i is not 0.
uint32_t mask_of(Bytes bytes) {
#if defined(__SSE2__)
    const __m128i zero = _mm_cmpeq_epi8(reinterpret_cast<__m128i>(bytes), _mm_setzero_si128());
    return static_cast<uint32_t>(_mm_movemask_epi8(zero)) ^ 0xffff;
#else
    const Bytes bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const Bytes set = reinterpret_cast<Bytes>(bytes != 0) & bit;
    uint64_t halves[2];
    std::memcpy(halves, &set, vector);
    constexpr uint64_t ones = 0x0101010101010101; // the sum of all bytes, which share no bit, becomes the highest
    return static_cast<uint32_t>(halves[0] * ones >> 56 | halves[1] * ones >> 56 << 8);
#endif
}

// The word of up to 32 bytes.
uint32_t word_at(const uint8_t *from, int64_t stride, int64_t count) {
    uint8_t gathered[word_bits];
    if (stride != 1 || count < word_bits) {
        std::memset(gathered, 0, word_bits);
        for (int64_t b = 0; b < count; ++b)
            gathered[b] = from[b * stride];
        from = gathered;
    }
    return mask_of(load(from)) | mask_of(load(from + vector)) << vector;
}

// One matrix: lines that are packed each for itself, along steps.
struct Packing {
    const uint8_t *from;
    uint32_t *to;
    int64_t lines, line_stride, steps, step_stride; // of `from`
    int64_t word_line_stride, word_step_stride;     // of `to`

    int64_t words() const { return words_of(steps); }
    // Cut into tasks by lines where steps are neighbours, by words where lines are.
    bool by_words() const { return line_stride == 1 && step_stride != 1; }
    static constexpr int64_t lines_of_task = 64;
    int64_t tasks() const { return by_words() ? words() : (lines + lines_of_task - 1) / lines_of_task; }

    void run(int64_t task) const {
        if (by_words())
            return pack_word(task);
        const int64_t end = std::min(lines, (task + 1) * lines_of_task);
        for (int64_t line = task * lines_of_task; line < end; ++line)
            pack_line(from + line * line_stride, to + line * word_line_stride);
    }

private:
    void pack_line(const uint8_t *line, uint32_t *word) const {
        for (int64_t first = 0; first < steps; first += word_bits, word += word_step_stride)
            *word = word_at(line + first * step_stride, step_stride, std::min<int64_t>(word_bits, steps - first));
    }

    // Bytes of the words of 64 neighbouring lines, a line of the cache: eight steps fill one of each.
    static void words_of_lines(const uint8_t *first, int64_t stride, int64_t count, uint8_t (*bytes)[lines_at_once]) {
        std::memset(bytes, 0, word_bits / 8 * lines_at_once);
        for (int64_t b = 0; b < count; b += 8) {
            const int64_t bits = std::min<int64_t>(8, count - b);
            Bytes eight[lines_at_once / vector] = {};
            for (int64_t i = 0; i < bits; ++i) {
                Bytes bit;
                std::memset(&bit, 1 << i, vector);
                for (int v = 0; v < lines_at_once / vector; ++v)
                    eight[v] |= reinterpret_cast<Bytes>(load(first + (b + i) * stride + v * vector) != 0) & bit;
            }
            std::memcpy(bytes[b / 8], eight, lines_at_once);
        }
    }

    void pack_word(int64_t w) const {
        const int64_t count = std::min<int64_t>(word_bits, steps - w * word_bits);
        const uint8_t *const first = from + w * word_bits * step_stride;
        uint32_t *const words = to + w * word_step_stride;
        uint8_t bytes[word_bits / 8][lines_at_once];
        for (int64_t line = 0; line < lines; line += lines_at_once) {
            const int64_t n = std::min<int64_t>(lines_at_once, lines - line);
            if (n == lines_at_once) {
                words_of_lines(first + line, step_stride, count, bytes);
            } else {
                uint8_t rest[word_bits][lines_at_once] = {};
                for (int64_t b = 0; b < count; ++b)
                    std::memcpy(rest[b], first + b * step_stride + line, static_cast<size_t>(n));
                words_of_lines(rest[0], lines_at_once, count, bytes);
            }
            for (int64_t l = 0; l < n; ++l) {
                uint32_t word = 0;
                for (int b = 0; b < word_bits / 8; ++b)
                    word |= static_cast<uint32_t>(bytes[b][l]) << 8 * b;
                words[(line + l) * word_line_stride] = word;
            }
        }
    }
};

// Where an operand's words go, with its leading dimensions.
struct Words {
    Array array;
    int64_t bytes; // of whole lines of the cache; an eighth of an array that exists, or little more
};

Words words_like(const Array &operand, int axis) {
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(uint32_t));
    Array words = operand;
    words.dtype = DType::u32;
    words.shape[axis] = words_of(operand.shape[axis]);
    int64_t &row = words.shape[words.rank - 1];
    const int64_t columns = row;
    // A panel of columns is read row by row: rows an odd number of lines apart share no place in the cache (2048^3
    // takes 0.9 of the time).
    if (axis == words.rank - 2 && columns >= 4 * line && words.shape[axis] >= 8)
        row = ((columns + line - 1) / line | 1) * line;
    const int64_t elements = make_compact(words);
    row = columns;
    return {words, (elements + line - 1) / line * 64};
}

} // namespace

void pack_bits(const Array &x, int axis, const Array &words, KernelContext &kernel) {
    const int other = axis == x.rank - 1 ? x.rank - 2 : x.rank - 1;
    const Packing matrix = {reinterpret_cast<const uint8_t *>(x.data),
                            reinterpret_cast<uint32_t *>(words.data),
                            x.shape[other],
                            x.strides[other],
                            x.shape[axis],
                            x.strides[axis],
                            words.strides[other],
                            words.strides[axis]};
    const int64_t tasks = matrix.tasks();
    const auto run = [&](int64_t task) {
        Packing p = matrix;
        int64_t item = task / tasks;
        for (int d = x.rank - 3; d >= 0; --d) {
            p.from += item % x.shape[d] * x.strides[d];
            p.to += item % x.shape[d] * words.strides[d];
            item /= x.shape[d];
        }
        p.run(task % tasks);
    };
    const int64_t items = x.elements() / (x.shape[axis] * x.shape[other]);
    constexpr int64_t too_few = 1 << 16; // bytes, for threads
    if (x.elements() >= too_few)
        return parallel_for(kernel, items * tasks, run);
    for (int64_t task = 0; task < items * tasks; ++task)
        run(task);
}

bool repays_words(const Array *arrays) {
    const Array &a = arrays[0], &b = arrays[1];
    const int64_t m = a.shape[a.rank - 2], k = a.shape[a.rank - 1], n = b.shape[b.rank - 1];
    return a.dtype == DType::u8 && (m > 16 || n > 16 || k > 32);
}

void multiply_in_words(const Call &call, const Variant &serving, const Array *arrays, KernelContext &kernel) {
    const Array &a = arrays[0], &b = arrays[1];
    Words left = words_like(a, a.rank - 1), right = words_like(b, b.rank - 2);
    const Scratch memory(kernel, left.bytes + right.bytes);
    left.array.data = memory.data();
    right.array.data = memory.data() + left.bytes;
    pack_bits(a, a.rank - 1, left.array, kernel);
    pack_bits(b, b.rank - 2, right.array, kernel);
    const Array words[] = {left.array, right.array, arrays[2]};
    run_helper(call, serving, "semiring_matmul_bits", words, kernel);
}

int64_t multiply_in_words_bytes(const Call &call, const Variant &serving, const Array *arrays) {
    const Array &a = arrays[0], &b = arrays[1];
    const Words left = words_like(a, a.rank - 1), right = words_like(b, b.rank - 2);
    const Array words[] = {left.array, right.array, arrays[2]};
    return left.bytes + right.bytes + helper_bytes(call, serving, "semiring_matmul_bits", words);
}

} // namespace nitrix
