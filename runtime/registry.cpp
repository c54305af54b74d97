#include "registry.h"

#include <cstring>

namespace nitrix {

int find_op(const char *name) {
    for (int i = 0; i < n_ops; ++i)
        if (!std::strcmp(ops[i].name, name))
            return i;
    return -1;
}

int find_algebra(const char *name) {
    for (int i = 0; i < n_algebras; ++i)
        if (!std::strcmp(algebras[i].name, name))
            return i;
    return -1;
}

const Variant *find_variant(const char *id) {
    for (int i = 0; i < n_variants; ++i)
        if (!std::strcmp(variants[i].id, id))
            return &variants[i];
    return nullptr;
}

bool serves(int op, int algebra, DType dtype) {
    const auto has = [](uint32_t set, int bit) { return set >> bit & 1; };
    const int kind = static_cast<int>(dtype);
    if (algebra >= 0 && has(ops[op].storage_algebras, algebra) && has(ops[op].storage_dtypes, kind))
        return true;
    if (!ops[op].composition)
        return cell(op, algebra, dtype).count > 0;
    const uint32_t dtypes = ops[op].dtypes & (algebra < 0 ? ~0U : algebra_dtypes[algebra]);
    return (algebra < 0 ? !ops[op].has_algebra : has(ops[op].algebras, algebra)) && has(dtypes, kind);
}

const char *dtype_name(DType dtype) {
    static const char *const names[n_dtypes] = {"float32", "float64", "int32",    "int64",
                                                "uint8",   "float16", "bfloat16", "uint32"};
    return names[static_cast<int>(dtype)];
}

} // namespace nitrix
