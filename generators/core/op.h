// The base of every op's generator: the parameters that the plan passes, and the way to the target's schedule.
#pragma once

#include <Halide.h>

#include <fstream>
#include <string>

#include "generators/core/algebra.h"
#include "generators/core/contraction.h"
#include "generators/core/gather_dot.h"
#include "generators/core/gather_product.h"
#include "generators/core/log_sum_exp.h"
#include "generators/core/own_lowering.h"
#include "generators/core/pointwise.h"
#include "generators/core/refinement.h"
#include "generators/core/stencil.h"
#include "generators/core/stencil_gradient.h"
#include "schedules/common/schedule.h"

namespace nitrix {

template <typename Derived> class Op : public Halide::Generator<Derived> {
public:
    template <typename T> using Param = Halide::GeneratorParam<T>;
    template <typename T> using Input = typename Halide::Generator<Derived>::template Input<T>;
    template <typename T> using Output = typename Halide::Generator<Derived>::template Output<T>;

    Param<std::string> algebra_name{"algebra", "real"};
    Param<std::string> schedule_name{"schedule", "naive"};
    Param<exact::FMA> rounding_mode{
        "rounding",
        exact::FMA::Fused,
        {{"fused", exact::FMA::Fused}, {"unfused", exact::FMA::Unfused}, {"emulated", exact::FMA::Emulated}}};
    Param<std::string> shape_class{"shape_class", "any"};
    Param<std::string> facts{"facts", ""}; // file that receives what the registry needs to know of this variant

    void configure() { rounding() = rounding_mode; }
    void schedule() { this->get_pipeline().add_custom_lowering_pass(new OwnLowering); }

protected:
    const Algebra &algebra() const { return algebra_named(algebra_name); }

    // The vector lanes of the target for t.
    int lanes(Type t) const { return this->get_target().natural_vector_size(t); }

    // The bytes of a vector, if they are more than every processor of the architecture has, else 0.
    int wide_vector() const {
        const int bytes = this->get_target().natural_vector_size(Halide::UInt(8));
        return bytes > 16 ? bytes : 0;
    }

    void schedule_with(family::Contraction &f) {
        f.shape_class = shape_class;
        find_row(schedule_named(schedule_name), &ScheduleTable::contraction)(f, lanes(f.type));
        write_facts(f.scratch_bytes);
    }

    void schedule_with(family::Pointwise &f) {
        find_row(schedule_named(schedule_name), &ScheduleTable::pointwise)(f, lanes(f.type));
        write_facts(Halide::cast<int64_t>(0));
    }

    void schedule_with(family::Refinement &f) {
        find_row(schedule_named(schedule_name), &ScheduleTable::refinement)(f, lanes(f.type));
        write_facts(f.scratch_bytes);
    }

    void schedule_with(family::GatherProduct &f) {
        find_row(schedule_named(schedule_name), &ScheduleTable::gather_product)(f, lanes(f.type));
        write_facts(f.scratch_bytes);
    }

    void schedule_with(family::GatherDot &f) {
        find_row(schedule_named(schedule_name), &ScheduleTable::gather_dot)(f, lanes(f.type));
        write_facts(Halide::cast<int64_t>(0));
    }

    void schedule_with(family::Stencil &f) {
        find_row(schedule_named(schedule_name), &ScheduleTable::stencil)(f, lanes(f.type));
        write_facts(f.scratch_bytes);
    }

    void schedule_with(family::StencilGradient &f) {
        find_row(schedule_named(schedule_name), &ScheduleTable::stencil_gradient)(f, lanes(f.element));
        write_facts(f.scratch_bytes);
    }

    void schedule_with(family::LogSumExp &f) {
        find_row(schedule_named(schedule_name), &ScheduleTable::log_sum_exp)(f, lanes(f.type));
        write_facts(f.scratch_bytes);
    }

private:
    void write_facts(const Expr &scratch_bytes) {
        const std::string path = facts;
        if (path.empty())
            return;
        std::ofstream out(path);
        // Halide prints integer arithmetic as C; the registry includes this where the dimensions' names are in scope.
        out << "return bounded(" << scratch_bytes << ");\n";
        if (!out)
            throw Halide::CompileError("facts: cannot write " + path);
    }
};

} // namespace nitrix
