// The generator process of one (op, target): Halide's command line under a limit of CPU time, so that a variant that
// would compile for minutes fails by its name instead.
#include <Halide.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

static char message[256];

static void over_limit(int) {
    const ssize_t written = write(STDERR_FILENO, message, strlen(message));
    (void)written;
    _exit(1);
}

int main(int argc, char **argv) {
    const char *limit = getenv("NITRIX_VARIANT_SECONDS");
    const long seconds = limit ? strtol(limit, nullptr, 10) : 10;
    const char *name = "?";
    for (int i = 1; i + 1 < argc; ++i)
        if (!strcmp(argv[i], "-f"))
            name = argv[i + 1];
    snprintf(message, sizeof message, "variant %s took more than %ld s of CPU time to compile: simplify its schedule\n",
             name, seconds);
    signal(SIGPROF, over_limit);
    const itimerval timer = {{0, 0}, {seconds, 0}};
    setitimer(ITIMER_PROF, &timer, nullptr);
    return Halide::Internal::generate_filter_main(argc, argv);
}
