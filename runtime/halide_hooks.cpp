#include "halide_hooks.h"

#include <HalideRuntime.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdio>
#include <mutex>

#include "past_caches.h"
#include "scratch.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace nitrix {

KeepDenormals::KeepDenormals() {
#if defined(__x86_64__)
    saved_ = _mm_getcsr();
    constexpr unsigned all_masked = 0x1f80; // default mode: exceptions masked, nearest, no FTZ, no DAZ
    if (saved_ != all_masked)
        _mm_setcsr(all_masked);
#elif defined(__aarch64__)
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    if (saved_)
        asm volatile("msr fpcr, %0" ::"r"(0ul));
#endif
}

KeepDenormals::~KeepDenormals() {
#if defined(__x86_64__)
    // The status bits that the kernel raised go with the mode: a call leaves the caller's exactly as they were.
    if (_mm_getcsr() != saved_)
        _mm_setcsr(static_cast<unsigned>(saved_));
#elif defined(__aarch64__)
    if (saved_)
        asm volatile("msr fpcr, %0" ::"r"(saved_));
#endif
}

static KernelContext &kernel_of(void *user_context) { return *static_cast<KernelContext *>(user_context); }

static void *allocate(void *user_context, size_t bytes) { return scratch_allocate(kernel_of(user_context), bytes); }
static void release(void *user_context, void *memory) { scratch_release(kernel_of(user_context), memory); }

static void keep_error(void *user_context, const char *text) {
    if (!user_context)
        return;
    KernelContext &kernel = kernel_of(user_context);
    if (!kernel.error[0])
        std::snprintf(kernel.error, sizeof kernel.error, "%s", text);
}

// ThreadSanitizer does not see the locks of Halide's pool. It is told what they order: a loop's start comes before its
// pieces, and these before its end. Pieces are not ordered among themselves, whichever thread they happen to run on.
#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void *);
extern "C" void __tsan_release(void *);
static void comes_before(void *event) { __tsan_release(event); }
static void comes_after(void *event) { __tsan_acquire(event); }
#else
static void comes_before(void *) {}
static void comes_after(void *) {}
#endif

namespace {
struct Loop {
    halide_task_t task;
    uint8_t *closure;
    int min, size, workers;
    void *user_context;
    std::atomic<int> next{0}, result{0};
    char start = 0, end = 0; // events, for `comes_before` and `comes_after`

    // The next piece of the loop: half a worker's share of what is left, so that nobody waits long for one that wakes
    // late or runs slowly. False: none is left. Relaxed, since it orders nothing.
    bool take(int &from, int &to) {
        from = next.load(std::memory_order_relaxed);
        do {
            if (from >= size || result)
                return false;
            to = from + std::max(1, (size - from) / (2 * workers));
        } while (!next.compare_exchange_weak(from, to, std::memory_order_relaxed));
        return true;
    }

    void work() {
        comes_after(&start);
        const KeepDenormals mode;
        for (int i, to; take(i, to);)
            for (; i < to && !result; ++i)
                if (const int status = task(user_context, min + i, closure))
                    result = status;
        end_stores_past_caches();
        comes_before(&end);
    }
};
} // namespace

static int parallel_loop(void *user_context, halide_task_t task, int min, int size, uint8_t *closure) {
    const KernelContext &kernel = kernel_of(user_context);
    // As many workers as threads: the scratch memory that a call may hold is counted by them.
    const int threads = is_forked_child() && !kernel.context->parallel_for ? 1 : kernel.threads;
    if (threads <= 1 || size <= 1) { // in this thread's mode, which is set for the whole call
        int status = 0;
        for (int i = min; i < min + size && !status; ++i)
            status = task(user_context, i, closure);
        if (size > 1) // a result that is stored past the caches is large
            end_stores_past_caches();
        return status;
    }
    Loop loop{task, closure, min, size, std::min(size, threads), user_context};
    if (kernel.context->parallel_for) {
        kernel.context->parallel_for(
            loop.workers, [](int, void *self) { static_cast<Loop *>(self)->work(); }, &loop, kernel.context->user);
        return loop.result;
    }
    comes_before(&loop.start);
    const int status = halide_default_do_par_for(
        user_context,
        [](void *, int, uint8_t *self) {
            reinterpret_cast<Loop *>(self)->work();
            return 0;
        },
        0, loop.workers, reinterpret_cast<uint8_t *>(&loop));
    comes_after(&loop.end);
    return status ? status : loop.result.load();
}

void parallel_tasks(KernelContext &kernel, int64_t count, void (*body)(int64_t, const void *), const void *closure) {
    struct Chunks {
        int64_t count, chunks;
        void (*body)(int64_t, const void *);
        const void *closure;
    } chunks = {count, std::min<int64_t>(count, INT_MAX), body, closure};
    halide_do_par_for(
        &kernel,
        [](void *, int chunk, uint8_t *self) {
            const Chunks &c = *reinterpret_cast<Chunks *>(self);
            for (int64_t i = c.count * chunk / c.chunks; i < c.count * (chunk + 1) / c.chunks; ++i)
                c.body(i, c.closure);
            return 0;
        },
        0, static_cast<int>(chunks.chunks), reinterpret_cast<uint8_t *>(&chunks));
}

void install_halide_hooks() {
    static std::once_flag once;
    std::call_once(once, [] {
        halide_set_custom_malloc(allocate);
        halide_set_custom_free(release);
        halide_set_error_handler(keep_error);
        halide_set_custom_do_par_for(parallel_loop);
        halide_set_num_threads(pool_threads());
        note_forks();
    });
}

} // namespace nitrix
