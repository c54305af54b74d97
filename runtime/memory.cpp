#include "memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <type_traits>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "environment.h"
#include "nitrix/nitrix.h"

namespace nitrix {

void *new_block(size_t capacity) {
    void *const block = std::aligned_alloc(line_alignment, capacity);
#ifdef MADV_HUGEPAGE
    constexpr size_t large = 4 << 20;
    if (block && capacity >= large) {
        constexpr size_t page = 4096; // where pages are larger, the advice is refused
        const size_t before = (page - reinterpret_cast<uintptr_t>(block) % page) % page;
        madvise(static_cast<char *>(block) + before, capacity - before, MADV_HUGEPAGE); // it may fail
    }
#endif
    return block;
}

namespace {

// Lies in the line before the memory that is handed out.
struct alignas(line_alignment) Header {
    size_t capacity; // with the header
};
static_assert(sizeof(Header) == line_alignment);

// Large blocks that were released, for the next of about their size: fresh pages cost 0.2 ms a megabyte, a sparse
// product of 42 MB as much as its kernel. Smaller ones malloc keeps by itself. Nobody waits: who meets another thread
// here (or, in a forked child, one that is gone) does without.
class Kept {
public:
    Header *take(size_t capacity) {
        const std::unique_lock<std::mutex> guard(lock_, std::try_to_lock);
        if (!guard)
            return nullptr;
        int best = -1; // the latest of the smallest
        for (int at = 0; at < n_; ++at)
            if (fits(blocks_[at]->capacity, capacity) && (best < 0 || blocks_[at]->capacity <= blocks_[best]->capacity))
                best = at;
        return best < 0 ? nullptr : remove(best);
    }

    // False: it is not kept. The oldest make room.
    bool give(Header *block) {
        const size_t limit = environment().kept_memory;
        if (block->capacity < NITRIX_LEAST_KEPT || block->capacity > limit)
            return false;
        const std::unique_lock<std::mutex> guard(lock_, std::try_to_lock);
        if (!guard)
            return false;
        while (n_ == most || bytes_ + block->capacity > limit)
            std::free(remove(0));
        bytes_ += block->capacity;
        blocks_[n_++] = block;
        return true;
    }

    size_t bytes() {
        const std::lock_guard<std::mutex> guard(lock_);
        return bytes_;
    }

private:
    static bool fits(size_t has, size_t needs) { return has >= needs && has - needs <= needs / 4; }

    Header *remove(int at) {
        Header *const block = blocks_[at];
        std::copy(blocks_ + at + 1, blocks_ + n_, blocks_ + at);
        --n_;
        bytes_ -= block->capacity;
        return block;
    }

    static constexpr int most = 16;
    Header *blocks_[most] = {}; // in the order of their release
    int n_ = 0;
    size_t bytes_ = 0;
    std::mutex lock_;
};

// Arrays may outlive everything else.
static_assert(std::is_trivially_destructible_v<Kept>);
Kept kept;

} // namespace

size_t kept_memory() { return kept.bytes(); }

} // namespace nitrix

extern "C" void *nitrix_allocate(size_t bytes) {
    using namespace nitrix;
    constexpr size_t grain = 4096;
    if (bytes > SIZE_MAX / 4) // more than an address space has
        return nullptr;
    const bool small = bytes < NITRIX_LEAST_KEPT;
    const size_t unit = small ? line_alignment : grain;
    const size_t capacity = (bytes + sizeof(Header) + unit - 1) / unit * unit;
    Header *block = small ? nullptr : kept.take(capacity);
    if (!block) {
        block = static_cast<Header *>(new_block(capacity));
        if (!block)
            return nullptr;
        block->capacity = capacity;
    }
    return block + 1;
}

extern "C" size_t nitrix_allocated_size(const void *memory) {
    using namespace nitrix;
    return memory ? (static_cast<const Header *>(memory) - 1)->capacity - sizeof(Header) : 0;
}

extern "C" void nitrix_release(void *memory) {
    using namespace nitrix;
    if (!memory)
        return;
    Header *const block = static_cast<Header *>(memory) - 1;
    if (!kept.give(block))
        std::free(block);
}
