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
    if (!ops[op].composition)
        return cell(op, algebra, dtype).count > 0 ||
               (algebra >= 0 &&
                ops[op].storage_algebras >> algebra & ops[op].storage_dtypes >> static_cast<int>(dtype) & 1);
    const uint32_t dtypes = ops[op].dtypes & (algebra < 0 ? ~0U : algebra_dtypes[algebra]);
    return (algebra < 0 ? !ops[op].has_algebra : ops[op].algebras >> algebra & 1) &&
           (dtypes >> static_cast<int>(dtype) & 1);
}

const char *dtype_name(DType dtype) {
    static const char *const names[n_dtypes] = {"float32", "float64", "int32", "int64", "uint8", "float16", "bfloat16"};
    return names[static_cast<int>(dtype)];
}

} // namespace nitrix
