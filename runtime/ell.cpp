#include "ell.h"

#include <algorithm>
#include <cstring>

#include "error.h"

namespace nitrix {

bool in_one_row(const Array &matrix) {
    const int64_t m = matrix.shape[matrix.rank - 2], k = matrix.shape[matrix.rank - 1];
    const int64_t down = matrix.strides[matrix.rank - 2], across = matrix.strides[matrix.rank - 1];
    return (k <= 1 || across == 1) && (m <= 1 || down == k);
}

Array as_row(const Array &matrix) {
    Array row = matrix;
    row.rank = 1;
    row.shape[0] = matrix.shape[matrix.rank - 2] * matrix.shape[matrix.rank - 1];
    row.strides[0] = 1;
    return row;
}

Array copy_to_row(const Array &matrix, char *memory) {
    Array row = as_row(matrix);
    row.data = memory;
    const size_t size = static_cast<size_t>(dtype_bytes(matrix.dtype));
    const int64_t *const shape = matrix.shape + matrix.rank - 2, *const strides = matrix.strides + matrix.rank - 2;
    for (int64_t i = 0; i < shape[0]; ++i)
        for (int64_t k = 0; k < shape[1]; ++k, memory += size)
            std::memcpy(memory, matrix.data + (i * strides[0] + k * strides[1]) * static_cast<int64_t>(size), size);
    return row;
}

static Array view(const int32_t *data, int64_t rows, int64_t columns, int rank) {
    Array a;
    a.data = reinterpret_cast<char *>(const_cast<int32_t *>(data)); // kernels read it
    a.dtype = DType::i32;
    a.given = true;
    a.is_bool = false;
    a.rank = rank;
    a.shape[0] = rows;
    a.strides[0] = rank == 1 ? 1 : columns;
    a.shape[1] = columns;
    a.strides[1] = 1;
    return a;
}

Array section_rows(const Plan &plan, const Plan::Section &section) {
    return view(plan.rows.data() + section.row, section.rows, 0, 1);
}

Array section_slots(const Plan &plan, const Plan::Section &section) {
    return view(plan.slots.data() + section.entry, section.rows, section.side_by_side ? 1 : section.depth, 2);
}

Array section_indices(const Plan &plan, const Plan::Section &section) {
    Array a = view(plan.indices.data() + section.index, section.rows, section.depth, 2);
    a.strides[0] = section.apart;
    return a;
}

static bool needs(const Target &target, const char *feature) {
    return std::any_of(target.cpu_features, target.cpu_features + target.n_cpu_features,
                       [&](const char *needed) { return !std::strcmp(needed, feature); });
}

// Eight vectors. With 16 registers only REAL has them; SSE4.1, LOG and truth values gain nothing by tiles.
int64_t columns_of_tile(int algebra, DType dtype, const Target &target) {
    const Algebra &a = algebras[algebra];
    const int64_t vector = needs(target, "avx512f")                                ? 64
                           : needs(target, "avx2") && a.passing == Passing::linear ? 32
                                                                                   : 0;
    return vector && a.components == 1 && dtype != DType::u8 ? 8 * vector / dtype_bytes(dtype) : INT64_MAX;
}

Plans::Plans(Orchestrator &o, const Call &call, const Array &indices, int64_t n, bool transposed)
    : n_(n), transposed_(transposed), structure_(o.dry ? nullptr : find_structure(indices)) {
    const int64_t m = indices.shape[indices.rank - 2], k = indices.shape[indices.rank - 1];
    if (!can_plan(m, k, n))
        refuse(NITRIX_ERROR_UNSUPPORTED, std::string(call.op->name) + ": " + std::to_string(m) + " rows of " +
                                             std::to_string(k) + " entries: must be below 2147483648 in all");
    if (o.dry) { // the largest that one can be: a section of one entry of padding in each row, and all entries
        made_.emplace();
        made_->sections.push_back({0, transposed ? n : m, 0, 1, 0, 1, true});
        const int64_t bytes = 4 * (2 * 2 * m * k + 3 * (n + m)) + 8 * (n + m + 1) + 8 * m * k;
        o.scratch(DType::u8, &bytes, 1);
    }
}

const Plan &Plans::of(const Array &item) {
    if (structure_ && structure_->tensor().ndim == 2) {
        if (!transposed_)
            return structure_->by_row();
        if (structure_->columns() == n_)
            return structure_->transposed();
    }
    if (!made_ || (item.data && made_for_ != item.data)) {
        Array matrix = item;
        matrix.rank = 2;
        std::copy(item.shape + item.rank - 2, item.shape + item.rank, matrix.shape);
        std::copy(item.strides + item.rank - 2, item.strides + item.rank, matrix.strides);
        made_ = make_plan(transposed_ ? lists_by_column(matrix, n_) : lists_by_row(matrix), {});
        made_for_ = item.data;
    }
    return *made_;
}

RowOfValues::RowOfValues(Orchestrator &o, const Array &values) : dry_(o.dry), copies_(!in_one_row(values)) {
    const int64_t elements = values.shape[values.rank - 2] * values.shape[values.rank - 1];
    if (copies_)
        copy_ = o.scratch(values.dtype, &elements, 1);
}

Array RowOfValues::of(const Array &item) {
    if (!copies_)
        return as_row(item);
    return dry_ ? copy_ : copy_to_row(item, copy_.data);
}

OutputInParts::OutputInParts(Orchestrator &o, const Array &output)
    : dry_(o.dry), copies_(output.shape[output.rank - 1] > 1 && output.strides[output.rank - 1] != 1) {
    if (copies_)
        copy_ = o.scratch(output.dtype, output.shape + output.rank - 2, 2);
}

Array OutputInParts::of(const Array &item) const {
    if (!copies_)
        return item;
    Array out = copy_;
    out.rank = item.rank;
    for (int d = 0; d < item.rank; ++d) {
        const int own = d - (item.rank - 2);
        out.shape[d] = own < 0 ? 1 : copy_.shape[own];
        out.strides[d] = own < 0 ? 0 : copy_.strides[own];
    }
    return out;
}

void OutputInParts::store(const Array &item) const {
    if (!copies_ || dry_)
        return;
    const int64_t *const shape = item.shape + item.rank - 2, *const strides = item.strides + item.rank - 2;
    const size_t size = static_cast<size_t>(dtype_bytes(item.dtype));
    const char *from = copy_.data;
    for (int64_t i = 0; i < shape[0]; ++i)
        for (int64_t j = 0; j < shape[1]; ++j, from += size)
            std::memcpy(item.data + (i * strides[0] + j * strides[1]) * static_cast<int64_t>(size), from, size);
}

Array with_rank_of(const Array &matrix, const Array &like) {
    Array out = matrix;
    out.rank = like.rank;
    for (int d = 0; d < like.rank; ++d) {
        const int own = d - (like.rank - matrix.rank);
        out.shape[d] = own < 0 ? 1 : matrix.shape[own];
        out.strides[d] = own < 0 ? 0 : matrix.strides[own];
    }
    return out;
}

Array unread_matrix(const Array &element, const int64_t *shape) {
    Array out = element;
    out.rank = 2;
    for (int d = 0; d < 2; ++d) {
        out.shape[d] = shape[d];
        out.strides[d] = 0;
    }
    return out;
}

double value_of(const Array &scalar) {
    return scalar.dtype == DType::f64 ? *reinterpret_cast<const double *>(scalar.data)
                                      : static_cast<double>(*reinterpret_cast<const float *>(scalar.data));
}

template <typename T>
static void divide_typed(Orchestrator &o, const Array &to, const Array &above, const Array &below) {
    const int64_t *const step = to.strides + to.rank - 2, *const shape = to.shape + to.rank - 2;
    const int64_t *const x_step = above.strides + above.rank - 2, *const y_step = below.strides + below.rank - 2;
    o.parallel(shape[0], [&](int64_t i) {
        T *const q = reinterpret_cast<T *>(to.data) + i * step[0];
        const T *const x = reinterpret_cast<const T *>(above.data) + i * x_step[0];
        const T *const y = reinterpret_cast<const T *>(below.data) + i * y_step[0];
        for (int64_t j = 0; j < shape[1]; ++j)
            q[j * step[1]] = y[j * y_step[1]] == 0 ? 0 : x[j * x_step[1]] / y[j * y_step[1]];
    });
}

void divide(Orchestrator &o, const Array &to, const Array &above, const Array &below) {
    if (o.dry)
        return;
    if (to.dtype == DType::f64)
        divide_typed<double>(o, to, above, below);
    else
        divide_typed<float>(o, to, above, below);
}

} // namespace nitrix
