#include "verify.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "error.h"
#include "reproducer.h"
#include "run.h"

namespace nitrix {

const Variant *reference_of(const Variant &variant, const Call &call) {
    const Cell rows = cell(variant.op, variant.algebra, variant.dtype);
    for (int r = rows.first + rows.count; r-- > rows.first;) {
        const Target &target = targets[variants[r].target];
        if ((target.reference || target.priority == 0) &&
            !std::strcmp(target.rounding, targets[variant.target].rounding) &&
            (!variants[r].applies || variants[r].applies(call.dims)))
            return &variants[r];
    }
    return nullptr;
}

namespace {

// Reads and walks an array in the order of its indices.
class Walk {
public:
    explicit Walk(const Array &array) : array_(array), at_(array.data) { std::fill_n(index_, array.rank, 0); }
    const char *element() const { return at_; }
    const int64_t *index() const { return index_; }
    bool next() {
        const int64_t size = dtype_bytes(array_.dtype);
        for (int d = array_.rank - 1; d >= 0; --d) {
            at_ += array_.strides[d] * size;
            if (++index_[d] < array_.shape[d])
                return true;
            at_ -= array_.strides[d] * size * array_.shape[d];
            index_[d] = 0;
        }
        return false;
    }

private:
    const Array &array_;
    const char *at_;
    int64_t index_[max_rank];
};

double value_of(const char *element, DType dtype) {
    float f = 0;
    double d = 0;
    if (dtype == DType::f32)
        std::memcpy(&f, element, sizeof f);
    else if (dtype == DType::f64)
        std::memcpy(&d, element, sizeof d);
    return dtype == DType::f32 ? f : d;
}

// NaNs are one value, whatever their bits; -0 and +0 are two.
bool same_element(const char *x, const char *y, DType dtype) {
    if (!std::memcmp(x, y, static_cast<size_t>(dtype_bytes(dtype))))
        return true;
    return std::isnan(value_of(x, dtype)) && std::isnan(value_of(y, dtype));
}

std::string element_text(const char *element, DType dtype) {
    std::string bits;
    char text[40];
    for (int i = dtype_bytes(dtype); i-- > 0;) {
        std::snprintf(text, sizeof text, "%02x", static_cast<unsigned char>(element[i]));
        bits += text;
    }
    if (dtype != DType::f32 && dtype != DType::f64)
        return "0x" + bits;
    std::snprintf(text, sizeof text, "%.17g", value_of(element, dtype));
    return std::string(text) + " (0x" + bits + ")";
}

// "C[0, 3] is 1 (0x...), the reference has 2 (0x...)", or "" where all elements agree.
std::string first_difference(const Array &got, const Array &expected, const char *name) {
    Walk x(got), y(expected);
    do {
        if (same_element(x.element(), y.element(), got.dtype))
            continue;
        std::string at;
        for (int d = 0; d < got.rank; ++d)
            at += (d ? ", " : "") + std::to_string(x.index()[d]);
        return std::string(name) + "[" + at + "] is " + element_text(x.element(), got.dtype) + ", the reference has " +
               element_text(y.element(), got.dtype);
    } while (x.next() && y.next());
    return "";
}

} // namespace

void run_verified(const Call &call, const Variant &variant) {
    const Variant *reference = reference_of(variant, call);
    if (!reference)
        refuse(NITRIX_ERROR_UNSUPPORTED, std::string(variant.id) +
                                             ": mode verify: this build has no reference of the " +
                                             targets[variant.target].rounding + " rounding class");
    run_variant(call, variant);
    if (reference == &variant)
        return;
    Call beside = call;
    beside.options.threads = 1;
    beside.options.workspace = nullptr;
    beside.options.workspace_size = 0;
    std::vector<std::vector<char>> memory;
    for (int o = call.op->n_inputs; o < call.op->n_arguments; ++o) {
        Array &a = beside.arrays[o];
        if (!a.given)
            continue;
        int64_t step = 1;
        for (int d = a.rank - 1; d >= 0; --d) {
            a.strides[d] = step;
            step *= a.shape[d];
        }
        memory.emplace_back(static_cast<size_t>(step * dtype_bytes(a.dtype)));
        a.data = memory.back().data();
    }
    run_variant(beside, *reference);
    for (int o = call.op->n_inputs; o < call.op->n_arguments; ++o) {
        if (!call.arrays[o].given)
            continue;
        const std::string difference = first_difference(call.arrays[o], beside.arrays[o], call.op->arguments[o].name);
        if (!difference.empty())
            refuse(NITRIX_ERROR_VERIFY, std::string(variant.id) + " differs from " + reference->id + ": " + difference +
                                            "; the output holds what the variant computed. To reproduce:\n" +
                                            reproducer(call, variant));
    }
}

} // namespace nitrix
