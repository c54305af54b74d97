// Text from nitrix's "buffer, capacity, needed" functions.
#pragma once

#include <string>

#include "errors.h"

namespace nitrix::python {

// `write` is called again while the text grows between two calls, as counters may.
template <typename Write> std::string read_json(const Write &write) {
    std::string buffer(4096, '\0');
    for (;;) {
        size_t needed = 0;
        const nitrix_status status = write(buffer.data(), buffer.size(), &needed);
        if (needed > buffer.size()) {
            buffer.resize(needed);
            continue;
        }
        if (status != NITRIX_OK)
            raise_status(status, nitrix_last_error());
        buffer.resize(needed ? needed - 1 : 0); // without the terminator
        return buffer;
    }
}

} // namespace nitrix::python
