// The generic entry points of the C ABI.
#include "call.h"
#include "dispatch.h"
#include "error.h"
#include "run.h"

using namespace nitrix;

extern "C" nitrix_status nitrix_call(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                     const nitrix_attribute *attributes, int32_t n_attributes,
                                     const nitrix_options *options) {
    return guarded([&] { run(bind_call(op, arrays, n_arrays, attributes, n_attributes, options, true)); });
}

extern "C" nitrix_status nitrix_output_shape(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                             const nitrix_attribute *attributes, int32_t n_attributes, int32_t output,
                                             int64_t *shape, int32_t *ndim) {
    return guarded([&] {
        if (!shape || !ndim)
            refuse_value("output_shape: argument 'shape' or 'ndim' is NULL");
        int rank = 0;
        infer_shape(op, arrays, n_arrays, attributes, n_attributes, output, shape, &rank);
        *ndim = rank;
    });
}

extern "C" nitrix_status nitrix_workspace_size(const char *op, DLTensor *const *arrays, int32_t n_arrays,
                                               const nitrix_attribute *attributes, int32_t n_attributes,
                                               const nitrix_options *options, size_t *bytes) {
    return guarded([&] {
        if (!bytes)
            refuse_value("workspace_size: argument 'bytes' is NULL");
        const Call call = bind_call(op, arrays, n_arrays, attributes, n_attributes, options, false);
        *bytes = workspace_bytes(call);
    });
}
