#include "orchestrate.h"

#include <algorithm>

#include "error.h"
#include "pack.h"
#include "run.h"
#include "scratch.h"

namespace nitrix {

Orchestrator::Orchestrator(const Call &call, bool dry) : dry(dry), call_(call) {
    install_halide_hooks();
    kernel_.context = call.options.context;
    kernel_.threads = call.options.threads; // and no workspace: that is carved up here
}

Orchestrator::~Orchestrator() {
    for (void *block : blocks_)
        scratch_release(kernel_, block);
}

Array Orchestrator::scratch(DType dtype, const int64_t *shape, int rank) {
    Array array;
    array.data = nullptr; // in a dry run it stays so
    array.given = true;
    array.dtype = dtype;
    array.rank = rank;
    std::copy_n(shape, rank, array.shape);
    const int64_t elements = make_compact(array);
    // Whole cache lines, and room for a vector load that starts at the last element.
    const size_t bytes = static_cast<size_t>(elements) * static_cast<size_t>(dtype_bytes(dtype));
    const size_t block = (bytes + 128 + 63) / 64 * 64;
    own_bytes_ += block;
    if (dry)
        return array;
    if (call_.options.workspace && workspace_used_ + block <= call_.options.workspace_size) {
        array.data = call_.options.workspace + workspace_used_;
        workspace_used_ += block;
        return array;
    }
    void *memory = scratch_allocate(kernel_, bytes);
    if (!memory)
        refuse(NITRIX_ERROR_MEMORY, std::string(call_.op->name) + ": out of scratch memory (" + std::to_string(bytes) +
                                        " bytes); the output is incomplete");
    blocks_.push_back(memory);
    array.data = static_cast<char *>(memory);
    return array;
}

void Orchestrator::call(const char *op, int algebra, const Array *arrays, const AttributeValue *attributes,
                        bool whole) {
    Call inner;
    inner.op_index = find_op(op);
    inner.op = &ops[inner.op_index];
    inner.algebra = algebra;
    inner.dtype = dtype_of(*inner.op, arrays);
    inner.has_data = !dry;
    std::copy(arrays, arrays + inner.op->n_arguments, inner.arrays);
    for (int i = 0; i < inner.op->n_attributes; ++i)
        inner.attributes[i] = attributes ? attributes[i] : inner.op->attributes[i].initial;
    bind_shapes(inner);
    inner.options = call_.options;
    if (const uint64_t budget = call_.options.budget) // what this op holds itself, its parts cannot have; 0 is no limit
        inner.options.budget = budget > own_bytes_ ? budget - own_bytes_ : 1;
    if (inner.options.variant && inner.options.variant->op != inner.op_index) // it is the main step's
        inner.options.variant = nullptr;
    if (!whole && inner.options.mode == NITRIX_MODE_VERIFY)
        inner.options.mode = NITRIX_MODE_ON;
    if (dry) {
        kernel_bytes_ = std::max(kernel_bytes_, workspace_bytes(inner));
        return;
    }
    if (inner.options.workspace) {
        inner.options.workspace += workspace_used_;
        inner.options.workspace_size -= workspace_used_;
    }
    run(inner);
}

Array Orchestrator::compact(const Array &array) {
    int last = array.rank - 1;
    while (last >= 0 && array.shape[last] <= 1)
        --last;
    if (last < 0 || array.strides[last] == 1)
        return array;
    const Array copy = scratch(array.dtype, array.shape, array.rank);
    if (!dry)
        copy_elements(copy, array);
    return copy;
}

// As stacks of matrices: without dimensions of one element where there are more than two, with such where there are
// fewer.
static void as_matrices(Array &a, Array &b) {
    int rank = 0;
    for (int d = 0; d < a.rank; ++d) {
        if (a.shape[d] == 1 && a.rank - d + rank > 2)
            continue;
        for (Array *each : {&a, &b}) {
            each->shape[rank] = each->shape[d];
            each->strides[rank] = each->strides[d];
        }
        ++rank;
    }
    for (; rank < 2; ++rank)
        for (Array *each : {&a, &b}) {
            std::copy_backward(each->shape, each->shape + rank, each->shape + rank + 1);
            std::copy_backward(each->strides, each->strides + rank, each->strides + rank + 1);
            each->shape[0] = 1;
            each->strides[0] = 0;
        }
    a.rank = b.rank = rank;
}

// update(x, y) for every element x of one array and y of the other.
template <typename T, typename Update>
static void each_pair(Orchestrator &o, Array to, Array from, const Update &update) {
    as_matrices(to, from);
    constexpr int64_t rows_of_task = 64;
    const int last = to.rank - 1, row = last - 1;
    const int64_t rows = to.shape[row], columns = to.shape[last], x_step = to.strides[last],
                  y_step = from.strides[last];
    const int64_t tasks = (rows + rows_of_task - 1) / rows_of_task; // of a matrix
    int64_t matrices = 1;
    for (int d = 0; d < row; ++d)
        matrices *= to.shape[d];
    o.parallel(matrices * tasks, [&](int64_t at) {
        int64_t matrix = at / tasks;
        const int64_t first = at % tasks * rows_of_task;
        T *x = reinterpret_cast<T *>(to.data) + first * to.strides[row];
        const T *y = reinterpret_cast<const T *>(from.data) + first * from.strides[row];
        for (int d = row - 1; d >= 0; --d) {
            x += matrix % to.shape[d] * to.strides[d];
            y += matrix % to.shape[d] * from.strides[d];
            matrix /= to.shape[d];
        }
        for (int64_t j = first; j < std::min(rows, first + rows_of_task); ++j) {
            if (x_step == 1 && y_step == 1) // the compiler vectorises it
                for (int64_t i = 0; i < columns; ++i)
                    update(x[i], y[i]);
            else
                for (int64_t i = 0; i < columns; ++i)
                    update(x[i * x_step], y[i * y_step]);
            x += to.strides[row];
            y += from.strides[row];
        }
    });
}

template <typename Update>
static void each_pair(Orchestrator &o, const Array &to, const Array &from, const Update &update) {
    if (to.dtype == DType::f64)
        each_pair<double>(o, to, from, update);
    else
        each_pair<float>(o, to, from, update);
}

void Orchestrator::add(const Array &to, const Array &from) {
    each_pair(*this, to, from, [](auto &x, auto y) { x += y; });
}

void Orchestrator::multiply(const Array &to, const Array &from) {
    each_pair(*this, to, from, [](auto &x, auto y) { x *= y; });
}

Array transposed(Array a) {
    std::swap(a.shape[a.rank - 1], a.shape[a.rank - 2]);
    std::swap(a.strides[a.rank - 1], a.strides[a.rank - 2]);
    return a;
}

Array last_dimensions(Array a, int count) {
    for (int d = 0; d < count; ++d) {
        a.shape[d] = a.shape[a.rank - count + d];
        a.strides[d] = a.strides[a.rank - count + d];
    }
    a.rank = count;
    return a;
}

Array block_of(Array matrix, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    matrix.shape[0] = rows;
    matrix.shape[1] = columns;
    if (matrix.data)
        matrix.data += (row * matrix.strides[0] + column * matrix.strides[1]) * dtype_bytes(matrix.dtype);
    return matrix;
}

BroadcastSum::BroadcastSum(const Call &call, const Array &operand, int core) : rank_(call.batch_rank) {
    const Array own = expand(operand, core);
    for (int d = 0; d < rank_; ++d) {
        sizes_[d] = call.batch[d];
        summed_[d] = own.shape[d] == 1;
        (summed_[d] ? terms_ : items_) *= sizes_[d];
    }
}

Array BroadcastSum::expand(const Array &a, int core) const {
    Array out = a;
    const int missing = rank_ + core - a.rank;
    out.rank = rank_ + core;
    for (int d = 0; d < out.rank; ++d) {
        out.shape[d] = d < missing ? 1 : a.shape[d - missing];
        out.strides[d] = d < missing ? 0 : a.strides[d - missing];
    }
    return out;
}

void BroadcastSum::cut(Array &a, int64_t index, bool summed) const {
    for (int d = rank_ - 1; d >= 0; --d) {
        if (summed_[d] != summed)
            continue;
        if (a.shape[d] > 1 && a.data)
            a.data += index % sizes_[d] * a.strides[d] * dtype_bytes(a.dtype);
        a.shape[d] = 1;
        index /= sizes_[d];
    }
}

Array BroadcastSum::term(const Array &a, int core, int64_t index) const {
    Array out = expand(a, core);
    cut(out, index, true);
    return out;
}

Array BroadcastSum::item_of_term(const Array &a, int core, int64_t item, int64_t index) const {
    Array out = term(a, core, index);
    cut(out, item, false);
    return out;
}

} // namespace nitrix
