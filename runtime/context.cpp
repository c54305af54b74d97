#include "context.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "environment.h"
#include "error.h"

namespace nitrix {

// The cores this process may run on, which a container or taskset can make fewer than the machine has.
static int available_cores() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return std::max(1, CPU_COUNT(&set));
    return std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

static int default_threads() { return environment().threads ? environment().threads : available_cores(); }

// A fork leaves the pool's threads behind in the parent.
static std::atomic<bool> forked{false};

bool is_forked_child() { return forked.load(std::memory_order_relaxed); }

void note_forks() {
    static const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });
    (void)registered;
}

int pool_threads() { return is_forked_child() ? 1 : std::max(default_context().threads, 1); }

const Context &default_context() {
    static const Context context = [] {
        Context c;
        c.threads = default_threads();
        return c;
    }();
    return context;
}

} // namespace nitrix

extern "C" nitrix_status nitrix_context_create(const nitrix_context_options *options, nitrix_context **context) {
    using namespace nitrix;
    return guarded([&] {
        if (!context)
            refuse_value("nitrix_context_create: argument 'context' is NULL");
        auto created = nitrix_context();
        created.threads = default_threads();
        if (options) {
            if (options->size < sizeof *options || options->size > 4096)
                refuse_value("nitrix_context_create: size is " + std::to_string(options->size) +
                             ", must be sizeof(nitrix_context_options) (" + std::to_string(sizeof *options) + ")");
            if (!options->allocate != !options->release)
                refuse_value("nitrix_context_create: allocate and release must be given together");
            if (options->threads < 0)
                refuse_value("nitrix_context_create: threads is " + std::to_string(options->threads) +
                             ", must be 0 (default) or more");
            created.allocate = options->allocate;
            created.release = options->release;
            created.parallel_for = options->parallel_for;
            created.user = options->user;
            if (options->threads)
                created.threads = options->threads;
            created.memory_budget = options->memory_budget;
        }
        *context = new nitrix_context(created);
    });
}

extern "C" void nitrix_context_destroy(nitrix_context *context) { delete context; }
