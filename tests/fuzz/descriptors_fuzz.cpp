// libFuzzer: any descriptor that a caller can make. The library must refuse it or serve it, and nothing else: no crash,
// no write to an input, no write outside an output, no write at all when it refuses, no internal error.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "nitrix/nitrix.h"

namespace {

constexpr size_t region = 1 << 14;
constexpr int max_arrays = 8;

// The public ops, with dimensions by letters. 'i' opens an array of indices, '2' a second component of a state, which
// LOG alone has.
struct Op {
    const char *name;
    int inputs;
    const char *arrays[max_arrays];
    const char *attribute = nullptr; // an integer, beside the algebra
};
constexpr Op ops[] = {
    {"semiring_matmul", 2, {"mk", "kn", "mn"}},
    {"semiring_matmul_carry", 2, {"mk", "kn", "mn", "imn"}},
    {"semiring_matmul_argmax", 2, {"mk", "kn", "mn", "imn"}},
    {"semiring_matmul_partial", 2, {"mk", "kn", "mn", "2mn"}},
    {"semiring_matmul_merge", 4, {"mn", "2mn", "mn", "2mn", "mn", "2mn"}},
    {"semiring_matmul_finalize", 2, {"mn", "2mn", "mn"}},
    {"semiring_matmul_vjp", 5, {"mk", "kn", "mn", "mn", "imn", "mk", "kn"}},
    {"semiring_conv", 2, {"mk", "nkk", "mk"}},
    {"semiring_nearest", 2, {"mk", "kn", "mk", "imk"}, "k"},
    {"semiring_power", 1, {"mm", "mm"}, "n"},
    {"semiring_closure", 1, {"mm", "mm"}},
};

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
    static const DLDataType types[] = {{kDLFloat, 32, 1}, {kDLFloat, 64, 1},  {kDLUInt, 8, 1},
                                       {kDLBool, 8, 1},   {kDLInt, 32, 1},    {kDLInt, 64, 1},
                                       {kDLFloat, 16, 1}, {kDLBfloat, 16, 1}, {kDLUInt, 32, 1}};
    const uint8_t kind = in.next();
    a.tensor.ndim = kind < 200 ? 2 + kind % 3 : kind < 250 ? kind % 20 : in.raw<int32_t>();
    for (int d = 0; d < 20; ++d) {
        a.shape[d] = size_from(in);
        a.strides[d] = size_from(in);
    }
    a.tensor.shape = in.next() == 255 ? nullptr : a.shape;
    a.tensor.strides = in.next() < 128 ? nullptr : a.strides;
    const uint8_t type = in.next();
    a.tensor.dtype = type < 240 ? types[type % 9 % (type < 200 ? 1 : 9)] : in.raw<DLDataType>();
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
    const uint8_t chosen = in.next();
    const Op &op_called = ops[chosen < 100 ? 0 : chosen % (sizeof ops / sizeof *ops)];
    const char *const algebra = in.next() < 150 ? algebras[in.next() % 5] : algebras[in.next() % 8];
    int n_arrays = 0;
    while (n_arrays < max_arrays && op_called.arrays[n_arrays])
        ++n_arrays;
    // Mostly a call whose sizes agree, so that the fuzzer gets past the first check.
    for (int i = 0; i < n_arrays; ++i) {
        describe(arrays[i], in, i >= op_called.inputs);
        pointers[i] = in.next() == 255 ? nullptr : &arrays[i].tensor;
    }
    if (in.next() < 160) {
        const int64_t m = in.next() % 5, n = 1 + in.next() % 3, k = 1 + in.next() % 4;
        for (int i = 0; i < n_arrays; ++i) {
            Array &a = arrays[i];
            const char *dims = op_called.arrays[i];
            if (*dims == '2') {
                ++dims;
                if (!algebra || std::strcmp(algebra, "log") != 0)
                    pointers[i] = nullptr;
            }
            if (*dims == 'i') {
                ++dims;
                a.tensor.dtype = {kDLInt, 32, 1};
            }
            a.tensor.ndim = 0;
            a.elements = 1;
            for (; *dims; ++dims)
                a.elements *= a.shape[a.tensor.ndim++] = *dims == 'm' ? m : *dims == 'n' ? n : k;
            a.tensor.strides = nullptr;
            a.tensor.shape = a.shape;
            a.plausible = true;
            a.tensor.data = (i < op_called.inputs ? read_only() : writable) + 512 * i;
            a.tensor.byte_offset = 0;
        }
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
        a.s = in.next() < 200 ? algebra : algebras[in.next() % 8];
    }
    if (op_called.attribute && in.next() < 220) {
        attributes[0].name = "semiring";
        attributes[1] = {op_called.attribute, NITRIX_ATTRIBUTE_INT, size_from(in), 0, nullptr, nullptr};
    }
    const char *const op = in.next() == 255 ? nullptr : in.next() == 255 ? "semiring" : op_called.name;
    const int32_t n = in.next() < 240 ? n_arrays : in.next() % (n_arrays + 1),
                  n_attributes = in.next() < 200 ? 1 + (op_called.attribute != nullptr) : in.next() % 3;
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
    for (int i = 0; i < op_called.inputs && i < 2; ++i)
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
