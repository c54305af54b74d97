// A target's table: one row per family. A missing row walks to the parent; every walk ends at naive.
#pragma once

#include <string>

namespace nitrix {

namespace family {
class Contraction;
class GatherDot;
class GatherProduct;
class LogSumExp;
struct Pointwise;
class Refinement;
class Stencil;
class StencilGradient;
} // namespace family

struct ScheduleTable {
    const char *name;
    const ScheduleTable *parent;
    void (*contraction)(family::Contraction &op, int lanes) = nullptr;
    void (*log_sum_exp)(family::LogSumExp &op, int lanes) = nullptr;
    void (*refinement)(family::Refinement &op, int lanes) = nullptr;
    void (*pointwise)(family::Pointwise &op, int lanes) = nullptr;
    void (*gather_product)(family::GatherProduct &op, int lanes) = nullptr;
    void (*gather_dot)(family::GatherDot &op, int lanes) = nullptr;
    void (*stencil)(family::Stencil &op, int lanes) = nullptr;
    void (*stencil_gradient)(family::StencilGradient &op, int lanes) = nullptr;
};

extern const ScheduleTable naive_schedule;

// The table linked into this generator process under that name.
const ScheduleTable &schedule_named(const std::string &name);

template <typename Row> Row find_row(const ScheduleTable &table, Row ScheduleTable::*row) {
    for (const ScheduleTable *t = &table; t; t = t->parent)
        if (t->*row)
            return t->*row;
    return nullptr; // unreachable: naive has every row, which its own static_assert checks
}

// Registers a target's table when its object is linked into a generator.
struct ScheduleRegistration {
    explicit ScheduleRegistration(const ScheduleTable &table);
};

} // namespace nitrix
