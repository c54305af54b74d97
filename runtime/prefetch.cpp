// What kernels ask of memory ahead, they ask themselves (generators/core/prefetch.h); whether they do is decided here
// where it takes more than a comparison.
#include "prefetch.h"

// Whether memory is asked for the items of a batch, of so many bytes and so far apart (0: one for all): where the
// caches do not hold all of them, but for small ones (of 1024 bytes: 1.5 times as long with requests; of 1152 0.7
// times). Of one item there is no next.
extern "C" int32_t nitrix_whether_to_ask_for_items(int64_t a, int64_t b, int64_t c, int64_t a_apart, int64_t b_apart,
                                                   int64_t c_apart, int32_t items) {
    if (items <= 1)
        return false;
    constexpr int64_t above = 1024, most = 64 << 10, large = 4 << 20;
    const auto suits = [&](int64_t bytes, int64_t apart) {
        return bytes > above && bytes <= most && (apart == 0 || (apart == bytes && bytes * items >= large));
    };
    return suits(a, a_apart) && suits(b, b_apart) && suits(c, c_apart);
}
