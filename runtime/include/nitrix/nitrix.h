/* nitrix: tensor kernels over any semiring, compiled ahead of time. The C contract, written by hand (C11).
 *
 * One function per op is declared in nitrix_ops.h, which is generated from generators/manifest.toml and installed
 * beside this file. Every such function
 *
 *   - takes its arrays as DLPack DLTensor pointers (any strides, leading dimensions broadcast as NumPy's do), then the
 *     op's attributes, then `const nitrix_options *options`, which may be NULL;
 *   - validates everything before it writes anything, and returns a nitrix_status;
 *   - leaves a sentence in nitrix_last_error() when the status is not NITRIX_OK: which argument, what it was, what it
 *     must be;
 *   - never aborts, never prints except through the warning callback, and may be called from any thread.
 *
 * Results are bit-identical for every number of threads and for all targets of one rounding class (docs/exactness.md).
 */
#ifndef NITRIX_NITRIX_H
#define NITRIX_NITRIX_H

#include <stddef.h>
#include <stdint.h>

#include "dlpack.h"

#define NITRIX_VERSION_MAJOR 0
#define NITRIX_VERSION_MINOR 1
#define NITRIX_VERSION_PATCH 0
#define NITRIX_VERSION (NITRIX_VERSION_MAJOR * 10000 + NITRIX_VERSION_MINOR * 100 + NITRIX_VERSION_PATCH)

#if defined(NITRIX_SHARED) && defined(__GNUC__)
#define NITRIX_API __attribute__((visibility("default")))
#else
#define NITRIX_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status and errors ------------------------------------------------------------------------------------------ */

typedef enum nitrix_status {
    NITRIX_OK = 0,
    NITRIX_ERROR_VALUE = 1,       /* a bad value or shape: Python's ValueError */
    NITRIX_ERROR_TYPE = 2,        /* the wrong kind of thing (dtype, device): Python's TypeError */
    NITRIX_ERROR_UNSUPPORTED = 3, /* no compiled form serves this call: Python's NotImplementedError */
    NITRIX_ERROR_FALLBACK = 4,    /* NITRIX_STRICT_BACKEND=1 turned a fallback warning into this error */
    NITRIX_ERROR_MEMORY = 5,      /* an allocation failed */
    NITRIX_ERROR_VERIFY = 6,      /* verify mode: a variant differed from its reference */
    NITRIX_ERROR_INTERNAL = 7     /* a defect of nitrix: please report it with nitrix_last_error() */
} nitrix_status;

/* The calling thread's latest error, or "" if it had none. Valid until that thread's next failing call. */
NITRIX_API const char *nitrix_last_error(void);

/* The name of a status ("NITRIX_ERROR_VALUE"); "unknown status" for any other number. */
NITRIX_API const char *nitrix_status_name(nitrix_status status);

/* NITRIX_VERSION of the library that is linked, to be compared with the header's. */
NITRIX_API int nitrix_version(void);

/* ---- Warnings --------------------------------------------------------------------------------------------------- */

/* A slower path served a call. Emitted once per (function, shape signature, dtype, backend) and process, unless
 * NITRIX_SILENCE_FALLBACK=1; with NITRIX_STRICT_BACKEND=1 the call fails with NITRIX_ERROR_FALLBACK instead. */
typedef struct nitrix_warning {
    size_t size;         /* sizeof(nitrix_warning) of the library: fields are only ever added at the end */
    const char *op;      /* "semiring_matmul" */
    const char *shapes;  /* "(1000,333),(333,777)" */
    const char *dtype;   /* "float32" */
    const char *wanted;  /* what was asked for: "cuda", "avx512" */
    const char *got;     /* what served instead: "avx2", "naive", or what was done ("copy of a") */
    const char *reason;  /* one sentence */
    const char *message; /* all of the above in one line */
} nitrix_warning;

typedef void (*nitrix_warning_callback)(const nitrix_warning *warning, void *user);

/* Replaces the process-wide callback (default: one line on stderr); NULL restores the default. The strings live only
 * during the call. The callback may be called from any thread that calls nitrix, and must not call nitrix itself. */
NITRIX_API void nitrix_set_warning_callback(nitrix_warning_callback callback, void *user);

/* ---- Contexts --------------------------------------------------------------------------------------------------- */

/* What a group of calls shares: allocator, threads, memory budget. NULL stands for the process-wide default context.
 * A context may be used by several threads at once; it must outlive the calls that use it. */
typedef struct nitrix_context nitrix_context;

typedef struct nitrix_context_options {
    size_t size; /* sizeof(nitrix_context_options) */
    /* Scratch memory; both or neither. allocate returns 64-byte-aligned memory or NULL; called from any thread. */
    void *(*allocate)(size_t bytes, void *user);
    void (*release)(void *memory, void *user);
    /* The caller's thread pool: run body(i, closure) for every i in [0, count), each once, in any order, on any
     * threads, and return when all have returned. NULL: the library's own pool. */
    void (*parallel_for)(int count, void (*body)(int i, void *closure), void *closure, void *user);
    void *user;             /* handed to the callbacks above */
    int32_t threads;        /* most threads of one call; 0: NITRIX_NUM_THREADS, else all cores */
    uint64_t memory_budget; /* most scratch bytes of one call; 0: no limit */
} nitrix_context_options;

NITRIX_API nitrix_status nitrix_context_create(const nitrix_context_options *options, nitrix_context **context);
NITRIX_API void nitrix_context_destroy(nitrix_context *context);

/* ---- Options of one call ---------------------------------------------------------------------------------------- */

typedef enum nitrix_mode {
    NITRIX_MODE_DEFAULT = 0, /* NITRIX_MODE's, else ON */
    NITRIX_MODE_OFF = 1,     /* always the generic implementation (naive) */
    NITRIX_MODE_ON = 2,      /* the best variant whose tolerance is 0 */
    NITRIX_MODE_VERIFY = 3   /* beside the reference of its rounding class, bit for bit (docs/explain.md) */
} nitrix_mode;

/* Bits for nitrix_options.flags. */
#define NITRIX_REPRODUCIBLE 1u /* the fused rounding class on every target: same bits on every machine, may be slow */

typedef struct nitrix_options {
    size_t size;             /* sizeof(nitrix_options): how later versions know which fields the caller has */
    nitrix_context *context; /* NULL: the default context */
    const char *backend;     /* NULL or "auto" (then NITRIX_BACKEND decides), "cpu", "cuda", "naive" */
    const char *variant;     /* NULL, or the id of the one variant that must serve the call */
    nitrix_mode mode;
    uint32_t flags;
    int32_t threads; /* most threads of this call; 0: the context's */
    void *stream;    /* CUDA: the caller's stream */
    void *workspace; /* NULL, or at least nitrix_<op>_workspace_size bytes, 64-byte aligned, used instead of malloc */
    size_t workspace_size;
} nitrix_options;

/* clang-format off */
#define NITRIX_OPTIONS_INIT {sizeof(nitrix_options), NULL, NULL, NULL, NITRIX_MODE_DEFAULT, 0, 0, NULL, NULL, 0}
/* clang-format on */

/* ---- Memory for arrays ------------------------------------------------------------------------------------------ */

/* Any memory will do for the arrays of a call. This begins at a line of the cache, so that kernels can store large
 * results past the caches; of 4 MB and more large pages are asked for; and what is released from 1 MB on is kept for
 * the next of about its size, NITRIX_KEPT_MEMORY bytes of it at most (256 MB; 0: none), the latest: fresh pages can
 * take as long as the kernel that writes them. From any thread. Not initialised. NULL: there is not so much memory. */
NITRIX_API void *nitrix_allocate(size_t bytes);
#define NITRIX_LEAST_KEPT ((size_t)1 << 20) /* bytes: smaller memory malloc keeps by itself */

/* How many bytes such memory has: as many as were asked for, or a few more. */
NITRIX_API size_t nitrix_allocated_size(const void *memory);

/* Of nitrix_allocate alone. NULL is ignored. */
NITRIX_API void nitrix_release(void *memory);

/* ---- Index structures ------------------------------------------------------------------------------------------ */

/* The columns of a sparse matrix in ELL form, checked once: ops that are given nitrix_structure_indices() as their
 * indices do not check them again, walk the rows in an order that suits the cache, and find the transpose ready. Any
 * other array of indices is checked on every call. Results have the same bits either way. */
typedef struct nitrix_structure nitrix_structure;

/* indices: [..., rows, entries of a row], int32 or int64, copied; each below n_cols, a negative one is padding. */
NITRIX_API nitrix_status nitrix_structure_create(const DLTensor *indices, int64_t n_cols, nitrix_structure **structure);

/* Rows of different lengths: the indices of all entries, row after row, and how many each row has. Rows are computed in
 * sections of about as many entries: by ceil(log2(count)), or by the numbers in `buckets` (one for each row; NULL). */
NITRIX_API nitrix_status nitrix_structure_create_ragged(const DLTensor *indices, const DLTensor *counts,
                                                        const DLTensor *buckets, int64_t n_cols,
                                                        nitrix_structure **structure);

/* The structure's own copy, int32 and row-major, padding as -1; not to be written. Valid until it is destroyed. */
NITRIX_API const DLTensor *nitrix_structure_indices(const nitrix_structure *structure);

/* No call may be using it. NULL is ignored. */
NITRIX_API void nitrix_structure_destroy(nitrix_structure *structure);

/* ---- Asking --------------------------------------------------------------------------------------------------- */

/* An attribute of an op, as plain data: what a binding passes to the generic entry points below. */
typedef enum nitrix_attribute_kind {
    NITRIX_ATTRIBUTE_INT = 0,
    NITRIX_ATTRIBUTE_FLOAT = 1,
    NITRIX_ATTRIBUTE_STRING = 2,
    NITRIX_ATTRIBUTE_INTS = 3
} nitrix_attribute_kind;

typedef struct nitrix_attribute {
    const char *name;
    nitrix_attribute_kind kind;
    int64_t i; /* INT; for INTS the number of entries */
    double f;
    const char *s;
    const int64_t *ints;
} nitrix_attribute;

/* Any op by name: the arrays in the manifest's order, outputs last (a NULL entry leaves out an optional array).
 * Attributes that are not given take their defaults. Same checks and errors as the op's own function, which is a typed
 * wrapper of this one. */
NITRIX_API nitrix_status nitrix_call(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                     const nitrix_attribute *attributes, int32_t n_attributes,
                                     const nitrix_options *options);

/* The shape of output number `output` (from 0) of that call, from the inputs' shapes and the attributes: *ndim entries
 * of `shape`, which has room for 16. Data pointers may be NULL, and so may the entries of outputs in `arrays`. */
NITRIX_API nitrix_status nitrix_output_shape(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                             const nitrix_attribute *attributes, int32_t n_attributes, int32_t output,
                                             int64_t *shape, int32_t *ndim);

/* Scratch bytes that the call above would allocate at most with the same options (threads among them); computed from
 * shapes and strides alone, data pointers may be NULL. */
NITRIX_API nitrix_status nitrix_workspace_size(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                               const nitrix_attribute *attributes, int32_t n_attributes,
                                               const nitrix_options *options, size_t *bytes);

/* Which candidates the call would consider, and why each is taken or refused, as JSON (docs/explain.md). Nothing is
 * computed and data pointers may be NULL. Writes at most `capacity` bytes, always terminated; *needed (may be NULL)
 * receives the full size with the terminator. */
NITRIX_API nitrix_status nitrix_explain(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                        const nitrix_attribute *attributes, int32_t n_attributes,
                                        const nitrix_options *options, char *text, size_t capacity, size_t *needed);

/* The library as JSON: version, this machine's features, targets, ops, algebras, every variant with its id. Same
 * buffer convention. */
NITRIX_API nitrix_status nitrix_info(char *text, size_t capacity, size_t *needed);

/* Calls served so far in this process by each variant, as a JSON object {id: count}. Same buffer convention. */
NITRIX_API nitrix_status nitrix_counters(char *text, size_t capacity, size_t *needed);

/* The id of the variant that served the calling thread's latest successful call; "" before the first, "none" for a
 * call that a size of zero answered without any kernel. */
NITRIX_API const char *nitrix_last_variant(void);

#ifdef __cplusplus
}
#endif
#endif /* NITRIX_NITRIX_H */
