// The extension nitrix._nitrix: a thin layer over nitrix.h. What users see is in the package beside it.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdlib>

#include "array.h"
#include "direct.h"
#include "errors.h"
#include "json.h"
#include "op.h"
#include "structure.h"

namespace nb = nanobind;
using namespace nb::literals;
using nitrix::python::Op;

NB_MODULE(_nitrix, m) {
    // What other libraries still hold at exit, as hypothesis does, is theirs: only nitrix's tests ask.
    nb::set_leak_warnings(std::getenv("NITRIX_TEST_LEAKS") != nullptr);
    nitrix::python::import_numpy();
    nitrix::python::import_errors();
    if (nitrix_version() != NITRIX_VERSION)
        nitrix::python::raise(PyExc_ImportError, "nitrix's extension was built for version ", NITRIX_VERSION,
                              " but is linked with version ", nitrix_version());

    nb::class_<Op>(m, "Op")
        .def(nb::init<std::string, const std::vector<Op::Argument> &, const std::vector<Op::Argument> &,
                      std::vector<std::string>, const std::vector<std::string> &,
                      const std::map<std::string, std::string> &, bool,
                      const std::map<std::string, std::vector<std::string>> &, bool>(),
             "name"_a, "inputs"_a, "outputs"_a, "attributes"_a, "optional"_a = std::vector<std::string>(),
             "like"_a = std::map<std::string, std::string>(), "shape_by_library"_a = false,
             "algebras"_a = std::map<std::string, std::vector<std::string>>(), "free_outputs"_a = false)
        .def("call", &Op::call_from_python, "inputs"_a, "attributes"_a, "out"_a.none(), "backend"_a.none(), "threads"_a,
             "variant"_a.none(), "mode"_a.none())
        .def("explain", &Op::explain, "inputs"_a, "attributes"_a, "backend"_a.none(), "threads"_a, "variant"_a.none(),
             "mode"_a.none())
        .def("workspace_size", &Op::workspace_size, "inputs"_a, "attributes"_a, "backend"_a.none(), "threads"_a,
             "variant"_a.none(), "mode"_a.none())
        .def("output_shape", &Op::output_shape, "inputs"_a, "attributes"_a)
        .def_prop_ro("name", &Op::name)
        .def_prop_ro("attributes", &Op::attributes);

    nitrix::python::Direct::define(m);

    m.def("empty", &nitrix::python::empty, "shape"_a, "dtype"_a);
    m.def("make_structure", &nitrix::python::make_structure, "indices"_a, "n_cols"_a);
    m.def("make_ragged_structure", &nitrix::python::make_ragged_structure, "indices"_a, "counts"_a, "buckets"_a.none(),
          "n_cols"_a);
    m.def("info", [] { return nitrix::python::read_json(nitrix_info); });
    m.def("counters", [] { return nitrix::python::read_json(nitrix_counters); });
    m.def("last_variant", [] { return nitrix_last_variant(); });
}
