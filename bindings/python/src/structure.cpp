#include "structure.h"

#include "array.h"
#include "errors.h"
#include "nitrix/nitrix.h"

namespace nitrix::python {

namespace {

nb::object as_array(nitrix_status status, nitrix_structure *structure, const char *name) {
    if (status != NITRIX_OK)
        raise_status(status, text(name, ": ", nitrix_last_error()));
    const nb::capsule owner(structure,
                            [](void *p) noexcept { nitrix_structure_destroy(static_cast<nitrix_structure *>(p)); });
    return view_numpy_array(*nitrix_structure_indices(structure), owner);
}

} // namespace

nb::object make_structure(nb::handle indices, int64_t n_cols) {
    ArrayList arrays;
    const DLTensor &given = arrays.append_input(indices.ptr(), "ELL", "indices").tensor;
    nitrix_structure *structure = nullptr;
    nitrix_status status;
    {
        nb::gil_scoped_release release;
        status = nitrix_structure_create(&given, n_cols, &structure);
    }
    return as_array(status, structure, "ELL");
}

nb::object make_ragged_structure(nb::handle indices, nb::handle counts, nb::handle buckets, int64_t n_cols) {
    ArrayList arrays;
    const DLTensor &flat = arrays.append_input(indices.ptr(), "SectionedELL", "indices").tensor;
    const DLTensor &rows = arrays.append_input(counts.ptr(), "SectionedELL", "counts").tensor;
    const DLTensor *const numbers =
        buckets.is_none() ? nullptr : &arrays.append_input(buckets.ptr(), "SectionedELL", "buckets").tensor;
    nitrix_structure *structure = nullptr;
    nitrix_status status;
    {
        nb::gil_scoped_release release;
        status = nitrix_structure_create_ragged(&flat, &rows, numbers, n_cols, &structure);
    }
    return as_array(status, structure, "SectionedELL");
}

} // namespace nitrix::python
