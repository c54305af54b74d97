// Prints this machine's limits as JSON: nitrix_limits [THREADS] [SECONDS_EACH]
#include "limits.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

int main(int argc, char **argv) {
    const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
    const double seconds = argc > 2 ? std::atof(argv[2]) : 0.1;
    if (threads < 1 || !(seconds > 0)) {
        std::fprintf(stderr, "usage: nitrix_limits [THREADS >= 1] [SECONDS_EACH > 0]\n");
        return 2;
    }
    std::printf("{\n  \"unit\": \"1e9 operations per second, two per element and step as in 2mnk\",\n");
    std::printf("  \"threads\": %d,\n  \"instructions\": {", threads);
    const char *separator = "\n";
    for (int i = 0; i < nitrix_limit_count(); ++i) {
        if (!nitrix_limit_supported(i))
            continue;
        std::printf("%s    \"%s\": %.1f", separator, nitrix_limit_name(i), nitrix_limit_measure(i, seconds, threads));
        separator = ",\n";
    }
    std::printf("\n  },\n  \"bandwidth_unit\": \"1e9 bytes per second\",\n  \"bandwidth\": [");
    const int all = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    separator = "\n";
    for (int shift : {14, 19, 26, 28}) // a working set in L1, in L2, and larger than either
        for (int n : {1, all}) {
            const size_t bytes = size_t{1} << shift;
            std::printf("%s    {\"bytes\": %zu, \"threads\": %d, \"read\": %.1f, \"copy\": %.1f}", separator, bytes, n,
                        nitrix_bandwidth_read(bytes, seconds, n), nitrix_bandwidth_copy(bytes, seconds, n));
            separator = ",\n";
            if (all == 1)
                break;
        }
    std::printf("\n  ]\n}\n");
    return 0;
}
