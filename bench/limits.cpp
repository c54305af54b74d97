// Each limit is one loop of the fewest instructions that a product over an algebra needs per vector:
//
//   fma      acc = a * b + acc                 REAL, and LOG, whose main path is a REAL product
//   add_max  acc = max(acc, a + b)             MAX_PLUS and MIN_PLUS (min and max issue alike)
//   sub_fma  d = a - b; acc = d * d + acc      EUCLIDEAN
//   and_or   acc = acc | (a & b)               BOOLEAN, packed 512, 256 or 128 to a vector
//
// Operands stay in registers: loads, packing and stores are what a kernel adds and what the fraction of a limit shows.
// Written in assembly, so that no compiler flag is needed and none changes what is measured.

#include "limits.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#if !defined(__x86_64__)
#error "bench/limits.cpp knows x86-64 only: leave it out of the build on other machines"
#endif

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Enough independent accumulators to hide the latency of 4 cycles on three ports, within the registers of the target.
// clang-format off
#define REPEAT_12(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define REPEAT_24(X) REPEAT_12(X) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

#define CLOBBERS "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
                 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
// clang-format on

// Operands that are neither zero nor denormal, and so small that no accumulator grows out of range.
alignas(64) const float operand_f32 = 0x1p-20f;
alignas(64) const double operand_f64 = 0x1p-20;

#define SEQUENCE(name, operand, setup, body)                                                                           \
    __attribute__((noinline)) void name(long steps) {                                                                  \
        asm volatile(setup ".p2align 6\n1:\n" body "dec %0\njnz 1b\n" : "+r"(steps) : "m"(operand) : CLOBBERS);        \
    }

// AVX-512: 24 accumulators zmm0..23, operands zmm30 and zmm31, a scratch register that renaming makes many.
#define ZERO_512(i) "vpxord %%zmm" #i ",%%zmm" #i ",%%zmm" #i "\n"
#define SETUP_512(t) REPEAT_24(ZERO_512) "vbroadcasts" t " %1,%%zmm30\nvmovaps %%zmm30,%%zmm31\n"
#define FMA_512(t, i) "vfmadd231p" t " %%zmm30,%%zmm31,%%zmm" #i "\n"
#define ADD_MAX_512(t, i) "vaddp" t " %%zmm30,%%zmm31,%%zmm29\nvmaxp" t " %%zmm29,%%zmm" #i ",%%zmm" #i "\n"
#define SUB_FMA_512(t, i) "vsubp" t " %%zmm30,%%zmm31,%%zmm29\nvfmadd231p" t " %%zmm29,%%zmm29,%%zmm" #i "\n"
#define AND_OR_512(i) "vpternlogd $0xf8,%%zmm30,%%zmm31,%%zmm" #i "\n"

// AVX2: 12 accumulators ymm0..11, scratch ymm13, operands ymm14 and ymm15.
#define ZERO_256(i) "vxorps %%ymm" #i ",%%ymm" #i ",%%ymm" #i "\n"
#define SETUP_256(t) REPEAT_12(ZERO_256) "vbroadcasts" t " %1,%%ymm14\nvmovaps %%ymm14,%%ymm15\n"
#define FMA_256(t, i) "vfmadd231p" t " %%ymm14,%%ymm15,%%ymm" #i "\n"
#define ADD_MAX_256(t, i) "vaddp" t " %%ymm14,%%ymm15,%%ymm13\nvmaxp" t " %%ymm13,%%ymm" #i ",%%ymm" #i "\n"
#define SUB_FMA_256(t, i) "vsubp" t " %%ymm14,%%ymm15,%%ymm13\nvfmadd231p" t " %%ymm13,%%ymm13,%%ymm" #i "\n"
#define AND_OR_256(i) "vpand %%ymm14,%%ymm15,%%ymm13\nvpor %%ymm13,%%ymm" #i ",%%ymm" #i "\n"

// SSE4.1 overwrites an operand, so a copy belongs to the sequence; and it has no fma.
#define ZERO_128(i) "xorps %%xmm" #i ",%%xmm" #i "\n"
#define SETUP_128(t) REPEAT_12(ZERO_128) "movs" t " %1,%%xmm14\nshufps $0,%%xmm14,%%xmm14\nmovaps %%xmm14,%%xmm15\n"
#define SETUP_128_F64 REPEAT_12(ZERO_128) "movddup %1,%%xmm14\nmovaps %%xmm14,%%xmm15\n"
#define COPY_128 "movaps %%xmm14,%%xmm13\n"
#define FMA_128(t, i) COPY_128 "mulp" t " %%xmm15,%%xmm13\naddp" t " %%xmm13,%%xmm" #i "\n"
#define ADD_MAX_128(t, i) COPY_128 "addp" t " %%xmm15,%%xmm13\nmaxp" t " %%xmm13,%%xmm" #i "\n"
#define SUB_FMA_128(t, i)                                                                                              \
    COPY_128 "subp" t " %%xmm15,%%xmm13\nmulp" t " %%xmm13,%%xmm13\naddp" t " %%xmm13,%%xmm" #i "\n"
#define AND_OR_128(i) COPY_128 "pand %%xmm15,%%xmm13\npor %%xmm13,%%xmm" #i "\n"

#define FMA_512_S(i) FMA_512("s", i)
#define FMA_512_D(i) FMA_512("d", i)
#define ADD_MAX_512_S(i) ADD_MAX_512("s", i)
#define ADD_MAX_512_D(i) ADD_MAX_512("d", i)
#define SUB_FMA_512_S(i) SUB_FMA_512("s", i)
#define SUB_FMA_512_D(i) SUB_FMA_512("d", i)
#define FMA_256_S(i) FMA_256("s", i)
#define FMA_256_D(i) FMA_256("d", i)
#define ADD_MAX_256_S(i) ADD_MAX_256("s", i)
#define ADD_MAX_256_D(i) ADD_MAX_256("d", i)
#define SUB_FMA_256_S(i) SUB_FMA_256("s", i)
#define SUB_FMA_256_D(i) SUB_FMA_256("d", i)
#define FMA_128_S(i) FMA_128("s", i)
#define FMA_128_D(i) FMA_128("d", i)
#define ADD_MAX_128_S(i) ADD_MAX_128("s", i)
#define ADD_MAX_128_D(i) ADD_MAX_128("d", i)
#define SUB_FMA_128_S(i) SUB_FMA_128("s", i)
#define SUB_FMA_128_D(i) SUB_FMA_128("d", i)

#define END_AVX "vzeroupper\n"
#define AVX_SEQUENCE(name, operand, setup, body)                                                                       \
    __attribute__((noinline)) void name(long steps) {                                                                  \
        asm volatile(setup ".p2align 6\n1:\n" body "dec %0\njnz 1b\n" END_AVX                                          \
                     : "+r"(steps)                                                                                     \
                     : "m"(operand)                                                                                    \
                     : CLOBBERS);                                                                                      \
    }

AVX_SEQUENCE(fma_f32_avx512, operand_f32, SETUP_512("s"), REPEAT_24(FMA_512_S))
AVX_SEQUENCE(fma_f64_avx512, operand_f64, SETUP_512("d"), REPEAT_24(FMA_512_D))
AVX_SEQUENCE(add_max_f32_avx512, operand_f32, SETUP_512("s"), REPEAT_24(ADD_MAX_512_S))
AVX_SEQUENCE(add_max_f64_avx512, operand_f64, SETUP_512("d"), REPEAT_24(ADD_MAX_512_D))
AVX_SEQUENCE(sub_fma_f32_avx512, operand_f32, SETUP_512("s"), REPEAT_24(SUB_FMA_512_S))
AVX_SEQUENCE(sub_fma_f64_avx512, operand_f64, SETUP_512("d"), REPEAT_24(SUB_FMA_512_D))
AVX_SEQUENCE(and_or_avx512, operand_f32, SETUP_512("s"), REPEAT_24(AND_OR_512))
AVX_SEQUENCE(fma_f32_avx2, operand_f32, SETUP_256("s"), REPEAT_12(FMA_256_S))
AVX_SEQUENCE(fma_f64_avx2, operand_f64, SETUP_256("d"), REPEAT_12(FMA_256_D))
AVX_SEQUENCE(add_max_f32_avx2, operand_f32, SETUP_256("s"), REPEAT_12(ADD_MAX_256_S))
AVX_SEQUENCE(add_max_f64_avx2, operand_f64, SETUP_256("d"), REPEAT_12(ADD_MAX_256_D))
AVX_SEQUENCE(sub_fma_f32_avx2, operand_f32, SETUP_256("s"), REPEAT_12(SUB_FMA_256_S))
AVX_SEQUENCE(sub_fma_f64_avx2, operand_f64, SETUP_256("d"), REPEAT_12(SUB_FMA_256_D))
AVX_SEQUENCE(and_or_avx2, operand_f32, SETUP_256("s"), REPEAT_12(AND_OR_256))
SEQUENCE(fma_f32_sse41, operand_f32, SETUP_128("s"), REPEAT_12(FMA_128_S))
SEQUENCE(fma_f64_sse41, operand_f64, SETUP_128_F64, REPEAT_12(FMA_128_D))
SEQUENCE(add_max_f32_sse41, operand_f32, SETUP_128("s"), REPEAT_12(ADD_MAX_128_S))
SEQUENCE(add_max_f64_sse41, operand_f64, SETUP_128_F64, REPEAT_12(ADD_MAX_128_D))
SEQUENCE(sub_fma_f32_sse41, operand_f32, SETUP_128("s"), REPEAT_12(SUB_FMA_128_S))
SEQUENCE(sub_fma_f64_sse41, operand_f64, SETUP_128_F64, REPEAT_12(SUB_FMA_128_D))
SEQUENCE(and_or_sse41, operand_f32, SETUP_128("s"), REPEAT_12(AND_OR_128))

bool has_avx512() { return __builtin_cpu_supports("avx512f"); }
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_sse41() { return __builtin_cpu_supports("sse4.1"); }

struct Limit {
    const char *name;
    void (*run)(long steps);
    bool (*supported)();
    int elements; // of the output that one step advances: accumulators times lanes
};

constexpr int avx512_registers = 24, narrow_registers = 12;

const Limit limits[] = {
    {"fma/float32/avx512", fma_f32_avx512, has_avx512, avx512_registers * 16},
    {"fma/float64/avx512", fma_f64_avx512, has_avx512, avx512_registers * 8},
    {"add_max/float32/avx512", add_max_f32_avx512, has_avx512, avx512_registers * 16},
    {"add_max/float64/avx512", add_max_f64_avx512, has_avx512, avx512_registers * 8},
    {"sub_fma/float32/avx512", sub_fma_f32_avx512, has_avx512, avx512_registers * 16},
    {"sub_fma/float64/avx512", sub_fma_f64_avx512, has_avx512, avx512_registers * 8},
    {"and_or/bool/avx512", and_or_avx512, has_avx512, avx512_registers * 512},
    {"fma/float32/avx2", fma_f32_avx2, has_avx2, narrow_registers * 8},
    {"fma/float64/avx2", fma_f64_avx2, has_avx2, narrow_registers * 4},
    {"add_max/float32/avx2", add_max_f32_avx2, has_avx2, narrow_registers * 8},
    {"add_max/float64/avx2", add_max_f64_avx2, has_avx2, narrow_registers * 4},
    {"sub_fma/float32/avx2", sub_fma_f32_avx2, has_avx2, narrow_registers * 8},
    {"sub_fma/float64/avx2", sub_fma_f64_avx2, has_avx2, narrow_registers * 4},
    {"and_or/bool/avx2", and_or_avx2, has_avx2, narrow_registers * 256},
    {"fma/float32/sse41", fma_f32_sse41, has_sse41, narrow_registers * 4},
    {"fma/float64/sse41", fma_f64_sse41, has_sse41, narrow_registers * 2},
    {"add_max/float32/sse41", add_max_f32_sse41, has_sse41, narrow_registers * 4},
    {"add_max/float64/sse41", add_max_f64_sse41, has_sse41, narrow_registers * 2},
    {"sub_fma/float32/sse41", sub_fma_f32_sse41, has_sse41, narrow_registers * 4},
    {"sub_fma/float64/sse41", sub_fma_f64_sse41, has_sse41, narrow_registers * 2},
    {"and_or/bool/sse41", and_or_sse41, has_sse41, narrow_registers * 128},
};
constexpr int limit_count = sizeof(limits) / sizeof(limits[0]);

// The CPUs this thread may use: threads are pinned one to each, or the scheduler may stack two on one core.
std::vector<int> allowed_cpus() {
    std::vector<int> cpus;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
            if (CPU_ISSET(cpu, &set))
                cpus.push_back(cpu);
    return cpus;
}

// Threads meet here, all of them each time, awake.
class Meeting {
public:
    explicit Meeting(int threads) : threads_(threads) {}
    void wait() {
        const int round = round_;
        if (++here_ == threads_) {
            here_ = 0;
            ++round_;
        } else {
            while (round_ == round)
                std::this_thread::yield();
        }
    }

private:
    const int threads_;
    std::atomic<int> here_{0}, round_{0};
};

// `work(thread)` on so many threads, each on a CPU of its own. One alone runs in the caller's.
template <class Work> void on_threads(int threads, Work work) {
    if (threads <= 1)
        return work(0);
    const std::vector<int> cpus = allowed_cpus();
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t)
        pool.emplace_back([&, t] {
            if (!cpus.empty()) {
                cpu_set_t one;
                CPU_ZERO(&one);
                CPU_SET(cpus[static_cast<size_t>(t) % cpus.size()], &one);
                sched_setaffinity(0, sizeof one,
                                  &one); // refused in some containers: the numbers are then the scheduler's
            }
            work(t);
        });
    for (std::thread &thread : pool)
        thread.join();
}

// The rate of all threads together in the best of short slices: a limit is what the machine reaches when nothing
// interrupts it. Slices begin and end for all at once: what one thread reaches of memory while another waits is none.
// prepare(thread) gives what runs so many steps.
template <class Prepare> double best_rate(int threads, double seconds, double units_per_step, Prepare prepare) {
    constexpr int slices = 50; // short enough that one or other is not interrupted
    threads = std::max(threads, 1);
    Meeting meeting(threads);
    std::atomic<long> steps{1};
    std::atomic<bool> another{true}, able{true};
    double best = 0;
    on_threads(threads, [&](int thread) {
        const auto step = prepare(thread);
        if (!step)
            able = false;
        meeting.wait();
        if (!able)
            return;
        const auto slice = [&] {
            meeting.wait();
            const auto start = Clock::now();
            step(steps);
            meeting.wait();
            return seconds_since(start);
        };
        const auto go_on = [&](bool yes) { // as the first thread says
            if (thread == 0)
                another = yes;
            meeting.wait();
            return another.load();
        };
        // As many steps as fill a slice; also warms up.
        while (go_on(slice() <= seconds / (2 * slices) && steps <= (1L << 40)))
            if (thread == 0)
                steps = 2 * steps;
        const auto start = Clock::now();
        do {
            const double taken = slice();
            if (thread == 0)
                best = std::max(best, units_per_step * static_cast<double>(threads * steps) / taken);
        } while (go_on(seconds_since(start) < seconds));
    });
    return best / 1e9;
}

// Reads every line of [data, data + bytes), in the widest loads there are; bytes is a multiple of 512.
void read_sse(const char *data, size_t bytes) {
    for (const char *end = data + bytes; data != end; data += 128)
        asm volatile(
            "movaps (%0),%%xmm0\nmovaps 16(%0),%%xmm1\nmovaps 32(%0),%%xmm2\nmovaps 48(%0),%%xmm3\n"
            "movaps 64(%0),%%xmm4\nmovaps 80(%0),%%xmm5\nmovaps 96(%0),%%xmm6\nmovaps 112(%0),%%xmm7\n" ::"r"(data)
            : CLOBBERS);
}

void read_avx2(const char *data, size_t bytes) {
    for (const char *end = data + bytes; data != end; data += 256)
        asm volatile("vmovaps (%0),%%ymm0\nvmovaps 32(%0),%%ymm1\nvmovaps 64(%0),%%ymm2\nvmovaps 96(%0),%%ymm3\n"
                     "vmovaps 128(%0),%%ymm4\nvmovaps 160(%0),%%ymm5\nvmovaps 192(%0),%%ymm6\nvmovaps 224(%0),%%ymm7\n"
                     "vzeroupper\n" ::"r"(data)
                     : CLOBBERS);
}

void read_avx512(const char *data, size_t bytes) {
    for (const char *end = data + bytes; data != end; data += 512)
        asm volatile("vmovaps (%0),%%zmm0\nvmovaps 64(%0),%%zmm1\nvmovaps 128(%0),%%zmm2\nvmovaps 192(%0),%%zmm3\n"
                     "vmovaps 256(%0),%%zmm4\nvmovaps 320(%0),%%zmm5\nvmovaps 384(%0),%%zmm6\nvmovaps 448(%0),%%zmm7\n"
                     "vzeroupper\n" ::"r"(data)
                     : CLOBBERS);
}

constexpr std::align_val_t line{64};

using Memory = std::shared_ptr<char[]>;

// Written once, so that its pages exist and belong to the thread that reads them.
Memory make_memory(size_t bytes) {
    char *const memory = static_cast<char *>(::operator new[](bytes, line, std::nothrow));
    if (!memory)
        return nullptr;
    std::memset(memory, 1, bytes);
    return {memory, [](char *m) { ::operator delete[](m, line); }};
}

} // namespace

extern "C" {

int nitrix_limit_count(void) { return limit_count; }

const char *nitrix_limit_name(int index) { return index >= 0 && index < limit_count ? limits[index].name : ""; }

int nitrix_limit_supported(int index) { return index >= 0 && index < limit_count && limits[index].supported(); }

double nitrix_limit_measure(int index, double seconds, int threads) {
    if (!nitrix_limit_supported(index))
        return 0;
    const Limit &limit = limits[index];
    return best_rate(threads, seconds, 2.0 * limit.elements, [&](int) { return std::function<void(long)>(limit.run); });
}

double nitrix_bandwidth_read(size_t bytes, double seconds, int threads) {
    bytes = std::max<size_t>(bytes / 512, 1) * 512;
    void (*const read)(const char *, size_t) = has_avx512() ? read_avx512 : has_avx2() ? read_avx2 : read_sse;
    return best_rate(threads, seconds, static_cast<double>(bytes), [&](int) -> std::function<void(long)> {
        const Memory memory = make_memory(bytes);
        if (!memory)
            return {};
        return [=](long steps) {
            for (long i = 0; i < steps; ++i)
                read(memory.get(), bytes);
        };
    });
}

double nitrix_bandwidth_copy(size_t bytes, double seconds, int threads) {
    const size_t half = std::max<size_t>(bytes / 1024, 1) * 512;
    return best_rate(threads, seconds, 2.0 * static_cast<double>(half), [&](int) -> std::function<void(long)> {
        const Memory from = make_memory(half), to = make_memory(half);
        if (!from || !to)
            return {};
        return [=](long steps) {
            for (long i = 0; i < steps; ++i) {
                std::memcpy(to.get(), from.get(), half);
                asm volatile("" ::"r"(to.get()) : "memory");
            }
        };
    });
}
}
