// The generic entry points of the C ABI.
#include "call.h"
#include "dispatch.h"
#include "error.h"
#include "run.h"

namespace nitrix {

nitrix_status call_op(const Request &request) noexcept {
    return guarded([&] {
        Call call;
        bind_call(request, true, call);
        run(call);
    });
}

nitrix_status workspace_of_op(const Request &request, size_t *bytes) noexcept {
    return guarded([&] {
        if (!bytes)
            refuse_value(std::string(ops[request.op].name) + "_workspace_size: argument 'bytes' is NULL");
        Call call;
        bind_call(request, false, call);
        *bytes = workspace_bytes(call);
    });
}

} // namespace nitrix

using namespace nitrix;

extern "C" nitrix_status nitrix_call(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                     const nitrix_attribute *attributes, int32_t n_attributes,
                                     const nitrix_options *options) {
    int index = 0;
    const nitrix_status status = guarded([&] { index = op_named(op); });
    return status ? status : call_op({index, arrays, n_arrays, attributes, n_attributes, options});
}

extern "C" nitrix_status nitrix_output_shape(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                             const nitrix_attribute *attributes, int32_t n_attributes, int32_t output,
                                             int64_t *shape, int32_t *ndim) {
    return guarded([&] {
        if (!shape || !ndim)
            refuse_value("output_shape: argument 'shape' or 'ndim' is NULL");
        int rank = 0;
        infer_shape({op_named(op), arrays, n_arrays, attributes, n_attributes, nullptr}, output, shape, &rank);
        *ndim = rank;
    });
}

extern "C" nitrix_status nitrix_workspace_size(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                               const nitrix_attribute *attributes, int32_t n_attributes,
                                               const nitrix_options *options, size_t *bytes) {
    int index = 0;
    const nitrix_status status = guarded([&] { index = op_named(op); });
    return status ? status : workspace_of_op({index, arrays, n_arrays, attributes, n_attributes, options}, bytes);
}
