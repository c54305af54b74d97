// Python's keyword arguments as nitrix_options and nitrix_attributes.
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "nitrix/nitrix.h"

namespace nitrix::python {

// The strings belong to the Python objects, which the caller holds for the length of the call.
nitrix_options read_options(const std::string &op, nanobind::handle backend, nanobind::handle threads,
                            nanobind::handle variant, nanobind::handle mode);

// The attributes that are not None, in the form of the C interface.
class AttributeList {
public:
    AttributeList(const std::string &op, const std::vector<std::string> &names, nanobind::tuple values);
    const nitrix_attribute *data() const { return attributes_; }
    int size() const { return size_; }

private:
    static constexpr int max_attributes = 32;
    int size_ = 0;
    nitrix_attribute attributes_[max_attributes];
    std::vector<std::vector<int64_t>> lists_;
};

} // namespace nitrix::python
