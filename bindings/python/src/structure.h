// Index structures (nitrix_structure) as NumPy arrays that own them.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>

namespace nitrix::python {

// The checked copy of `indices`: an int32 array that cannot be written and that ops recognise.
nanobind::object make_structure(nanobind::handle indices, int64_t n_cols);

// Of flat indices of rows with `counts` entries; `buckets` is an array or None.
nanobind::object make_ragged_structure(nanobind::handle indices, nanobind::handle counts, nanobind::handle buckets,
                                       int64_t n_cols);

} // namespace nitrix::python
