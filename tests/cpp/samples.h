// Inputs in which bugs hide, and the arrays that hold them.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "nitrix/nitrix.h"
#include "registry.h"

namespace samples {

enum class Kind { random, integers, nonfinite, denormal, wide, zeros };
constexpr Kind kinds[] = {Kind::random, Kind::integers, Kind::nonfinite, Kind::denormal, Kind::wide, Kind::zeros};

inline const char *name(Kind kind) {
    static const char *const names[] = {"random", "integers", "nonfinite", "denormal", "wide", "zeros"};
    return names[static_cast<int>(kind)];
}

inline double draw(Kind kind, bool is_float32, std::mt19937_64 &rng) {
    const double u = std::uniform_real_distribution<double>(-1, 1)(rng);
    const double inf = std::numeric_limits<double>::infinity();
    const unsigned pick = rng() % 64;
    switch (kind) {
    case Kind::random:
        return u;
    case Kind::integers:
        return std::floor(u * 4); // ties
    case Kind::nonfinite:
        return pick == 0 ? inf : pick == 1 ? -inf : pick == 2 ? NAN : pick == 3 ? -0.0 : u;
    case Kind::denormal:
        return u * (is_float32 ? 1e-39 : 1e-310);
    case Kind::wide:
        return std::ldexp(u, static_cast<int>(rng() % 60) - 30);
    case Kind::zeros:
        return pick & 1 ? 0.0 : -0.0;
    }
    return u;
}

// Truth values as bytes, of which any but 0 is true: sparse enough that a product over a few hundred k decides nothing
// in advance, dense, 0 and 1 alone, high bits alone.
inline unsigned char draw_byte(Kind kind, std::mt19937_64 &rng) {
    const auto any = static_cast<unsigned char>(1 + rng() % 255);
    const unsigned pick = rng() % 64;
    switch (kind) {
    case Kind::random:
        return pick < 4 ? any : 0;
    case Kind::integers:
        return pick < 8;
    case Kind::nonfinite:
        return pick < 8 ? 0x80 : 0;
    case Kind::denormal:
        return pick < 2 ? any : 0;
    case Kind::wide:
        return pick < 32 ? any : 0;
    case Kind::zeros:
        return 0;
    }
    return 0;
}

inline DLDataType dl_type(nitrix::DType dtype) {
    static const DLDataType types[] = {{kDLFloat, 32, 1}, {kDLFloat, 64, 1}, {kDLInt, 32, 1},    {kDLInt, 64, 1},
                                       {kDLUInt, 8, 1},   {kDLFloat, 16, 1}, {kDLBfloat, 16, 1}, {kDLUInt, 32, 1}};
    static_assert(sizeof types / sizeof *types == nitrix::n_dtypes);
    return types[static_cast<int>(dtype)];
}

// Elements of one dtype, with the DLTensor that describes them.
class Tensor {
public:
    Tensor(nitrix::DType dtype, std::vector<int64_t> shape) : shape(std::move(shape)), dtype_(dtype) {
        int64_t n = 1;
        for (const int64_t s : this->shape)
            n *= s;
        bytes.assign(static_cast<size_t>(n) * nitrix::dtype_bytes(dtype), 0);
    }
    void fill(Kind kind, std::mt19937_64 &rng) {
        const size_t n = bytes.size() / nitrix::dtype_bytes(dtype_);
        for (size_t i = 0; i < n; ++i) {
            const double v = draw(kind, dtype_ == nitrix::DType::f32, rng);
            if (dtype_ == nitrix::DType::f32) {
                const float f = static_cast<float>(v);
                std::memcpy(&bytes[4 * i], &f, 4);
            } else if (dtype_ == nitrix::DType::f64) {
                std::memcpy(&bytes[8 * i], &v, 8);
            } else if (dtype_ == nitrix::DType::i32) {
                const int32_t index = static_cast<int32_t>(rng() % 12) - 1; // -1: none
                std::memcpy(&bytes[4 * i], &index, 4);
            } else if (dtype_ == nitrix::DType::u32) { // whose bits are as dense as truth values in bytes
                uint32_t word = 0;
                for (int bit = 0; bit < 32; ++bit)
                    word |= static_cast<uint32_t>(draw_byte(kind, rng) != 0) << bit;
                std::memcpy(&bytes[4 * i], &word, 4);
            } else {
                bytes[i] = draw_byte(kind, rng);
            }
        }
    }
    // Indices below `limit`, some of them padding.
    void fill_indices(int64_t limit, std::mt19937_64 &rng) {
        const size_t size = static_cast<size_t>(nitrix::dtype_bytes(dtype_)), n = bytes.size() / size;
        for (size_t i = 0; i < n; ++i) {
            const int64_t index = rng() % 5 ? static_cast<int64_t>(rng() % static_cast<uint64_t>(limit)) : -1;
            std::memcpy(&bytes[i * size], &index, size); // little-endian: the lower half comes first
        }
    }
    nitrix::DType dtype() const { return dtype_; }
    DLTensor view() {
        return {bytes.data(),
                {kDLCPU, 0},
                static_cast<int32_t>(shape.size()),
                dl_type(dtype_),
                shape.data(),
                strides.empty() ? nullptr : strides.data(),
                0};
    }
    // The same elements with the last two dimensions stored the other way round.
    void store_transposed() {
        strides.assign(shape.size(), 1);
        const size_t r = shape.size();
        int64_t step = shape[r - 2] * shape[r - 1];
        for (size_t d = r - 2; d-- > 0;) {
            strides[d] = step;
            step *= shape[d];
        }
        strides[r - 2] = 1;
        strides[r - 1] = shape[r - 2];
    }

    std::vector<int64_t> shape, strides;
    std::vector<unsigned char> bytes;

private:
    nitrix::DType dtype_;
};

// Bit comparison in which all NaNs are one value and -0 differs from +0. The index of the first difference, or -1.
inline int64_t first_difference(const Tensor &x, const Tensor &y, nitrix::DType dtype) {
    const size_t size = static_cast<size_t>(nitrix::dtype_bytes(dtype));
    for (size_t i = 0; i < x.bytes.size(); i += size) {
        if (!std::memcmp(&x.bytes[i], &y.bytes[i], size))
            continue;
        double a = 0, b = 0;
        if (dtype == nitrix::DType::f32) {
            float f, g;
            std::memcpy(&f, &x.bytes[i], 4);
            std::memcpy(&g, &y.bytes[i], 4);
            a = f, b = g;
        } else if (dtype == nitrix::DType::f64) {
            std::memcpy(&a, &x.bytes[i], 8);
            std::memcpy(&b, &y.bytes[i], 8);
        }
        if (!(std::isnan(a) && std::isnan(b)))
            return static_cast<int64_t>(i / size);
    }
    return -1;
}

} // namespace samples
