#include "attributes.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "error.h"

namespace nitrix {

static std::string algebra_names(int op, DType dtype) {
    std::string names;
    for (int a = 0; a < n_algebras; ++a)
        if (serves(op, a, dtype))
            names += (names.empty() ? "" : ", ") + std::string(algebras[a].name);
    return names;
}

static std::string number_text(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", value);
    return text;
}

// One number of an attribute that is a number or several.
static void check_range(const Op &op, const Attribute &a, double value) {
    if (value < a.least || value > a.most)
        refuse_value(where(op, a.name) + "is " + number_text(value) + ", must be " +
                     (a.most == INFINITY ? "at least " + number_text(a.least)
                                         : "from " + number_text(a.least) + " to " + number_text(a.most)));
}

static void read_attribute(const Op &op, const Attribute &a, const nitrix_attribute &given, AttributeValue &value) {
    const bool one_of_several = a.kind == NITRIX_ATTRIBUTE_INTS && given.kind == NITRIX_ATTRIBUTE_INT;
    const bool whole = a.kind == NITRIX_ATTRIBUTE_FLOAT && given.kind == NITRIX_ATTRIBUTE_INT;
    if (given.kind != a.kind && !one_of_several && !whole)
        refuse_type(where(op, a.name) + "must be " + (a.kind == NITRIX_ATTRIBUTE_INT ? "an " : "a ") + a.type);
    switch (a.kind) {
    case NITRIX_ATTRIBUTE_INT:
        value.i = given.i;
        return check_range(op, a, static_cast<double>(given.i));
    case NITRIX_ATTRIBUTE_FLOAT:
        value.f = whole ? static_cast<double>(given.i) : given.f;
        return check_range(op, a, value.f);
    case NITRIX_ATTRIBUTE_STRING:
        if (given.s) // NULL: the default, as a function of C has no other way to say it
            value.s = given.s;
        return;
    case NITRIX_ATTRIBUTE_INTS:
        if (!one_of_several && given.i == 0) // the same
            return;
        if (!one_of_several && (given.i < 0 || !given.ints))
            refuse_value(where(op, a.name) + "is NULL or has a negative length");
        value.i = given.i;
        value.ints = one_of_several ? nullptr : given.ints;
        value.n = one_of_several ? 1 : given.i;
        for (int64_t at = 0; at < value.count(); ++at)
            check_range(op, a, static_cast<double>(value.entry(at)));
    }
}

static int find_attribute(const Op &op, const char *name) {
    for (int k = 0; name && k < op.n_attributes; ++k)
        if (!std::strcmp(op.attributes[k].name, name))
            return k;
    return -1;
}

const AttributeValue &attribute(const Call &call, const char *name) {
    return call.attributes[find_attribute(*call.op, name)];
}

void read_attributes(Call &call, const nitrix_attribute *attributes, int n) {
    const Op &op = *call.op;
    call.algebra = -1;
    if (n < 0 || (n > 0 && !attributes))
        refuse_value(std::string(op.name) + ": attributes is NULL");
    for (int k = 0; k < op.n_attributes; ++k)
        call.attributes[k] = op.attributes[k].initial;
    const char *semiring = nullptr;
    for (int i = 0; i < n; ++i) {
        const nitrix_attribute &a = attributes[i];
        if (op.has_algebra && a.name && !std::strcmp(a.name, "semiring")) {
            if (raw_enum(a.kind) != NITRIX_ATTRIBUTE_STRING)
                refuse_type(where(op, "semiring") + "must be a string");
            semiring = a.s;
            if (!semiring)
                refuse_value(where(op, "semiring") + unknown_name(nullptr, algebra_names(call.op_index, call.dtype)));
        } else if (const int k = find_attribute(op, a.name); k >= 0) {
            read_attribute(op, op.attributes[k], a, call.attributes[k]);
        } else {
            std::string known = op.has_algebra ? "semiring" : "";
            for (int k = 0; k < op.n_attributes; ++k)
                known += std::string(known.empty() ? "" : ", ") + op.attributes[k].name;
            refuse_value(std::string(op.name) + ": attribute: " + unknown_name(a.name, known));
        }
    }
    if (!op.has_algebra)
        return;
    if (!semiring)
        semiring = "real";
    call.algebra = find_algebra(semiring);
    if (call.algebra < 0)
        refuse_value(where(op, "semiring") + unknown_name(semiring, algebra_names(call.op_index, call.dtype)));
    for (int r = 0; r < op.n_refusals; ++r)
        if (!std::strcmp(op.refusals[r].algebra, semiring))
            refuse_type(where(op, "semiring") + "got '" + semiring + "': " + op.refusals[r].reason);
    if (!serves(call.op_index, call.algebra, call.dtype)) {
        const std::string served = algebra_names(call.op_index, call.dtype);
        std::string dtypes;
        for (int d = 0; d < n_dtypes; ++d)
            if (serves(call.op_index, call.algebra, static_cast<DType>(d)))
                dtypes += std::string(dtypes.empty() ? "" : ", ") + dtype_name(static_cast<DType>(d));
        refuse_type(std::string(op.name) + ": semiring '" + semiring + "' has no " + dtype_name(call.dtype) +
                    " form; with this dtype: " + (served.empty() ? "none" : served) +
                    "; with this semiring: " + (dtypes.empty() ? "none" : dtypes));
    }
}

} // namespace nitrix
