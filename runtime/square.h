// What powers and closures of square matrices share: units on the diagonal, and sums of matrices.
#pragma once

#include <cstring>

#include "orchestrate.h"

namespace nitrix {

// The neutral element of a strict algebra's combine.
inline double unit_of(int algebra) {
    const char *const name = algebras[algebra].name;
    return !std::strcmp(name, "real") || !std::strcmp(name, "boolean") ? 1 : 0;
}

// The diagonal of square matrices as matrices of one column.
inline Array diagonal_of(Array a) {
    a.strides[a.rank - 2] += a.strides[a.rank - 1];
    a.shape[a.rank - 1] = 1;
    a.strides[a.rank - 1] = 1;
    return a;
}

// to := left + right, in an algebra whose state has one component.
inline void merge_states(Orchestrator &o, int algebra, const Array &left, const Array &right, const Array &to) {
    Array none;
    none.given = false;
    o.call("semiring_matmul_merge", algebra, {left, none, right, none, to, none});
}

} // namespace nitrix
