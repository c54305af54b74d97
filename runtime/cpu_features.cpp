#include "cpu_features.h"

#include <cstring>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace nitrix {

#if defined(__x86_64__)
#define NITRIX_FEATURES(X)                                                                                             \
    X("sse4.1")                                                                                                        \
    X("avx") X("avx2") X("fma") X("avx512f") X("avx512bw") X("avx512cd") X("avx512dq") X("avx512vl")
#define NITRIX_NAME(name) name,
const char *const known_cpu_features[] = {NITRIX_FEATURES(NITRIX_NAME) nullptr};

bool cpu_has(const char *feature) {
    __builtin_cpu_init();
#define NITRIX_TEST(name)                                                                                              \
    if (!std::strcmp(feature, name))                                                                                   \
        return __builtin_cpu_supports(name) != 0;
    NITRIX_FEATURES(NITRIX_TEST)
    return false;
}
#elif defined(__aarch64__)
const char *const known_cpu_features[] = {"neon", "sve", nullptr};

bool cpu_has(const char *feature) {
    if (!std::strcmp(feature, "neon"))
        return (getauxval(AT_HWCAP) & HWCAP_ASIMD) != 0;
    if (!std::strcmp(feature, "sve"))
        return (getauxval(AT_HWCAP) & HWCAP_SVE) != 0;
    return false;
}
#else
#error "nitrix supports x86-64 and arm-64"
#endif

} // namespace nitrix
