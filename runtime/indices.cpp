#include "indices.h"

#include <climits>
#include <type_traits>

#include "error.h"
#include "structure.h"

namespace nitrix {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lower half of a number comes first");

// One pass without branches: an index is wrong where it is not negative and `last` minus it is.
template <typename T> bool are_valid(const T *indices, int64_t count, int64_t step, T last) {
    using Bits = std::make_unsigned_t<T>;
    Bits wrong = 0;
    const auto see = [&](T index) {
        const Bits x = static_cast<Bits>(index);
        wrong |= (static_cast<Bits>(last) - x) & ~x;
        if (sizeof(T) == 8) // below what the lower half can hold
            wrong |= x & (x - static_cast<Bits>(static_cast<T>(INT32_MIN)));
    };
    if (step == 1)
        for (int64_t i = 0; i < count; ++i)
            see(indices[i]);
    else
        for (int64_t i = 0; i < count; ++i)
            see(indices[i * step]);
    return !(wrong >> (sizeof(T) * CHAR_BIT - 1));
}

// body(first element, position) for every row of an array; rows that follow each other without a gap are one where
// `joined`. Stops when body gives false.
template <typename Body> void for_rows(const Array &a, bool joined, const Body &body) {
    const int last = a.rank - 1;
    int64_t count = a.shape[last], at[max_rank] = {};
    int outer = last;
    while (joined && outer > 0 && a.strides[last] == 1 && a.strides[outer - 1] == count)
        count *= a.shape[--outer];
    const char *data = a.data;
    for (;;) {
        if (!body(data, count, at))
            return;
        int d = outer - 1;
        for (; d >= 0; --d) {
            data += a.strides[d] * dtype_bytes(a.dtype);
            if (++at[d] < a.shape[d])
                break;
            data -= a.strides[d] * dtype_bytes(a.dtype) * a.shape[d];
            at[d] = 0;
        }
        if (d < 0)
            return;
    }
}

bool valid(const Array &a, const char *data, int64_t count, int64_t limit) {
    const int64_t step = a.strides[a.rank - 1];
    if (a.dtype == DType::i64)
        return are_valid(reinterpret_cast<const int64_t *>(data), count, step, limit - 1);
    // Beyond what 32 bits can hold, every index is below the limit.
    return limit > INT32_MAX ||
           are_valid(reinterpret_cast<const int32_t *>(data), count, step, static_cast<int32_t>(limit - 1));
}

} // namespace

void check_index_array(const Array &a, const std::string &where, int64_t limit, const std::string &dimension) {
    if (a.empty())
        return;
    bool good = true;
    for_rows(a, true,
             [&](const char *data, int64_t count, const int64_t *) { return good = valid(a, data, count, limit); });
    if (good)
        return;
    for_rows(a, false, [&](const char *data, int64_t count, const int64_t *at) {
        for (int64_t i = 0; i < count; ++i) {
            const char *const element = data + i * a.strides[a.rank - 1] * dtype_bytes(a.dtype);
            if (valid(a, element, 1, limit))
                continue;
            std::string message = where;
            message += ": element (";
            for (int d = 0; d + 1 < a.rank; ++d)
                message += std::to_string(at[d]) + ",";
            const int64_t index = a.dtype == DType::i64 ? *reinterpret_cast<const int64_t *>(element)
                                                        : *reinterpret_cast<const int32_t *>(element);
            message += std::to_string(i) + ") is " + std::to_string(index) + ", must be below " +
                       std::to_string(limit) + ", the size of ";
            message += dimension;
            refuse_value(message + "; a negative one is padding, down to -2147483648");
        }
        return true;
    });
}

Array narrowed(Array a) {
    if (a.dtype == DType::i64) {
        a.dtype = DType::i32;
        for (int d = 0; d < a.rank; ++d)
            a.strides[d] *= 2;
    }
    return a;
}

void check_indices(const Call &call) {
    const Op &op = *call.op;
    const int64_t limit = call.dims[op.indirect_axis];
    for (int i = 0; i < op.n_arguments; ++i) {
        const Array &a = call.arrays[i];
        if (op.arguments[i].role != Role::structure || !a.given)
            continue;
        const Structure *const structure = find_structure(a);
        if (!structure || structure->columns() > limit)
            check_index_array(a, std::string(op.name) + ": argument '" + op.arguments[i].name + "'", limit,
                              std::string("dimension '") + op.dims[op.indirect_axis] + "'");
    }
}

void narrow_indices(Call &call) {
    for (int i = 0; i < call.op->n_arguments; ++i)
        if (call.op->arguments[i].dtype == index_dtype && call.arrays[i].given)
            call.arrays[i] = narrowed(call.arrays[i]);
}

} // namespace nitrix
