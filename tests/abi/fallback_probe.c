/* Calls under the environment it was started with, and says what happened in one word per fact, for fallback_test.cmake
 * and ctest's expressions. argv[1]: "default" keeps the warning on stderr, "callback" counts it. argv[2]: the backend
 * of the options, or "-". */
#include <nitrix/nitrix_ops.h>

#include <stdio.h>
#include <string.h>

static int warnings = 0;

static void count(const nitrix_warning *warning, void *user) {
    (void)user;
    ++warnings;
    printf("op=%s shapes=%s dtype=%s wanted=%s got=%s\nreason=%s\n", warning->op, warning->shapes, warning->dtype,
           warning->wanted, warning->got, warning->reason);
}

static nitrix_status multiply(int64_t n, const char *backend) {
    static float a[400], b[400], c[400];
    int64_t shape[2];
    shape[0] = shape[1] = n;
    DLTensor x = {a, {kDLCPU, 0}, 2, {kDLFloat, 32, 1}, shape, NULL, 0}, y = x, z = x;
    nitrix_options options = NITRIX_OPTIONS_INIT;
    y.data = b;
    z.data = c;
    options.backend = backend;
    return nitrix_semiring_matmul(&x, &y, &z, "real", &options);
}

int main(int argc, char **argv) {
    const char *backend = argc > 2 && strcmp(argv[2], "-") ? argv[2] : NULL;
    nitrix_status status = NITRIX_OK;
    int i;
    if (argc > 1 && !strcmp(argv[1], "callback"))
        nitrix_set_warning_callback(count, NULL);
    /* Two shape signatures, each three times: a warning is due once for each. */
    for (i = 0; i < 6 && status == NITRIX_OK; ++i)
        status = multiply(i % 2 ? 20 : 10, backend);
    printf("status=%s warnings=%d variant=%s\n", nitrix_status_name(status), warnings, nitrix_last_variant());
    if (status != NITRIX_OK)
        printf("error=%s\n", nitrix_last_error());
    return 0;
}
