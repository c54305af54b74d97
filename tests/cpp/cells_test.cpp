// Every (op, algebra, dtype, layout class, shape class, target) is served, warned about, or refused with its reason.
#include <gtest/gtest.h>

#include <set>

#include "dispatch.h"
#include "environment.h"
#include "error.h"
#include "problems.h"
#include "samples.h"

using namespace nitrix;

namespace {

enum class Layout { rows, columns, strided, broadcast };

// The arrays of one call of any op, all core dimensions of the given size.
struct Arguments {
    Arguments(const Op &op, int algebra, DType dtype, int64_t size, Layout layout) : op(op) {
        for (int i = 0; i < op.n_arguments; ++i)
            shapes.emplace_back(op.arguments[i].rank, size);
        make(algebra, dtype, layout);
    }
    // The shapes of a problem; what the outputs have follows from them.
    Arguments(const Op &op, DType dtype, const problems::Problem &problem, const char *semiring)
        : op(op), attributes(problem.attributes(semiring)) {
        const int algebra = semiring ? find_algebra(semiring) : -1;
        shapes = problem.inputs;
        shapes.resize(static_cast<size_t>(op.n_arguments));
        make(algebra, dtype, Layout::rows);
        for (int i = op.n_inputs; i < op.n_arguments; ++i) {
            int64_t shape[16];
            int rank = 0;
            infer_shape({static_cast<int>(&op - ops), pointers.data(), op.n_arguments, attributes.data(),
                         static_cast<int>(attributes.size()), nullptr},
                        i - op.n_inputs, shape, &rank);
            shapes[static_cast<size_t>(i)].assign(shape, shape + rank);
        }
        make(algebra, dtype, Layout::rows);
    }
    void make(int algebra, DType dtype, Layout layout) {
        strides.resize(shapes.size());
        tensors.resize(shapes.size());
        pointers.clear();
        for (size_t i = 0; i < shapes.size(); ++i) {
            const Argument &a = op.arguments[i];
            const DType own = a.dtype == any_dtype     ? dtype
                              : a.dtype == index_dtype ? DType::i64
                                                       : static_cast<DType>(a.dtype);
            const size_t rank = shapes[i].size();
            strides[i].resize(rank);
            int64_t step = layout == Layout::strided ? 2 : 1;
            for (size_t d = 0; d < rank; ++d) {
                const size_t at = layout == Layout::columns ? d : rank - 1 - d;
                strides[i][at] = step;
                step *= shapes[i][at];
            }
            if (layout == Layout::broadcast && a.role == Role::input)
                std::fill(strides[i].begin(), strides[i].end(), 0);
            tensors[i] = {nullptr,
                          {kDLCPU, 0},
                          static_cast<int32_t>(rank),
                          samples::dl_type(own),
                          shapes[i].data(),
                          strides[i].data(),
                          0};
            const bool has = !a.algebras || (algebra >= 0 && a.algebras >> algebra & 1);
            pointers.push_back(has ? &tensors[i] : nullptr);
        }
    }
    void bind_problem(Call &call, const nitrix_options *options) {
        bind_call({static_cast<int>(&op - ops), pointers.data(), op.n_arguments, attributes.data(),
                   static_cast<int>(attributes.size()), options},
                  false, call);
    }
    void bind(int algebra, Call &call, nitrix_options *options) {
        const nitrix_attribute semiring = {
            "semiring", NITRIX_ATTRIBUTE_STRING, 0, 0, algebra < 0 ? nullptr : algebras[algebra].name, nullptr};
        bind_call({static_cast<int>(&op - ops), pointers.data(), op.n_arguments, &semiring, algebra >= 0, options},
                  false, call);
    }
    const Op &op;
    std::vector<nitrix_attribute> attributes;
    std::vector<std::vector<int64_t>> shapes, strides;
    std::vector<DLTensor> tensors;
    std::vector<DLTensor *> pointers;
};

bool stored(const Op &op, int algebra, DType dtype) {
    return algebra >= 0 && op.storage_algebras >> algebra & op.storage_dtypes >> static_cast<int>(dtype) & 1;
}

template <typename Visit> void each_cell(Visit &&visit) {
    for (int o = 0; o < n_ops; ++o)
        for (int a = ops[o].has_algebra ? 0 : -1; a < (ops[o].has_algebra ? n_algebras : 0); ++a)
            for (int d = 0; d < n_dtypes; ++d)
                // A composed op has no rows: its parts are cells. Nor has what is computed in float32.
                if (!ops[o].internal && !ops[o].composition && !stored(ops[o], a, static_cast<DType>(d)))
                    visit(o, a, static_cast<DType>(d));
}

TEST(Cells, AreServedOrRefusedWithAReason) {
    int served = 0, refused = 0;
    each_cell([&](int o, int a, DType dtype) {
        for (const Layout layout : {Layout::rows, Layout::columns, Layout::strided, Layout::broadcast})
            for (const int64_t size : {1, 4, 8, 9, 300}) {
                Arguments arguments(ops[o], a, dtype, size, layout);
                nitrix_options options = NITRIX_OPTIONS_INIT;
                Call call;
                if (!cell(o, a, dtype).count) {
                    try {
                        arguments.bind(a, call, &options);
                        ADD_FAILURE() << ops[o].name << " has no rows for this cell and accepts it";
                    } catch (const Error &error) {
                        ++refused;
                        EXPECT_EQ(error.status, NITRIX_ERROR_TYPE);
                        const char *reason = "with this dtype: ", *named = dtype_name(dtype);
                        for (int r = 0; r < ops[o].n_refusals; ++r)
                            if (a == find_algebra(ops[o].refusals[r].algebra)) {
                                reason = ops[o].refusals[r].reason;
                                named = ops[o].refusals[r].algebra;
                            }
                        EXPECT_NE(error.message.find(named), std::string::npos) << error.message;
                        EXPECT_NE(error.message.find(reason), std::string::npos) << error.message;
                    }
                    continue;
                }
                arguments.bind(a, call, &options);
                const Choice choice = choose(call);
                ++served;
                EXPECT_TRUE(machine_has(choice.variant->target));
                EXPECT_FALSE(targets[choice.variant->target].reference);
                EXPECT_EQ(choice.variant->tolerance, 0);
                // The happy path: without a request or a limit, nothing is lost, so nothing is said.
                if (environment().target < 0 && !environment().backend && environment().disabled.empty()) {
                    EXPECT_FALSE(choice.fallback) << choice.variant->id;
                }
                bool taken = false;
                const Cell rows = cell(o, a, dtype);
                for (int r = rows.first; r < rows.first + rows.count; ++r) {
                    const Refusal refusal = judge(variants[r], call);
                    EXPECT_NE(refusal_sentence(variants[r], refusal, call), "");
                    if (refusal == Refusal::none && !taken) {
                        EXPECT_EQ(&variants[r], choice.variant) << "the first that may serve does";
                        taken = true;
                    }
                    // Named, it runs or says why not.
                    options.variant = variants[r].id;
                    Call named;
                    arguments.bind(a, named, &options);
                    if (judge(variants[r], named) == Refusal::none) {
                        EXPECT_EQ(choose(named).variant, &variants[r]);
                    } else {
                        EXPECT_THROW(choose(named), Error);
                    }
                    options.variant = nullptr;
                }
                EXPECT_TRUE(taken);
            }
    });
    EXPECT_GT(served, 0);
    EXPECT_GT(refused, 0);
}

TEST(Cells, EachVariantOfThisMachineIsChosenForSomeCall) {
    std::set<const Variant *> chosen;
    each_cell([&](int o, int a, DType dtype) {
        if (!cell(o, a, dtype).count)
            return;
        const std::vector<problems::Problem> all = problems::of(ops[o]);
        for (const problems::Problem &problem : all)
            for (const nitrix_mode mode : {NITRIX_MODE_OFF, NITRIX_MODE_ON}) {
                Arguments arguments(ops[o], dtype, problem, a < 0 ? nullptr : algebras[a].name);
                nitrix_options options = NITRIX_OPTIONS_INIT;
                options.mode = mode;
                Call call;
                arguments.bind_problem(call, &options);
                chosen.insert(choose(call).variant);
            }
    });
    int best = 0;
    for (int t = 0; t < n_targets; ++t)
        if (machine_has(t) && targets[t].priority > targets[best].priority)
            best = t;
    for (int i = 0; i < n_variants; ++i)
        if (!ops[variants[i].op].internal && variants[i].tolerance == 0 &&
            (variants[i].target == best || targets[variants[i].target].priority == 0)) {
            EXPECT_EQ(chosen.count(&variants[i]), 1U) << variants[i].id << " was never chosen";
        }
}

TEST(Cells, AnInexactVariantRunsOnlyWhenNamed) {
    Arguments arguments(ops[0], find_algebra("real"), DType::f32, 20, Layout::rows);
    nitrix_options options = NITRIX_OPTIONS_INIT;
    Call call;
    arguments.bind(find_algebra("real"), call, &options);
    Variant inexact = *choose(call).variant;
    inexact.tolerance = 1e-6;
    EXPECT_EQ(judge(inexact, call), Refusal::inexact);
    call.options.variant = &inexact;
    EXPECT_EQ(judge(inexact, call), Refusal::none);
}

} // namespace
