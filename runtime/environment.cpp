#include "environment.h"

#include <cstdlib>
#include <cstring>

#include "error.h"
#include "registry.h"

namespace nitrix {

static bool flag(const char *name, std::string &error) {
    const char *value = std::getenv(name);
    if (!value || !*value || !std::strcmp(value, "0"))
        return false;
    if (!std::strcmp(value, "1"))
        return true;
    error = std::string(name) + ": " + unknown_name(value, "0, 1");
    return false;
}

// The index of the variable's value among the n known ones.
static int choice(const char *name, const char *const *known, int n, int otherwise, std::string &error) {
    const char *value = std::getenv(name);
    if (!value || !*value)
        return otherwise;
    std::string list;
    for (int i = 0; i < n; ++i) {
        if (!std::strcmp(value, known[i]))
            return i;
        list += (i ? ", " : "") + std::string(known[i]);
    }
    error = std::string(name) + ": " + unknown_name(value, list);
    return otherwise;
}

static int64_t number(const char *name, int64_t least, int64_t most, int64_t otherwise, std::string &error) {
    const char *value = std::getenv(name);
    if (!value || !*value)
        return otherwise;
    char *end = nullptr;
    const long long n = std::strtoll(value, &end, 10);
    if (!*end && n >= least && n <= most)
        return n;
    error = std::string(name) + ": got '" + value + "', must be a number from " + std::to_string(least) + " to " +
            std::to_string(most);
    return otherwise;
}

static Environment read() {
    Environment env;
    env.backend = std::getenv("NITRIX_BACKEND");
    if (env.backend && !*env.backend)
        env.backend = nullptr;
    if (const char *name = std::getenv("NITRIX_TARGET"); name && *name) {
        std::string known;
        for (int t = 0; t < n_targets; ++t) {
            known += (t ? ", " : "") + std::string(targets[t].name);
            if (!std::strcmp(targets[t].name, name))
                env.target = t;
        }
        if (env.target < 0)
            env.error = "NITRIX_TARGET: " + unknown_name(name, known);
    }
    env.silence_fallback = flag("NITRIX_SILENCE_FALLBACK", env.error);
    env.strict_backend = flag("NITRIX_STRICT_BACKEND", env.error);
    env.reproducible = flag("NITRIX_REPRODUCIBLE", env.error);
    static const char *const modes[] = {"off", "on", "verify"};
    static const char *const levels[] = {"normal", "strict"};
    env.mode = static_cast<nitrix_mode>(NITRIX_MODE_OFF + choice("NITRIX_MODE", modes, 3, 1, env.error));
    env.strict_check = choice("NITRIX_CHECK", levels, 2, 0, env.error) == 1;
    env.threads = static_cast<int>(number("NITRIX_NUM_THREADS", 1, 4096, env.threads, env.error));
    env.kept_memory = static_cast<size_t>(
        number("NITRIX_KEPT_MEMORY", 0, int64_t{1} << 50, static_cast<int64_t>(env.kept_memory), env.error));
    if (const char *list = std::getenv("NITRIX_DISABLE")) {
        for (const char *p = list; *p;) {
            const size_t length = std::strcspn(p, ",");
            if (length)
                env.disabled.emplace_back(p, length);
            p += length + (p[length] == ',');
        }
    }
    return env;
}

const Environment &environment() {
    static const Environment env = read();
    return env;
}

} // namespace nitrix
