// libFuzzer: any descriptor that a caller can make. The library must refuse it or serve it, and nothing else: no crash,
// no write to an input, no write outside an output, no write at all when it refuses, no internal error.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "nitrix/nitrix.h"

namespace {

constexpr size_t region = 1 << 14;
constexpr int max_arrays = 4;

// Takes bytes from the input; zeros when it is used up.
class Bytes {
public:
    Bytes(const uint8_t *data, size_t size) : data_(data), left_(size) {}
    uint8_t next() { return left_ ? (--left_, *data_++) : 0; }
    template <typename T> T raw() {
        T value{};
        for (size_t i = 0; i < sizeof value; ++i)
            reinterpret_cast<unsigned char *>(&value)[i] = next();
        return value;
    }

private:
    const uint8_t *data_;
    size_t left_;
};

// Half the time a size that fits, else one of those that overflow something.
int64_t size_from(Bytes &in) {
    static const int64_t odd[] = {0,
                                  1,
                                  2,
                                  -1,
                                  INT32_MAX,
                                  int64_t{1} << 31,
                                  INT64_MAX,
                                  INT64_MIN,
                                  int64_t{1} << 62,
                                  int64_t{1} << 40,
                                  INT64_MAX / 4,
                                  -7};
    const uint8_t kind = in.next();
    if (kind < 200)
        return kind % 9;
    if (kind < 250)
        return odd[in.next() % (sizeof odd / sizeof *odd)];
    return in.raw<int64_t>();
}

char *read_only() {
    static char *const memory = [] {
        void *m = mmap(nullptr, region, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (size_t i = 0; i < region; ++i)
            static_cast<char *>(m)[i] = static_cast<char>(i * 37);
        mprotect(m, region, PROT_READ);
        return static_cast<char *>(m);
    }();
    return memory;
}

alignas(64) char writable[region], before[region];

struct Array {
    DLTensor tensor;
    int64_t shape[20], strides[20];
    __int128 low, high, elements; // in elements of the array
    bool plausible;               // of a rank and sizes that describe memory at all
};

void describe(Array &a, Bytes &in, bool output) {
    static const DLDataType types[] = {{kDLFloat, 32, 1}, {kDLFloat, 64, 1}, {kDLUInt, 8, 1},  {kDLBool, 8, 1},
                                       {kDLInt, 32, 1},   {kDLInt, 64, 1},   {kDLFloat, 16, 1}};
    const uint8_t kind = in.next();
    a.tensor.ndim = kind < 200 ? 2 + kind % 3 : kind < 250 ? kind % 20 : in.raw<int32_t>();
    for (int d = 0; d < 20; ++d) {
        a.shape[d] = size_from(in);
        a.strides[d] = size_from(in);
    }
    a.tensor.shape = in.next() == 255 ? nullptr : a.shape;
    a.tensor.strides = in.next() < 128 ? nullptr : a.strides;
    const uint8_t type = in.next();
    a.tensor.dtype = type < 240 ? types[type % 7 % (type < 200 ? 1 : 7)] : in.raw<DLDataType>();
    const uint8_t device = in.next();
    const int32_t code = device < 240 ? kDLCPU : device;
    std::memcpy(&a.tensor.device, &code, sizeof code);
    a.tensor.device.device_id = 0;
    const size_t offset = (in.next() < 220 ? 64 : 1) * (in.next() % 64);
    char *const base = output || in.next() > 230 ? writable : read_only();
    a.tensor.data = in.next() == 255 ? nullptr : base + offset;
    a.tensor.byte_offset = in.next() < 230 ? 0 : in.next();
    a.low = a.high = 0;
    a.elements = 1;
    a.plausible = a.tensor.ndim >= 0 && a.tensor.ndim <= 16 && (a.tensor.shape || !a.tensor.ndim);
    __int128 compact = 1;
    for (int d = a.plausible ? a.tensor.ndim : 0; d-- > 0;) {
        const __int128 step = a.tensor.strides ? a.strides[d] : compact;
        if (a.shape[d] < 0 || a.elements > (__int128{1} << 60) || compact > (__int128{1} << 60)) {
            a.elements = __int128{1} << 62;
            break;
        }
        if (a.shape[d] > 0)
            (step < 0 ? a.low : a.high) += step * (a.shape[d] - 1);
        constexpr __int128 far = __int128{1} << 62; // far beyond the region, and sums of it do not overflow
        a.low = a.low < -far ? -far : a.low;
        a.high = a.high > far ? far : a.high;
        a.elements *= a.shape[d];
        compact *= a.shape[d];
    }
    // What the caller vouches for, the memory behind the descriptor, has to be there.
    const __int128 size = (a.tensor.dtype.bits + 7) / 8, at = static_cast<__int128>(offset) + a.tensor.byte_offset;
    if (a.tensor.data && (at + a.low * size < 0 || at + (a.high + 1) * size > region))
        a.tensor.data = nullptr;
}

void fail(const char *what) {
    std::fprintf(stderr, "%s: %s\n", what, nitrix_last_error());
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Bytes in(data, size);
    static const char *const algebras[] = {"real", "tropical_max_plus", "boolean", "euclidean", "log", "", nullptr,
                                           "x"};
    static const char *const backends[] = {nullptr, "auto", "cpu", "naive", "cuda", "gpu"};
    static const char *const variants[] = {nullptr, nullptr, nullptr, "semiring-matmul/real/f32/any/naive", "nonesuch"};
    Array arrays[max_arrays];
    DLTensor *pointers[max_arrays];
    // Mostly a product whose sizes agree, so that the fuzzer gets past the first check.
    for (int i = 0; i < max_arrays; ++i) {
        describe(arrays[i], in, i == 2);
        pointers[i] = in.next() == 255 ? nullptr : &arrays[i].tensor;
    }
    if (in.next() < 160)
        for (int i = 0; i < 3; ++i) {
            int64_t *const s = arrays[i].shape;
            const int64_t m = in.next() % 5, n = 3, k = 4;
            arrays[i].tensor.ndim = 2;
            arrays[i].tensor.strides = nullptr;
            arrays[i].tensor.shape = s;
            s[0] = i == 1 ? k : (arrays[0].shape[0] = i ? arrays[0].shape[0] : m);
            s[1] = i == 0 ? k : n;
            arrays[i].elements = s[0] * s[1];
            arrays[i].plausible = true;
            arrays[i].tensor.data = (i == 2 ? writable : read_only()) + 512 * i;
            arrays[i].tensor.byte_offset = 0;
        }
    nitrix_options options = NITRIX_OPTIONS_INIT;
    if (in.next() > 200)
        options.size = in.raw<uint16_t>();
    options.backend = backends[in.next() % 6];
    options.variant = variants[in.next() % 5];
    const int32_t mode = in.next() < 200 ? in.next() % 4 : in.raw<int32_t>();
    std::memcpy(&options.mode, &mode, sizeof mode);
    options.flags = in.next() < 200 ? in.next() % 2 : in.raw<uint32_t>();
    options.threads = in.next() < 200 ? 1 : in.raw<int32_t>();
    nitrix_attribute attributes[2] = {};
    for (nitrix_attribute &a : attributes) {
        a.name = in.next() < 200 ? "semiring" : in.next() < 128 ? "other" : nullptr;
        const int32_t kind = in.next() < 200 ? NITRIX_ATTRIBUTE_STRING : in.raw<int32_t>();
        std::memcpy(&a.kind, &kind, sizeof kind);
        a.s = in.next() < 150 ? algebras[0] : algebras[in.next() % 8];
    }
    const char *const op = in.next() == 255 ? nullptr : in.next() == 255 ? "semiring" : "semiring_matmul";
    const int32_t n = in.next() < 240 ? 3 : in.next() % 5, n_attributes = in.next() < 200 ? 1 : in.next() % 3;
    const nitrix_options *const given = in.next() < 40 ? nullptr : &options;

    size_t bytes = 0;
    char text[64];
    nitrix_status status = nitrix_workspace_size(op, pointers, n, attributes, n_attributes, given, &bytes);
    if (status == NITRIX_ERROR_INTERNAL)
        fail("workspace_size");
    status = nitrix_explain(op, pointers, n, attributes, n_attributes, given, text, sizeof text, &bytes);
    if (status == NITRIX_ERROR_INTERNAL)
        fail("explain");
    __int128 work = 1;
    for (int i = 0; i < 2; ++i)
        work *= arrays[i].plausible && arrays[i].elements < (1 << 20) ? arrays[i].elements + 1 : 1 << 20;
    if (work > (1 << 22))
        return 0; // broadcast to more than a second's work
    std::memcpy(before, writable, region);
    status = nitrix_call(op, pointers, n, attributes, n_attributes, given);
    if (status == NITRIX_ERROR_INTERNAL)
        fail("call");
    if (status != NITRIX_OK && std::memcmp(before, writable, region) != 0)
        fail("a refused call wrote");
    return 0;
}

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
    nitrix_set_warning_callback([](const nitrix_warning *, void *) {}, nullptr);
    return 0;
}
