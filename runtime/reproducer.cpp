#include "reproducer.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace nitrix {

namespace {

struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
};

// Elements in the order given, which must visit all of them; version 1.0 of the format.
bool save(const std::string &path, const Array &a, const int *order) {
    const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "wb"));
    if (!file)
        return false;
    static const char *const types[n_dtypes] = {"<f4", "<f8", "<i4", "<i8", "|u1", "<f2", "<u2", "<u4"};
    int64_t shape[max_rank], index[max_rank] = {};
    for (int d = 0; d < a.rank; ++d)
        shape[d] = a.shape[order[d]];
    std::string header = std::string("{'descr': '") + (a.is_bool ? "|b1" : types[static_cast<int>(a.dtype)]) +
                         "', 'fortran_order': False, 'shape': " + shape_text(shape, a.rank) + ", }";
    header.resize((10 + header.size() + 64) / 64 * 64 - 11, ' ');
    header += '\n';
    const unsigned char start[] = {0x93,
                                   'N',
                                   'U',
                                   'M',
                                   'P',
                                   'Y',
                                   1,
                                   0,
                                   static_cast<unsigned char>(header.size() & 255),
                                   static_cast<unsigned char>(header.size() >> 8)};
    bool good = std::fwrite(start, sizeof start, 1, file.get()) == 1 &&
                std::fwrite(header.data(), header.size(), 1, file.get()) == 1;
    const auto size = static_cast<size_t>(dtype_bytes(a.dtype));
    for (const char *at = a.data; good;) {
        good = std::fwrite(at, size, 1, file.get()) == 1;
        int d = a.rank - 1;
        for (; d >= 0; --d) {
            const int64_t step = std::abs(a.strides[order[d]]) * static_cast<int64_t>(size);
            at += a.strides[order[d]] < 0 ? -step : step;
            if (++index[d] < shape[d])
                break;
            at -= (a.strides[order[d]] < 0 ? -step : step) * shape[d];
            index[d] = 0;
        }
        if (d < 0)
            break;
    }
    return good;
}

std::string lower(const char *name) {
    std::string text = name;
    for (char &c : text)
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

// The line that loads an input with its dimensions in the order in memory that the caller's had.
std::string load_line(const Array &a, const std::string &name, const std::string &folder) {
    int order[max_rank] = {}, back[max_rank] = {};
    for (int d = 0; d < a.rank; ++d)
        order[d] = d;
    std::stable_sort(order, order + a.rank,
                     [&](int x, int y) { return std::abs(a.strides[x]) > std::abs(a.strides[y]); });
    for (int d = 0; d < a.rank; ++d)
        back[order[d]] = d;
    const std::string path = folder + "/" + name + ".npy";
    if (!save(path, a, order))
        return "# could not write " + path + "\n";
    std::string line = name + " = numpy.load(\"" + path + "\")";
    if (!std::is_sorted(back, back + a.rank)) {
        line += ".transpose(";
        for (int d = 0; d < a.rank; ++d)
            line += (d ? ", " : "") + std::to_string(back[d]);
        line += ")";
    }
    return line + "\n";
}

} // namespace

// name=value for an attribute that is not the default; pads as Python's padding takes them.
static std::string attribute_text(const Attribute &a, const AttributeValue &value) {
    std::string text;
    switch (a.kind) {
    case NITRIX_ATTRIBUTE_INT:
        return value.i == a.initial.i ? "" : std::string(a.name) + "=" + std::to_string(value.i) + ", ";
    case NITRIX_ATTRIBUTE_FLOAT: {
        char number[40];
        std::snprintf(number, sizeof number, "%.17g", value.f);
        return value.f == a.initial.f ? "" : std::string(a.name) + "=" + number + ", ";
    }
    case NITRIX_ATTRIBUTE_STRING:
        return !std::strcmp(value.s, a.initial.s) ? "" : std::string(a.name) + "=\"" + value.s + "\", ";
    case NITRIX_ATTRIBUTE_INTS:
        break;
    }
    if (value.ints == a.initial.ints && value.n == a.initial.n)
        return "";
    const bool pairs = !std::strcmp(a.name, "pads");
    for (int64_t i = 0; i < value.count(); ++i)
        text += (pairs && i % 2 == 0 ? "(" : "") + std::to_string(value.entry(i)) + (pairs && i % 2 ? ")" : "") + ", ";
    return std::string(pairs ? "padding" : a.name) + "=[" + text + "], ";
}

// Where a state begins that the function takes as a tuple: its components have the names x, x_2, ...
static bool is_state(const Op &op, int argument) {
    const std::string second = std::string(op.arguments[argument].name) + "_2";
    for (int i = 0; i < op.n_inputs; ++i)
        if (op.arguments[i].name == second)
            return true;
    return false;
}

std::string reproducer(const Call &call, const Variant &variant) {
    const char *base = std::getenv("TMPDIR");
    std::string folder = std::string(base && *base ? base : "/tmp") + "/nitrix-verify-XXXXXX";
    if (!mkdtemp(folder.data()))
        return "# could not make a folder like " + folder + " for the inputs";
    std::string text = "import numpy, nitrix\n", names;
    for (int i = 0; i < call.op->n_inputs; ++i) {
        if (!call.arrays[i].given)
            continue;
        const std::string name = lower(call.op->arguments[i].name);
        text += load_line(as_given(call, i), name, folder);
        const bool begins = is_state(*call.op, i), inside = call.op->arguments[i].algebras != 0;
        const bool more = i + 1 < call.op->n_inputs && call.op->arguments[i + 1].algebras && call.arrays[i + 1].given;
        names += (begins ? "(" : "") + name + ", " + ((begins || inside) && !more ? "), " : "");
    }
    text += std::string("nitrix.") + call.op->area + "." + call.op->name + "(" + names;
    if (call.algebra >= 0)
        text += std::string("semiring=\"") + call.algebra_name() + "\", ";
    for (int i = 0; i < call.op->n_attributes; ++i)
        text += attribute_text(call.op->attributes[i], call.attributes[i]);
    return text + "threads=" + std::to_string(call.options.threads) + ", variant=\"" + variant.id +
           "\", mode=\"verify\")";
}

} // namespace nitrix
