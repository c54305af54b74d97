// Just enough JSON to answer nitrix_info, nitrix_explain and nitrix_counters.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>

namespace nitrix {

class Json {
public:
    Json &open(char bracket) {
        separate();
        text_ += bracket;
        first_ = true;
        return *this;
    }
    Json &close(char bracket) {
        text_ += bracket;
        first_ = false;
        return *this;
    }
    Json &key(const std::string &name) {
        separate();
        quote(name);
        text_ += ": ";
        first_ = true; // no comma before the value
        return *this;
    }
    Json &value(const std::string &s) {
        separate();
        quote(s);
        return *this;
    }
    Json &value(const char *s) { return value(std::string(s)); }
    Json &value(bool b) {
        separate();
        text_ += b ? "true" : "false";
        return *this;
    }
    Json &value(int64_t i) {
        separate();
        text_ += std::to_string(i);
        return *this;
    }
    Json &value(int i) { return value(static_cast<int64_t>(i)); }
    // Infinities as Python's json module reads and writes them.
    Json &value(double d) {
        separate();
        char text[40];
        std::snprintf(text, sizeof text, "%.17g", d);
        text_ += std::isinf(d) ? (d > 0 ? "Infinity" : "-Infinity") : text;
        return *this;
    }
    Json &null() {
        separate();
        text_ += "null";
        return *this;
    }
    template <typename T> Json &field(const std::string &name, const T &v) { return key(name).value(v); }
    const std::string &text() const { return text_; }

private:
    void separate() {
        if (!first_)
            text_ += ", ";
        first_ = false;
    }
    void quote(const std::string &s) {
        text_ += '"';
        for (const char c : s) {
            if (c == '"' || c == '\\')
                text_ += '\\';
            if (static_cast<unsigned char>(c) < 0x20) {
                char code[8];
                std::snprintf(code, sizeof code, "\\u%04x", c);
                text_ += code;
            } else {
                text_ += c;
            }
        }
        text_ += '"';
    }
    std::string text_;
    bool first_ = true;
};

} // namespace nitrix
