// Views of the arrays that the kernel semiring_ell_rows takes.
#pragma once

#include <cmath>
#include <memory>
#include <optional>

#include "array.h"
#include "orchestrate.h"
#include "structure.h"

namespace nitrix {

// Whether the (m, k) items of an array are compact, so that one position names an element.
bool in_one_row(const Array &matrix);

Array as_row(const Array &matrix);                    // (m, k) as (m * k), where it is compact
Array copy_to_row(const Array &matrix, char *memory); // into memory for m * k elements

Array section_rows(const Plan &plan, const Plan::Section &section);
Array section_slots(const Plan &plan, const Plan::Section &section);
Array section_indices(const Plan &plan, const Plan::Section &section);

// How many columns the kernel semiring_ell_rows makes best at a time: its tile.
int64_t columns_of_tile(int algebra, DType dtype, const Target &target);

// The plan of any item of a call's indices, or of its transpose: a structure's own, or one made for this call.
class Plans {
public:
    Plans(Orchestrator &o, const Call &call, const Array &indices, int64_t n, bool transposed);
    const Plan &of(const Array &item); // valid until the next item

private:
    const int64_t n_;
    const bool transposed_;
    const Structure *const structure_;
    std::optional<Plan> made_;
    const char *made_for_ = nullptr;
};

// The values of any item in one row: as they lie, or copied.
class RowOfValues {
public:
    RowOfValues(Orchestrator &o, const Array &values);
    Array of(const Array &item);

private:
    const bool dry_, copies_;
    Array copy_;
};

// An output that kernels write part by part: items of it where their columns have unit stride, else a compact matrix
// that is stored when it is whole.
class OutputInParts {
public:
    OutputInParts(Orchestrator &o, const Array &output);
    Array of(const Array &item) const;
    void store(const Array &item) const;

private:
    const bool dry_, copies_;
    Array copy_;
};

// The same with as many leading dimensions, all 1, as the other.
Array with_rank_of(const Array &matrix, const Array &like);

// An element as a matrix of that shape: for a kernel that does not read it.
Array unread_matrix(const Array &element, const int64_t *shape);

// A number that an op has as an array.
double value_of(const Array &scalar);

// Whether an activation of edges with that slope below 0 does not decrease: then a tropical algebra chooses first.
inline bool keeps_order(double slope) { return slope >= 0 && std::isfinite(slope); }

// above / below, 0 where that is 0: matrices of floating-point numbers.
void divide(Orchestrator &o, const Array &to, const Array &above, const Array &below);

// body(slots, indices, rows) for every section of a plan.
template <typename Body> void each_section(const Plan &plan, const Body &body) {
    for (const Plan::Section &section : plan.sections)
        body(section_slots(plan, section), section_indices(plan, section), section_rows(plan, section));
}

} // namespace nitrix
