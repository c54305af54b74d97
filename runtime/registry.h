// The constant tables that the plan generates: ops, algebras, targets, and one row per compiled variant.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nitrix/nitrix.h"

namespace nitrix {

enum class DType : uint8_t { f32, f64, i32, i64, u8, f16, bf16, u32 };
constexpr int n_dtypes = 8;

enum class Role : uint8_t { input, output, residual, structure };

constexpr int max_core = 8;        // core dimensions of one array
constexpr int max_dims = 24;       // numbers that describe the shape of a call: core dimensions, then derived ones
constexpr int max_arguments = 16;  // arrays of one op
constexpr int max_attributes = 16; // of one op, its algebra aside

constexpr int any_dtype = -1;   // of an argument: the dtype of the call
constexpr int index_dtype = -2; // int32 or int64; a kernel sees int32

struct Argument {
    const char *name;
    const char *doc;
    Role role;
    int dtype; // a DType, any_dtype or index_dtype
    bool optional;
    int rank; // core dimensions
    int dims[max_core];
    int spatial;       // how many of the first ones are a "*spatial": a call of lower rank lacks the first of those
    int like;          // the input whose leading dimensions this output has; -1: the broadcast ones
    uint32_t algebras; // bit set of those that have it, left out by the others; 0: all have it
    bool in_lines;     // kernels take its rows from the beginning of the lines of memory in which they lie
};

// The value of an attribute; which member counts is a matter of its kind. One INT may stand for INTS.
struct AttributeValue {
    int64_t i;
    double f;
    const char *s;
    const int64_t *ints;
    int64_t n;

    int64_t count() const { return ints ? n : 1; }
    int64_t entry(int64_t at) const { return ints ? ints[at] : i; }
};

struct Attribute {
    const char *name;
    const char *type;
    const char *doc;
    nitrix_attribute_kind kind;
    AttributeValue initial;
    double least, most; // of a number, or of each of several
};

struct Call;

// Where a gufunc signature does not say it all: runtime/shapes has one for each shape function of the manifest.
struct ShapeRule {
    int (*spatial_rank)(const Call &call); // from attributes and the ranks of the inputs
    void (*extents)(Call &call); // call.dims has the inputs' dimensions; adds the outputs' and the derived ones
};

struct Call;
struct KernelContext;
struct Variant;

struct AlgebraRefusal {
    const char *algebra;
    const char *reason;
};

// An op that runtime/ops computes by calling other ops instead of a kernel of its own.
struct Composition {
    void (*run)(const Call &call);
    size_t (*workspace_bytes)(const Call &call); // at most, from shapes alone
};

struct Op {
    const char *name;  // semiring_matmul
    const char *kebab; // semiring-matmul
    const char *area;
    const char *doc;
    const char *signature;
    const Argument *arguments;
    int n_arguments;
    int n_inputs;
    const char *const *dims;
    int n_dims;
    const Attribute *attributes;
    int n_attributes;
    bool has_algebra;
    double (*flops)(const int64_t *dims); // of one item of the batch; nullptr: not stated
    bool internal;                        // a helper of another op, not served by name
    // Of an op that orchestrates kernels (runtime/ops/<op>.cpp): runs after the variant, with the scratch bytes of the
    // second at most. nullptr: nothing to do.
    void (*finish)(const Call &call, const Variant &variant, KernelContext &kernel);
    int64_t (*finish_bytes)(const Call &call, const Variant &variant);
    const AlgebraRefusal *refusals;
    int n_refusals;
    const Composition *composition; // nullptr: variants serve the op
    uint32_t algebras, dtypes;      // bit sets of what the manifest gives it
    // Of a planned op: computes the call by helpers of the variant's target, or gives false to leave it to the variant.
    // The second: all scratch bytes of that, or not_served.
    bool (*serve)(const Call &call, const Variant &variant, KernelContext &kernel);
    int64_t (*serve_bytes)(const Call &call, const Variant &variant);
    int indirect_axis;      // the dimension that arguments of role structure hold indices into; -1: none
    const ShapeRule *shape; // nullptr: the signature is the rule
    int n_derived;          // dims after the named core dimensions: the kernel takes them as int32 scalars
    uint32_t storage_algebras, storage_dtypes; // bit sets: calls in these are computed in float32 (runtime/storage.h)
    int forward; // the op whose vector-Jacobian product this is, its first arguments that op's; -1: none
};

// How a result passes its gradient on to its terms (Derivative in generators/core/algebra.h).
enum class Passing : uint8_t {
    none,   // it has no gradient
    linear, // by the other operand: what a product in the same algebra gives
    winner, // as it is, to the term that the result is
    scaled, // after a division by the result, or another weight that the terms share
    each,   // by a weight of each term's own
};

struct Algebra {
    const char *name;
    bool strict;
    double identity; // the monoid's neutral element after finalize: the value of an empty reduction
    bool has_annihilator;
    double annihilator;
    uint64_t unresolved[2]; // bits of what its contraction leaves for the streaming form (float32, float64); 0: nothing
    int components;         // of the monoid's state
    bool rounds;            // differently with and without fused multiply-add
    Passing passing;        // of gradients
};

struct Target {
    const char *name;
    const char *rounding; // rounding class
    const char *const *cpu_features;
    int n_cpu_features;
    int priority;
    bool reference; // runs only when named, and as what verify compares its rounding class with
};

using Kernel = int (*)(void **arguments);

struct Variant {
    const char *id;
    Kernel kernel;
    int16_t op, algebra, target; // algebra: -1 where the op has none
    DType dtype;
    int priority;
    const char *condition;                // of its shape class, as text; nullptr: none
    bool (*applies)(const int64_t *dims); // nullptr: always
    // Most bytes of scratch memory that one call holds at once on that many threads; negative: not known. Bit i of
    // strided: argument i has no unit inner stride.
    int64_t (*scratch_bytes)(const int64_t *dims, int64_t batch, int64_t threads, int64_t strided);
    double tolerance; // largest relative error against the reference that is allowed; only 0 is chosen unless named
};

// The rows of one (op, algebra, dtype), best first.
struct Cell {
    uint16_t first, count;
};

extern const Op ops[];
extern const int n_ops;
extern const Algebra algebras[];
extern const int n_algebras;
extern const uint32_t algebra_dtypes[]; // bit sets of what each is defined on
extern const Target targets[];
extern const int n_targets;
extern const Variant variants[];
extern const int n_variants;

Cell cell(int op, int algebra, DType dtype);
bool serves(int op, int algebra, DType dtype); // whether anything computes the op with these
int find_op(const char *name);
int find_algebra(const char *name); // -1 when unknown
const Variant *find_variant(const char *id);

const char *dtype_name(DType dtype);
constexpr int dtype_bytes(DType dtype) {
    constexpr int8_t bytes[n_dtypes] = {4, 8, 4, 8, 1, 2, 2, 4};
    return bytes[static_cast<int>(dtype)];
}

} // namespace nitrix
