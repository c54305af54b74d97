// What the kernels over ELL structures ask of their buffers, innermost dimension first: structures (k, row, batch),
// dense arrays (j, row, batch).
#pragma once

#include <Halide.h>

#include "generators/core/gather_product.h"
#include "generators/core/own_lowering.h"
#include "generators/core/prefetch.h"

namespace nitrix {

// An array of the structure's shape, of any strides.
template <typename Buffer> void constrain_structure(const Buffer &buffer, Expr depth, Expr rows, Expr batch) {
    buffer.dim(0).set_min(0).set_extent(depth).set_stride(Expr());
    buffer.dim(1).set_min(0).set_extent(rows);
    buffer.dim(2).set_min(0).set_extent(batch);
}

// Rows of a dense array, of any strides.
template <typename Buffer> void constrain_rows(const Buffer &buffer, Expr columns, Expr batch) {
    buffer.dim(0).set_min(0).set_extent(columns).set_stride(Expr());
    buffer.dim(1).set_min(0);
    buffer.dim(2).set_min(0).set_extent(batch);
}

// The structure's plan: entries (k, r), the rows where the results of r belong, and one row of values.
template <typename Values, typename Entries, typename Rows>
void constrain_plan(const Values &values, const Entries &slots, const Entries &indices, const Rows &rows, Expr batch) {
    const Expr depth = indices.dim(0).extent(), count = indices.dim(1).extent();
    for (const Entries *plan : {&slots, &indices}) {
        plan->dim(0).set_min(0).set_extent(depth);
        plan->dim(1).set_min(0).set_extent(count);
        plan->dim(2).set_min(0).set_extent(batch);
    }
    values.dim(0).set_min(0);
    values.dim(1).set_min(0).set_extent(batch);
    rows.dim(0).set_min(0).set_extent(count);
    rows.dim(1).set_min(0).set_extent(batch);
}

// Entries (k, r) of a plan alone, and the rows where the results of r belong.
template <typename Entries, typename Rows>
void constrain_entries(const Entries &entries, const Rows &rows, const Expr &batch) {
    entries.dim(0).set_min(0);
    entries.dim(1).set_min(0).set_extent(rows.dim(0).extent());
    entries.dim(2).set_min(0).set_extent(batch);
    rows.dim(0).set_min(0);
    rows.dim(1).set_min(0).set_extent(batch);
}

template <typename Out> void constrain_result(const Out &out) {
    for (int d = 0; d < 3; ++d)
        out.dim(d).set_min(0);
}

// How many lines of memory a row of `dense` touches wherever it starts, as a kernel asks for them ahead: the same for
// all rows of a call, so computed once. 0 where there is nothing to gain: what a second-level cache and a bit more hold
// is a tenth slower for being asked for. How longer rows go on the processor notices by itself.
template <typename Dense> Expr lines_of_row(const Dense &dense, const Expr &batch) {
    constexpr int line = 64, most_bytes = 1024, small = 8 << 20;
    const Expr apart = byte_offset(dense, 0, 1, 0),
               bytes = Halide::cast<int64_t>(dense.dim(0).extent() * dense.type().bytes());
    // A multiple of 64 bytes apart, all rows start alike.
    const Expr whole = ((address(dense, 0, 0, batch) | Halide::cast<uint64_t>(apart)) & Expr(uint64_t{line - 1})) == 0;
    const Expr lines = (Halide::min(bytes, most_bytes) + (line - 1)) / line + Halide::select(whole, 0, 1);
    return Halide::cast<int32_t>(Halide::select(apart * dense.dim(1).extent() < small, 0, lines));
}

constexpr int most_entries = 32; // of a row: of more the processor has several under way at once

// The rows of `dense` that later rows of the structure will read, and the lines from `beside`: what a call takes to ask
// for them. Which rows stands behind the indices of row r, where a plan looks ahead (runtime/plan.h) and rows are
// farther apart than they are long; else it is all that row `later` names. Whatever stands there, asking for it is
// harmless.
template <typename Dense, typename Entries>
std::vector<Expr> named_by(const Dense &dense, const Entries &indices, const Expr &r, const Expr &later,
                           const Expr &batch, const Expr &beside, const Expr &lines_beside) {
    const Expr depth = indices.dim(0).extent(), count = indices.dim(1).extent();
    const Expr looks_ahead = count > 1 && indices.dim(1).stride() > depth && indices.dim(0).stride() == 1;
    // Behind the last row memory may end.
    const Expr spare = Halide::select(r < count - 1, indices.dim(1).stride() - depth, 0);
    const Expr named =
        Halide::select(looks_ahead, address(indices, depth, r, batch), address(indices, 0, later, batch));
    return {address(dense, 0, 0, batch),
            byte_offset(dense, 0, 1, 0),
            named,
            Halide::min(Halide::select(looks_ahead, spare, depth), most_entries),
            lines_of_row(dense, batch),
            beside,
            lines_beside};
}

// Asks memory for those rows: 0.
template <typename Dense, typename Entries>
Expr prefetch_named(const Dense &dense, const Entries &indices, const Expr &r, const Expr &later, const Expr &batch) {
    return prefetch("nitrix_prefetch_rows", named_by(dense, indices, r, later, batch, Expr(uint64_t{0}), 0),
                    lines_of_row(dense, batch) > 0);
}

// Asks for the rows that row `later` of any structure names: 0.
template <typename Dense, typename Entries>
Expr prefetch_named_by_row(const Dense &dense, const Entries &indices, const Expr &later, const Expr &batch) {
    const Expr lines = lines_of_row(dense, batch), depth = Halide::min(indices.dim(0).extent(), most_entries);
    return prefetch("nitrix_prefetch_rows",
                    {address(dense, 0, 0, batch), byte_offset(dense, 0, 1, 0), address(indices, 0, later, batch), depth,
                     lines, Expr(uint64_t{0}), 0},
                    lines > 0 && indices.dim(0).stride() == 1);
}

// A row of an array and how many lines of it to ask for.
struct Beside {
    Expr address, lines;
};

template <typename Dense> Beside row_of(const Dense &dense, const Expr &row, const Expr &batch) {
    return {address(dense, 0, row, batch), lines_of_row(dense, batch)};
}

// Whether the rows of a result, a unit stride inside, are stored past the caches (runtime/past_caches.cpp).
template <typename Out> Expr passes_caches(const family::GatherProduct &f, const Out &out) {
    if (!f.past_caches)
        return Halide::Internal::const_false();
    const Expr bytes = Halide::cast<int64_t>(out.dim(0).extent() * out.type().bytes()), items = out.dim(2).extent();
    return decided_by("past_caches", {address(out, 0, 0, 0), bytes, byte_offset(out, 0, 1, 0), out.dim(1).extent(),
                                      byte_offset(out, 0, 0, 1), items, family::GatherProduct::least_past_caches});
}

// That of a result: nothing is asked for where it is not read.
template <typename Out> Beside result_row(const family::GatherProduct &f, const Out &out, const Expr &row) {
    Beside result = row_of(out, row, f.batch);
    result.lines = Halide::select(passes_caches(f, out), 0, result.lines);
    return result;
}

// And for another row, in one call: what is in vector registers does not outlast a second one.
template <typename Dense, typename Entries>
Expr prefetch_named_and_row(const Dense &dense, const Entries &indices, const Expr &r, const Expr &later,
                            const Beside &other, const Expr &batch) {
    return prefetch("nitrix_prefetch_rows", named_by(dense, indices, r, later, batch, other.address, other.lines),
                    lines_of_row(dense, batch) > 0 || other.lines > 0);
}

// And for the values that row `later` of a plan names: they lie where the caller's rows do.
template <typename Dense, typename Entries, typename Values>
Expr prefetch_entries_and_row(const Dense &dense, const Entries &indices, const Expr &r, const Expr &later,
                              const Beside &other, const Values &values, const Entries &slots, const Expr &batch) {
    const Expr some = lines_of_row(dense, batch) > 0;
    std::vector<Expr> arguments = named_by(dense, indices, r, later, batch, other.address, other.lines);
    const Expr first =
        Halide::reinterpret<uint64_t>(pointer(values)) +
        Halide::cast<uint64_t>(Halide::cast<int64_t>(values.dim(1).stride()) * batch * values.type().bytes());
    const Expr entries = Halide::select(some, Halide::min(slots.dim(0).extent(), most_entries), 0);
    arguments.insert(arguments.end(),
                     {first, Halide::cast<int64_t>(values.type().bytes()), address(slots, 0, later, batch), entries});
    return prefetch("nitrix_prefetch_entries", arguments, some || other.lines > 0);
}

// Asks memory for one row of `dense`, to be read or written: 0.
template <typename Dense> Expr prefetch_row(const Dense &dense, const Expr &row, const Expr &batch) {
    const Expr lines = lines_of_row(dense, batch);
    return prefetch("nitrix_prefetch_row", {address(dense, 0, row, batch), lines}, lines > 0);
}

// Stores the product's rows where they belong.
template <typename Rows, typename Out> void scatter_rows(family::GatherProduct &f, const Rows &rows, Out &out) {
    Halide::RDom r(0, rows.dim(0).extent(), "r");
    const auto place = [&](const Expr &at) {
        return Halide::unsafe_promise_clamped(rows(at, f.batch), 0, out.dim(1).extent() - 1);
    };
    if (f.past_caches) {
        using Halide::Internal::Call;
        const std::string store = "nitrix_store_past_caches_" + std::to_string(f.past_caches);
        const Expr stored = Call::make(Halide::Int(32), store,
                                       {address(out, 0, place(f.i), f.batch), address_of(f.product(0, f.i, f.batch)),
                                        Halide::cast<int64_t>(out.dim(0).extent() * out.type().bytes())},
                                       Call::Extern);
        f.passes = passes_caches(f, out);
        f.remains(f.i, f.batch) = branch(f.passes, stored, 1);
        r.where(f.remains(r, f.batch) != 0);
    }
    out(f.j, f.i, f.batch) = Halide::undef(out.type());
    out(f.j, place(r), f.batch) = f.product(f.j, r, f.batch);
    f.out = f.product;
    f.scattered = out;
    f.scattered_rows = r;
}

} // namespace nitrix
