#include "scratch.h"

#include <algorithm>
#include <cstdlib>

#include "memory.h"

namespace nitrix {

namespace {

constexpr size_t alignment = line_alignment;
constexpr size_t slack = 128; // vector loads of a kernel may read past the end of its buffers

enum class Origin : uint64_t { pool, workspace, callback };

// Lies in the 64 bytes before the memory that is handed out.
struct alignas(alignment) Header {
    size_t capacity;
    size_t requested;
    Origin origin;
};
static_assert(sizeof(Header) == alignment && sizeof(Header) + slack + alignment <= scratch_overhead);

// Freed blocks of one thread, kept for its next kernel: fresh pages cost up to a quarter of a small product's time.
class Pool {
public:
    ~Pool() {
        for (Header *&block : blocks_)
            std::free(block);
    }
    Header *take(size_t capacity) {
        Header **best = nullptr;
        for (Header *&block : blocks_)
            if (block && block->capacity >= capacity && (!best || block->capacity < (*best)->capacity))
                best = &block;
        // A block that is far too large stays for the call that needs it.
        if (!best || (*best)->capacity > 4 * capacity + 4096)
            return nullptr;
        Header *block = *best;
        *best = nullptr;
        return block;
    }
    void give(Header *block) {
        Header **place = &blocks_[0];
        for (Header *&slot : blocks_) {
            if (!slot) {
                slot = block;
                return;
            }
            if (slot->capacity < (*place)->capacity)
                place = &slot;
        }
        if ((*place)->capacity < block->capacity)
            std::swap(*place, block); // keep the larger ones
        std::free(block);
    }

private:
    Header *blocks_[8] = {};
};

thread_local Pool pool;

} // namespace

static void count(KernelContext &kernel, int64_t bytes) {
    const int64_t now = kernel.bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    int64_t peak = kernel.peak_bytes.load(std::memory_order_relaxed);
    while (now > peak && !kernel.peak_bytes.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
    }
}

char *Workspace::take(size_t bytes) {
    if (!memory)
        return nullptr;
    const std::lock_guard<std::mutex> guard(lock_);
    if (n_ == capacity)
        return nullptr;
    size_t begin = 0;
    int at = 0;
    for (; at < n_ && live_[at].begin - begin < bytes; ++at)
        begin = live_[at].end;
    if (at == n_ && (size < begin || size - begin < bytes))
        return nullptr;
    std::copy_backward(live_ + at, live_ + n_, live_ + n_ + 1);
    live_[at] = {begin, begin + bytes};
    ++n_;
    return memory + begin;
}

void Workspace::give_back(const char *block) {
    const std::lock_guard<std::mutex> guard(lock_);
    const size_t begin = static_cast<size_t>(block - memory);
    Span *const found = std::find_if(live_, live_ + n_, [&](const Span &span) { return span.begin == begin; });
    std::copy(found + 1, live_ + n_, found);
    --n_;
}

void *scratch_allocate(KernelContext &kernel, size_t bytes) {
    const size_t capacity = (bytes + slack + sizeof(Header) + alignment - 1) / alignment * alignment;
    if (capacity < bytes)
        return nullptr;
    Header *block = nullptr;
    Origin origin = Origin::pool;
    if (char *memory = kernel.workspace.take(capacity)) {
        block = reinterpret_cast<Header *>(memory);
        origin = Origin::workspace;
    }
    if (!block && kernel.context->allocate) {
        block = static_cast<Header *>(kernel.context->allocate(capacity, kernel.context->user));
        origin = Origin::callback;
    } else if (!block && !(block = pool.take(capacity))) {
        block = static_cast<Header *>(new_block(capacity));
        if (block)
            block->capacity = capacity;
    }
    if (!block)
        return nullptr;
    if (origin != Origin::pool)
        block->capacity = capacity;
    block->requested = bytes;
    block->origin = origin;
    count(kernel, static_cast<int64_t>(bytes));
    return block + 1;
}

void scratch_release(KernelContext &kernel, void *memory) {
    if (!memory)
        return;
    Header *block = static_cast<Header *>(memory) - 1;
    count(kernel, -static_cast<int64_t>(block->requested));
    switch (block->origin) {
    case Origin::pool:
        pool.give(block);
        break;
    case Origin::callback:
        kernel.context->release(block, kernel.context->user);
        break;
    case Origin::workspace:
        kernel.workspace.give_back(reinterpret_cast<char *>(block));
        break;
    }
}

} // namespace nitrix
