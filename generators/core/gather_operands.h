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

// The same with all that lies in the lines of memory in which the rows lie, where they lie alike in theirs: what is in
// front of the first column has negative indices.
template <typename Buffer> void constrain_rows_in_lines(const Buffer &buffer, Expr batch) {
    buffer.dim(0).set_stride(Expr());
    buffer.dim(1).set_min(0);
    buffer.dim(2).set_min(0).set_extent(batch);
}

// The structure's plan: entries (k, r), the rows where the results of r belong, and one row of values.
template <typename Values, typename Entries, typename Rows>
void constrain_plan(const Values &values, const Entries &slots, const Entries &indices, const Rows &rows, Expr batch) {
    const Expr depth = indices.dim(0).extent(), count = indices.dim(1).extent();
    for (const Entries *plan : {&slots, &indices}) {
        plan->dim(0).set_min(0);
        plan->dim(1).set_min(0).set_extent(count);
        plan->dim(2).set_min(0).set_extent(batch);
    }
    values.dim(0).set_min(0);
    values.dim(1).set_min(0).set_extent(batch);
    rows.dim(0).set_min(0).set_extent(count);
    rows.dim(1).set_min(0).set_extent(batch);
}

// Whether the values of each row lie side by side: then its first slot alone is there.
template <typename Entries> Expr side_by_side(const Entries &slots) { return slots.dim(0).extent() == 1; }

// Entry k of row r, whose first slot is `first`.
template <typename Entries>
Expr slot_of(const Entries &slots, const Expr &first, const Expr &k, const Expr &r, const Expr &batch) {
    const Expr own = Halide::unsafe_promise_clamped(k, 0, slots.dim(0).extent() - 1);
    return Halide::select(side_by_side(slots), first + k, slots(own, r, batch));
}

template <typename Entries> Expr slot_of(const Entries &slots, const Expr &k, const Expr &r, const Expr &batch) {
    return slot_of(slots, slots(0, r, batch), k, r, batch);
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

// The bytes of a row of a dense array, and from one to the next.
template <typename Dense> Expr bytes_of_row(const Dense &dense, const Expr &columns) {
    return Halide::cast<int64_t>(columns * dense.type().bytes());
}
template <typename Dense> Expr rows_apart(const Dense &dense) { return byte_offset(dense, 0, 1, 0); }

// The lines of memory that a row of `dense` touches wherever it starts, as a kernel asks for them ahead: the same for
// all rows of a call, so computed once. How longer rows go on the processor notices by itself.
template <typename Dense> Lines lines_of_row(const Dense &dense, const Expr &columns, const Expr &batch) {
    constexpr int most_bytes = 1024;
    Lines lines = Lines::of(Halide::cast<int32_t>(Halide::min(bytes_of_row(dense, columns), most_bytes)));
    // A whole number of lines apart, all rows start alike.
    const Expr starts = address(dense, 0, 0, batch) | Halide::cast<uint64_t>(rows_apart(dense));
    lines.more = Halide::select(dense.dim(0).min() == 0 && starts % Halide::cast<uint64_t>(line_bytes) == 0, 0, 1);
    return lines;
}

// Whether asking gains anything: what a second-level cache and a bit more hold is a tenth slower for it, what a
// third-level cache holds takes up to 1.8 times as long without.
template <typename Dense> Expr outgrows_caches(const Dense &dense, int small = 3 << 20) {
    return rows_apart(dense) * dense.dim(1).extent() >= small;
}

template <typename Dense> Expr if_large(const family::GatherProduct &f, const Dense &dense, const Expr &request) {
    return branch(f.asks_ahead() || outgrows_caches(dense), request, 0);
}

constexpr int most_entries = 32; // of a row: of more the processor has several under way at once

// The rows of a dense array that later rows of a structure name. Which ones stands behind the indices of row r, where
// a plan looks ahead (runtime/plan.h) and rows are farther apart than they are long; else it is all that row `later`
// names. Whatever stands there, asking for it is harmless.
struct Named {
    Expr depth, spare, looks_ahead;

    template <typename Entries> explicit Named(const Entries &indices) {
        depth = indices.dim(0).extent();
        spare = indices.dim(1).stride() - depth;
        looks_ahead = indices.dim(1).extent() > 1 && spare > 0 && indices.dim(0).stride() == 1;
    }

    // As many as most meshes need. What the last row asks for, behind which memory may end, its own indices name then.
    Expr are_two() const { return looks_ahead && spare == 2 && depth >= 2; }

    // How many a row asks for.
    Expr count() const { return Halide::min(Halide::select(looks_ahead, spare, depth), most_entries); }
};

// Whether the rows of a result, a unit stride inside, are stored past the caches (runtime/past_caches.cpp), made of
// those of `dense`. If so the kernel asks for later rows too: rows of one tile need not find out whether it does. And
// whether other rows are made in lines.
template <typename Out, typename Dense, typename Entries>
void find_past_caches(family::GatherProduct &f, const Out &out, const Dense &dense, const Entries &indices) {
    const Expr bytes = bytes_of_row(out, f.columns);
    Expr width = Halide::Internal::const_false();
    for (const int vectors : f.past_caches_tiles())
        width = width || bytes == vectors * f.past_caches;
    const auto decided = [&](const Expr &such) {
        const Expr can = such && bytes >= f.least_past_caches && f.b_contiguous && Named(indices).looks_ahead &&
                         outgrows_caches(dense);
        return decided_by("past_caches", {Halide::cast<int32_t>(can), address(out, 0, 0, 0), bytes, rows_apart(out),
                                          out.dim(1).extent(), out.dim(2).extent()});
    };
    f.passes = decided(width && f.depth <= f.block);
    f.looks_ahead = known_as("looks_ahead", Named(indices).are_two() && outgrows_caches(dense));
    f.one_item = out.dim(2).extent() == 1;
    if (f.keeps_lines())
        f.in_lines = !f.passes && width && f.depth <= f.block && f.b_contiguous && f.one_item &&
                     f.in_front() % f.in_front_unit() == 0;
    f.passes_wide = f.columns > f.past_caches_tiles()[0] * f.past_caches / f.type.bytes() &&
                    decided(Halide::Internal::const_true());
}

template <typename Dense, typename Entries>
Expr ask_for_named(const family::GatherProduct &f, const Dense &dense, const Entries &indices, const Expr &later) {
    Named named(indices);
    named.looks_ahead = f.asks_ahead() || named.looks_ahead;
    Expr names = address(indices, Halide::select(named.looks_ahead, named.depth, 0),
                         Halide::select(named.looks_ahead, f.i, later), f.batch);
    // Behind the last row memory may end.
    const Expr is_last = f.i == indices.dim(1).extent() - 1;
    if (!Halide::Internal::is_const_zero(f.looks_ahead)) { // then by the pointer that the row's entries are read by
        const Expr own = address_of(indices(Halide::unsafe_promise_clamped(0, 0, named.depth - 1), f.i, f.batch));
        const Expr past = Halide::cast<uint64_t>(Halide::select(is_last, 0, named.depth)) * indices.type().bytes();
        names = Halide::select(f.looks_ahead, own + past, names);
    }
    const Expr count = Halide::select(named.looks_ahead && is_last, 0, named.count());
    return if_large(f, dense,
                    ask_for_named(address(dense, 0, 0, f.batch), rows_apart(dense), names, count, f.looks_ahead,
                                  lines_of_row(dense, f.columns, f.batch)));
}

// Whether a call asks for all that rows of any structure name: where `dense` outgrows so many bytes.
template <typename Dense, typename Entries>
Expr asks_for_all_named(const Dense &dense, const Entries &indices, int small) {
    return outgrows_caches(dense, small) && indices.dim(0).stride() == 1;
}

template <typename Dense, typename Entries>
Expr ask_for_all_named(const Expr &asks, const Dense &dense, const Entries &indices, const Expr &later,
                       const Expr &batch) {
    return branch(asks,
                  ask_for_named(address(dense, 0, 0, batch), rows_apart(dense), address(indices, 0, later, batch),
                                Halide::min(indices.dim(0).extent(), most_entries), Halide::Internal::const_false(),
                                lines_of_row(dense, dense.dim(0).extent(), batch)),
                  0);
}

// One row of `dense`, to be read or written.
template <typename Dense> Expr ask_for_row(const family::GatherProduct &f, const Dense &dense, const Expr &row) {
    return if_large(f, dense,
                    ask_for_row(address(dense, 0, row, f.batch), lines_of_row(dense, dense.dim(0).extent(), f.batch)));
}

// The values that row `later` of a plan names: they lie where the caller's rows do. `dense`: what they are multiplied
// with.
template <typename Dense, typename Values, typename Entries>
Expr ask_for_values(const family::GatherProduct &f, const Dense &dense, const Values &values, const Entries &slots,
                    const Expr &later) {
    const int bytes = values.type().bytes();
    const Expr first = Halide::reinterpret<uint64_t>(pointer(values)) +
                       Halide::cast<uint64_t>(Halide::cast<int64_t>(values.dim(1).stride()) * f.batch * bytes);
    const Expr count = Halide::min(f.depth, most_entries);
    return if_large(f, dense,
                    ask_for_entries(first, Halide::Internal::make_const(Halide::Int(64), bytes),
                                    address(slots, 0, later, f.batch), count, side_by_side(slots)));
}

// Stores the product's rows where they belong.
template <typename Rows, typename Out> void scatter_rows(family::GatherProduct &f, const Rows &rows, Out &out) {
    const Expr count = rows.dim(0).extent();
    const auto place = [&](const Expr &at) {
        return Halide::unsafe_promise_clamped(rows(at, f.batch), 0, out.dim(1).extent() - 1);
    };
    // The row that `made` holds from element in_front on; below 0 if it remains to be stored.
    const auto store_past_caches = [&](const Halide::Func &made, const Expr &in_front) {
        using Halide::Internal::Call;
        const auto at = [&](const Expr &column) { return address_of(made(column, f.i, f.batch)); };
        const Expr size = out.type().bytes(), from = at(0);
        // By the last one's address, for all of them to be made.
        const Expr bytes = Halide::cast<int64_t>(at(in_front + f.columns - 1) - from) + (1 - in_front) * size;
        return Call::make(Halide::Int(32), "nitrix_store_past_caches_" + std::to_string(f.past_caches),
                          {address(out, 0, place(f.i), f.batch), from, bytes, in_front * size}, Call::Extern);
    };
    Halide::RDom r(0, Halide::select(f.passes || f.in_lines, 0, count), "r");
    if (f.past_caches) {
        f.remains(f.i, f.batch) = branch(f.passes_wide, store_past_caches(f.product, 0), -1);
        r.where(f.remains(r, f.batch) < 0);
    }
    out(f.j, f.i, f.batch) = Halide::undef(out.type());
    out(f.j, place(r), f.batch) = f.product(f.j, r, f.batch);
    f.out = f.product;
    f.scattered = out;
    f.scattered_rows = r;
    if (!f.past_caches)
        return;
    f.remains_of_lines(f.i, f.batch) = store_past_caches(f.passing.row, f.in_front());
    Halide::RDom past(0, Halide::select(f.passes, count, 0), "past");
    past.where(f.remains_of_lines(past, f.batch) < 0);
    out(f.j, place(past), f.batch) = f.passing.row(f.j + f.in_front(), past, f.batch);
    f.past_rows = past;
    if (!f.keeps_lines())
        return;
    Halide::RDom kept(0, Halide::select(f.in_lines, count, 0), "kept");
    out(f.j, place(kept), f.batch) =
        f.finished_kept(load_across([&](const Expr &at) { return Expr(f.kept.row(at, kept, f.batch)); }, f.j,
                                    f.in_front(), f.in_front_unit(), f.line_elements()));
    f.kept_rows = kept;
}

} // namespace nitrix
