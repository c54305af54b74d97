/* The C contract as a C11 program meets it: products, strides, sizes of zero, and every refusal with its message.
 * Prints each expectation that fails, and returns the number of them (at most 125). */
#include <nitrix/nitrix_ops.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define EXPECT(condition) expect((condition), #condition, __LINE__)
#define EXPECT_OK(call) expect_status((call), NITRIX_OK, "", #call, __LINE__)
/* A refusal leaves a message that names what was wrong. */
#define EXPECT_REFUSED(call, status, word) expect_status((call), (status), (word), #call, __LINE__)

static void expect(int good, const char *what, int line) {
    if (!good) {
        printf("c_abi_test.c:%d: not so: %s\n", line, what);
        ++failures;
    }
}

static void expect_status(nitrix_status got, nitrix_status want, const char *word, const char *what, int line) {
    if (got != want) {
        printf("c_abi_test.c:%d: %s: status %s, expected %s; last error \"%s\"\n", line, what, nitrix_status_name(got),
               nitrix_status_name(want), nitrix_last_error());
        ++failures;
    } else if (want != NITRIX_OK && strstr(nitrix_last_error(), word) == NULL) {
        printf("c_abi_test.c:%d: %s: the message does not name %s: \"%s\"\n", line, what, word, nitrix_last_error());
        ++failures;
    }
}

/* ---- Arrays ------------------------------------------------------------------------------------------------------ */

enum { MAX_RANK = 4 };

typedef struct array {
    DLTensor tensor;
    int64_t shape[MAX_RANK];
    int64_t strides[MAX_RANK];
} array;

static DLTensor *tensor_of(array *it, void *data, uint8_t bits, int rank, const int64_t *shape,
                           const int64_t *strides) {
    memset(it, 0, sizeof *it);
    memcpy(it->shape, shape, (size_t)rank * sizeof *shape);
    if (strides != NULL) {
        memcpy(it->strides, strides, (size_t)rank * sizeof *strides);
    }
    it->tensor.data = data;
    it->tensor.device.device_type = kDLCPU;
    it->tensor.ndim = rank;
    it->tensor.dtype = (DLDataType){kDLFloat, bits, 1};
    it->tensor.shape = it->shape;
    it->tensor.strides = strides != NULL ? it->strides : NULL;
    return &it->tensor;
}

static DLTensor *matrix(array *it, float *data, int64_t rows, int64_t columns) {
    return tensor_of(it, data, 32, 2, (int64_t[]){rows, columns}, NULL);
}

/* Small integers, so that every product is exact and there is one right answer. */
static void fill(float *data, size_t count, unsigned seed) {
    for (size_t i = 0; i < count; ++i) {
        seed = seed * 1103515245u + 12345u;
        data[i] = (float)((int)(seed >> 16 & 31u) - 16);
    }
}

static float expected(const char *semiring, const float *a, const float *b, int k, int a_step, int b_step) {
    const int max = strcmp(semiring, "tropical_max_plus") == 0;
    const int min = strcmp(semiring, "tropical_min_plus") == 0;
    float best = max ? -INFINITY : min ? INFINITY : 0.0f;
    for (int i = 0; i < k; ++i) {
        const float x = a[i * a_step], y = b[i * b_step];
        if (max) {
            best = x + y > best ? x + y : best;
        } else if (min) {
            best = x + y < best ? x + y : best;
        } else {
            best += x * y;
        }
    }
    return best;
}

static const char *const semirings[] = {"real", "tropical_max_plus", "tropical_min_plus"};
static const char *const named_in_ids[] = {"/real/", "/tropical-max-plus/", "/tropical-min-plus/"};
enum { SEMIRINGS = sizeof semirings / sizeof semirings[0] };

/* ---- What works ----------------------------------------------------------------------------------------------------
 */

static void products(void) {
    static const int sizes[][3] = {{1, 1, 1}, {3, 5, 7}, {17, 300, 33}, {64, 64, 64}, {1, 257, 19}, {31, 12, 1}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; ++s) {
        const int m = sizes[s][0], k = sizes[s][1], n = sizes[s][2];
        float *a = malloc(sizeof *a * (size_t)(m * k)), *b = malloc(sizeof *b * (size_t)(k * n));
        float *c = malloc(sizeof *c * (size_t)(m * n));
        fill(a, (size_t)(m * k), 1);
        fill(b, (size_t)(k * n), 2);
        for (int r = 0; r < SEMIRINGS; ++r) {
            array a_array, b_array, c_array;
            int wrong = 0;
            EXPECT_OK(nitrix_semiring_matmul(matrix(&a_array, a, m, k), matrix(&b_array, b, k, n),
                                             matrix(&c_array, c, m, n), semirings[r], NULL));
            for (int i = 0; i < m; ++i) {
                for (int j = 0; j < n; ++j) {
                    wrong += c[i * n + j] != expected(semirings[r], a + i * k, b + j, k, 1, n);
                }
            }
            EXPECT(wrong == 0);
            EXPECT(strstr(nitrix_last_variant(), "semiring-matmul/") == nitrix_last_variant());
            EXPECT(strstr(nitrix_last_variant(), named_in_ids[r]) != NULL);
        }
        free(a);
        free(b);
        free(c);
    }
}

/* A transposed, B backwards in both dimensions, C every second column of a wider matrix, all at byte offsets. */
static void strides(void) {
    enum { M = 13, K = 21, N = 10 };
    float a[K * M + 1], b[K * N], c[M * 2 * N];
    array a_array, b_array, c_array;
    fill(a, K * M + 1, 3);
    fill(b, K * N, 4);
    for (int r = 0; r < SEMIRINGS; ++r) {
        int wrong = 0, touched = 0;
        DLTensor *at = tensor_of(&a_array, a, 32, 2, (int64_t[]){M, K}, (int64_t[]){1, M});
        DLTensor *bt = tensor_of(&b_array, b, 32, 2, (int64_t[]){K, N}, (int64_t[]){-N, -1});
        DLTensor *ct = tensor_of(&c_array, c, 32, 2, (int64_t[]){M, N}, (int64_t[]){2 * N, 2});
        at->byte_offset = sizeof(float);
        bt->byte_offset = sizeof(float) * (K * N - 1);
        for (int i = 0; i < M * 2 * N; ++i) {
            c[i] = 12345.0f;
        }
        EXPECT_OK(nitrix_semiring_matmul(at, bt, ct, semirings[r], NULL));
        for (int i = 0; i < M; ++i) {
            for (int j = 0; j < N; ++j) {
                wrong += c[i * 2 * N + 2 * j] != expected(semirings[r], a + 1 + i, b + K * N - 1 - j, K, M, -N);
                touched += c[i * 2 * N + 2 * j + 1] != 12345.0f;
            }
        }
        EXPECT(wrong == 0);
        EXPECT(touched == 0);
    }
}

static void batches_broadcast(void) {
    enum { M = 4, K = 6, N = 5 };
    float a[3 * M * K], b[2 * K * N], c[2 * 3 * M * N];
    array a_array, b_array, c_array;
    int wrong = 0;
    fill(a, 3 * M * K, 5);
    fill(b, 2 * K * N, 6);
    EXPECT_OK(nitrix_semiring_matmul(tensor_of(&a_array, a, 32, 3, (int64_t[]){3, M, K}, NULL),
                                     tensor_of(&b_array, b, 32, 4, (int64_t[]){2, 1, K, N}, NULL),
                                     tensor_of(&c_array, c, 32, 4, (int64_t[]){2, 3, M, N}, NULL), "real", NULL));
    for (int p = 0; p < 2; ++p) {
        for (int q = 0; q < 3; ++q) {
            for (int i = 0; i < M; ++i) {
                for (int j = 0; j < N; ++j) {
                    wrong += c[((p * 3 + q) * M + i) * N + j] !=
                             expected("real", a + (q * M + i) * K, b + p * K * N + j, K, 1, N);
                }
            }
        }
    }
    EXPECT(wrong == 0);
}

static void sizes_of_zero(void) {
    float a[6], b[6], c[4] = {7, 7, 7, 7};
    const float identity[SEMIRINGS] = {0.0f, -INFINITY, INFINITY};
    array a_array, b_array, c_array;
    for (int r = 0; r < SEMIRINGS; ++r) {
        EXPECT_OK(nitrix_semiring_matmul(matrix(&a_array, NULL, 2, 0), matrix(&b_array, NULL, 0, 2),
                                         matrix(&c_array, c, 2, 2), semirings[r], NULL));
        EXPECT(c[0] == identity[r] && c[1] == identity[r] && c[2] == identity[r] && c[3] == identity[r]);
        EXPECT(strcmp(nitrix_last_variant(), "none") == 0);
        EXPECT_OK(nitrix_semiring_matmul(matrix(&a_array, NULL, 0, 3), matrix(&b_array, b, 3, 2),
                                         matrix(&c_array, NULL, 0, 2), semirings[r], NULL));
        EXPECT_OK(nitrix_semiring_matmul(matrix(&a_array, a, 2, 3), matrix(&b_array, NULL, 3, 0),
                                         matrix(&c_array, NULL, 2, 0), semirings[r], NULL));
    }
    EXPECT_REFUSED(nitrix_semiring_matmul(matrix(&a_array, NULL, 0, 3), matrix(&b_array, b, 2, 2),
                                          matrix(&c_array, NULL, 0, 2), "real", NULL),
                   NITRIX_ERROR_VALUE, "3"); /* empty, and still not conformable */
}

static void contexts_and_options(void) {
    float a[4] = {1, 2, 3, 4}, c[4], again[4];
    array a_array, c_array;
    nitrix_options options = NITRIX_OPTIONS_INIT;
    nitrix_context_options context_options = {.size = sizeof context_options, .threads = 1};
    DLTensor *at = matrix(&a_array, a, 2, 2), *ct = matrix(&c_array, c, 2, 2);
    size_t bytes = (size_t)-1;
    void *scratch;

    EXPECT_OK(nitrix_context_create(&context_options, &options.context));
    EXPECT_OK(nitrix_semiring_matmul(at, at, ct, "real", &options));
    EXPECT(c[0] == 7 && c[1] == 10 && c[2] == 15 && c[3] == 22);
    nitrix_context_destroy(options.context);
    nitrix_context_destroy(NULL);

    options.context = NULL;
    options.backend = "naive";
    ct->data = again;
    EXPECT_OK(nitrix_semiring_matmul(at, at, ct, "real", &options));
    EXPECT(memcmp(c, again, sizeof c) == 0);
    EXPECT(strstr(nitrix_last_variant(), "/naive") != NULL);

    options.backend = NULL;
    at->data = NULL; /* sizes are all that counts */
    ct->data = NULL;
    EXPECT_OK(nitrix_semiring_matmul_workspace_size(at, at, ct, "real", &options, &bytes));
    EXPECT(bytes < 1u << 24);
    at->data = a;
    ct->data = again;
    scratch = aligned_alloc(64, (bytes / 64 + 1) * 64);
    options.workspace = scratch;
    options.workspace_size = (bytes / 64 + 1) * 64;
    EXPECT_OK(nitrix_semiring_matmul(at, at, ct, "real", &options));
    EXPECT(memcmp(c, again, sizeof c) == 0);
    free(scratch);
}

static void generic_call(void) {
    float a[4] = {1, 2, 3, 4}, c[4];
    array a_array, c_array;
    DLTensor *at = matrix(&a_array, a, 2, 2), *ct = matrix(&c_array, c, 2, 2);
    DLTensor *arrays[3] = {at, at, ct};
    nitrix_attribute semiring = {.name = "semiring", .kind = NITRIX_ATTRIBUTE_STRING, .s = "tropical_max_plus"};
    EXPECT_OK(nitrix_call("semiring_matmul", arrays, 3, &semiring, 1, NULL));
    EXPECT(c[0] == 5 && c[1] == 6 && c[2] == 7 && c[3] == 8);
    EXPECT_OK(nitrix_call("semiring_matmul", arrays, 3, NULL, 0, NULL)); /* the default is real */
    EXPECT(c[0] == 7 && c[3] == 22);
    EXPECT_REFUSED(nitrix_call("semiring_matmull", arrays, 3, &semiring, 1, NULL), NITRIX_ERROR_VALUE,
                   "semiring_matmul");
    EXPECT_REFUSED(nitrix_call("semiring_matmul", arrays, 2, &semiring, 1, NULL), NITRIX_ERROR_VALUE, "2");
    semiring.name = "algebra";
    EXPECT_REFUSED(nitrix_call("semiring_matmul", arrays, 3, &semiring, 1, NULL), NITRIX_ERROR_VALUE, "algebra");
}

static void texts(void) {
    char small[8] = ".......", *whole;
    size_t needed = 0;
    EXPECT(nitrix_version() == NITRIX_VERSION);
    EXPECT(strcmp(nitrix_status_name(NITRIX_OK), "NITRIX_OK") == 0);
    EXPECT(strcmp(nitrix_status_name(NITRIX_ERROR_INTERNAL), "NITRIX_ERROR_INTERNAL") == 0);
    EXPECT(strcmp(nitrix_status_name((nitrix_status)99), "unknown status") == 0);
    EXPECT_OK(nitrix_info(NULL, 0, &needed));
    EXPECT(needed > sizeof small);
    EXPECT_OK(nitrix_info(small, sizeof small, NULL));
    EXPECT(small[0] == '{' && strlen(small) == sizeof small - 1); /* cut off, terminated */
    whole = malloc(needed);
    EXPECT_OK(nitrix_info(whole, needed, &needed));
    EXPECT(strlen(whole) + 1 == needed && strstr(whole, "tropical_min_plus") != NULL);
    free(whole);
    EXPECT_OK(nitrix_counters(NULL, 0, &needed));
    whole = malloc(needed);
    EXPECT_OK(nitrix_counters(whole, needed, &needed));
    EXPECT(strstr(whole, "semiring-matmul/real/f32") != NULL);
    free(whole);
}

/* ---- What is refused, before anything is written --------------------------------------------------------------------
 */

static void refusals(void) {
    float a[12], b[12], c[16];
    array a_array, b_array, c_array;
    nitrix_options options;
    nitrix_context *context = NULL;
    nitrix_context_options context_options = {.size = sizeof context_options};
    DLTensor *at, *bt, *ct;
    size_t bytes;
    int written = 0;
    fill(a, 12, 7);
    fill(b, 12, 8);
    for (int i = 0; i < 16; ++i) {
        c[i] = 12345.0f;
    }
#define RESET()                                                                                                        \
    at = matrix(&a_array, a, 4, 3), bt = matrix(&b_array, b, 3, 4), ct = matrix(&c_array, c, 4, 4);                    \
    options = (nitrix_options)NITRIX_OPTIONS_INIT
#define CALL() nitrix_semiring_matmul(at, bt, ct, "real", &options)

    RESET();
    EXPECT_REFUSED(nitrix_semiring_matmul(NULL, bt, ct, "real", NULL), NITRIX_ERROR_VALUE, "NULL");
    EXPECT_REFUSED(nitrix_semiring_matmul(at, NULL, ct, "real", NULL), NITRIX_ERROR_VALUE, "NULL");
    EXPECT_REFUSED(nitrix_semiring_matmul(at, bt, NULL, "real", NULL), NITRIX_ERROR_VALUE, "NULL");
    EXPECT_REFUSED(nitrix_semiring_matmul(at, bt, ct, NULL, NULL), NITRIX_ERROR_VALUE, "semiring");
    EXPECT_REFUSED(nitrix_semiring_matmul(at, bt, ct, "", NULL), NITRIX_ERROR_VALUE, "tropical_min_plus");
    EXPECT_REFUSED(nitrix_semiring_matmul(at, bt, ct, "reel", NULL), NITRIX_ERROR_VALUE, "reel");
    EXPECT_REFUSED(nitrix_semiring_matmul_workspace_size(at, bt, ct, "real", NULL, NULL), NITRIX_ERROR_VALUE, "bytes");
    EXPECT_REFUSED(nitrix_semiring_matmul_workspace_size(at, bt, ct, "reel", NULL, &bytes), NITRIX_ERROR_VALUE, "reel");

    at->data = NULL;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "NULL");
    RESET();
    ct->data = NULL;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "NULL");

    RESET();
    bt->shape[0] = 2;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "2");
    RESET();
    ct->shape[1] = 3;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "3");
    RESET();
    at->ndim = 1;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "dimension");
    RESET();
    bt->shape[1] = ct->shape[1] = -4;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "-4");
    RESET();
    tensor_of(&a_array, a, 32, 3, (int64_t[]){2, 2, 3}, NULL); /* batches of 2 and of 3 */
    tensor_of(&b_array, b, 32, 3, (int64_t[]){3, 3, 1}, NULL);
    tensor_of(&c_array, c, 32, 3, (int64_t[]){3, 2, 1}, NULL);
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "3");

    RESET();
    at->dtype.code = kDLInt;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_TYPE, "int32");
    RESET();
    bt->dtype.bits = 64;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_TYPE, "float64");
    RESET();
    ct->dtype.bits = 64;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_TYPE, "float64");
    RESET();
    at->dtype.lanes = 4;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_TYPE, "4");

    RESET();
    tensor_of(&c_array, a, 32, 2, (int64_t[]){4, 2}, NULL); /* the product would overwrite what it reads */
    bt->shape[1] = 2;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "overlap");

    RESET();
    options.size = 0;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "size");
    options.size = 3;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "size");
    RESET();
    options.backend = "gpu";
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "naive"); /* the known ones are listed */
    RESET();
    options.variant = "semiring-matmul/real/f32/any/sse9";
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "sse9");
    RESET();
    options.mode = (nitrix_mode)17;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "mode");
    RESET();
    options.flags = 1u << 30;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "flags");
    RESET();
    options.threads = -1;
    EXPECT_REFUSED(CALL(), NITRIX_ERROR_VALUE, "threads");

    EXPECT_REFUSED(nitrix_context_create(&context_options, NULL), NITRIX_ERROR_VALUE, "context");
    context_options.size = 0;
    EXPECT_REFUSED(nitrix_context_create(&context_options, &context), NITRIX_ERROR_VALUE, "size");
    context_options.size = sizeof context_options;
    context_options.threads = -1;
    EXPECT_REFUSED(nitrix_context_create(&context_options, &context), NITRIX_ERROR_VALUE, "threads");
    EXPECT(context == NULL);

    for (int i = 0; i < 16; ++i) {
        written += c[i] != 12345.0f;
    }
    EXPECT(written == 0);
    RESET();
    EXPECT_OK(CALL()); /* and nothing of all that lingers */
}

/* A product in two parts: the second array of a state is NULL but for LOG. */
static void states(void) {
    float a[3 * 40], b[40 * 5], whole[15], c[15], left[15], right[15], both[15], sums[3][15];
    array arrays[11];
    fill(a, 3 * 40, 5u);
    fill(b, 40 * 5, 6u);
    const int64_t rows[] = {40, 1};
    DLTensor *a1 = tensor_of(&arrays[0], a, 32, 2, (int64_t[]){3, 13}, rows);
    DLTensor *a2 = tensor_of(&arrays[1], a + 13, 32, 2, (int64_t[]){3, 27}, rows);
    DLTensor *b1 = matrix(&arrays[2], b, 13, 5), *b2 = matrix(&arrays[3], b + 13 * 5, 27, 5);
    DLTensor *l = matrix(&arrays[4], left, 3, 5), *r = matrix(&arrays[5], right, 3, 5);
    DLTensor *s = matrix(&arrays[6], both, 3, 5), *out = matrix(&arrays[7], c, 3, 5);
    DLTensor *l2 = matrix(&arrays[8], sums[0], 3, 5), *r2 = matrix(&arrays[9], sums[1], 3, 5);
    DLTensor *s2 = matrix(&arrays[10], sums[2], 3, 5);
    const char *const names[] = {"real", "tropical_max_plus", "tropical_min_plus", "log"};
    for (int n = 0; n < 4; ++n) {
        const int log = n == 3;
        array x, y, z;
        EXPECT_OK(nitrix_semiring_matmul(matrix(&x, a, 3, 40), matrix(&y, b, 40, 5), matrix(&z, whole, 3, 5), names[n],
                                         NULL));
        EXPECT_OK(nitrix_semiring_matmul_partial(a1, b1, l, log ? l2 : NULL, names[n], NULL));
        EXPECT_OK(nitrix_semiring_matmul_partial(a2, b2, r, log ? r2 : NULL, names[n], NULL));
        EXPECT_OK(
            nitrix_semiring_matmul_merge(l, log ? l2 : NULL, r, log ? r2 : NULL, s, log ? s2 : NULL, names[n], NULL));
        EXPECT_OK(nitrix_semiring_matmul_finalize(s, log ? s2 : NULL, out, names[n], NULL));
        for (int i = 0; i < 15; ++i) {
            EXPECT(fabsf(c[i] - whole[i]) <= (log ? 1e-5f : 0.0f)); /* small integers: exact */
        }
        if (log) {
            EXPECT_REFUSED(nitrix_semiring_matmul_partial(a1, b1, l, NULL, names[n], NULL), NITRIX_ERROR_VALUE,
                           "'state_2'");
            EXPECT_REFUSED(nitrix_semiring_matmul_merge(l, l2, r, NULL, s, s2, names[n], NULL), NITRIX_ERROR_VALUE,
                           "'right_2'");
        } else {
            EXPECT_REFUSED(nitrix_semiring_matmul_partial(a1, b1, l, l2, names[n], NULL), NITRIX_ERROR_VALUE,
                           "1 component");
            EXPECT_REFUSED(nitrix_semiring_matmul_finalize(s, s2, out, names[n], NULL), NITRIX_ERROR_VALUE,
                           "'state_2'");
        }
    }
    EXPECT_REFUSED(nitrix_semiring_matmul_partial(a1, b1, l, NULL, "euclidean", NULL), NITRIX_ERROR_TYPE, "relaxed");
    EXPECT_REFUSED(nitrix_semiring_matmul_merge(l, NULL, r, NULL, s, NULL, "euclidean", NULL), NITRIX_ERROR_TYPE,
                   "relaxed");
    EXPECT_REFUSED(nitrix_semiring_matmul_finalize(s, NULL, out, "euclidean", NULL), NITRIX_ERROR_TYPE, "relaxed");
}

static void memory(void) {
    enum { N = 600 }; /* more than a megabyte: kept */
    float *first = NULL;
    for (int again = 0; again < 2; ++again) {
        float *a = nitrix_allocate(sizeof *a * N * N), *c = nitrix_allocate(sizeof *c * N * N);
        array a_array, b_array, c_array;
        EXPECT(a != NULL && c != NULL && (uintptr_t)a % 64 == 0 && (uintptr_t)c % 64 == 0);
        EXPECT(nitrix_allocated_size(a) >= sizeof *a * N * N);
        EXPECT(!again || a == first || c == first);
        fill(a, (size_t)N * N, 3);
        EXPECT_OK(nitrix_semiring_matmul(matrix(&a_array, a, N, N), matrix(&b_array, a, N, N),
                                         matrix(&c_array, c, N, N), "real", NULL));
        EXPECT(c[N * N - 1] == expected("real", a + N * (N - 1), a + N - 1, N, 1, N));
        first = a;
        nitrix_release(c);
        nitrix_release(a);
    }
    nitrix_release(NULL);
    EXPECT(nitrix_allocate(SIZE_MAX) == NULL);
}

int main(void) {
    EXPECT(strcmp(nitrix_last_error(), "") == 0);
    EXPECT(strcmp(nitrix_last_variant(), "") == 0);
    products();
    strides();
    batches_broadcast();
    sizes_of_zero();
    contexts_and_options();
    generic_call();
    texts();
    refusals();
    states();
    memory();
    printf(failures == 0 ? "c_abi_test: all as the contract says\n" : "c_abi_test: %d expectations failed\n", failures);
    return failures < 125 ? failures : 125;
}
