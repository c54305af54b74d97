#include "plan.h"

#include <algorithm>
#include <map>

namespace nitrix {

// Rows whose sources are thought to stay in the cache together.
static constexpr int64_t window = 2048;

int64_t fetches(const Lists &lists, int64_t n, const std::vector<int32_t> &order) {
    std::vector<int32_t> last(static_cast<size_t>(n), -1);
    const int64_t rows = static_cast<int64_t>(lists.starts.size()) - 1;
    int64_t count = 0;
    for (int64_t r = 0; r < rows; ++r) {
        const size_t row = static_cast<size_t>(order.empty() ? r : order[static_cast<size_t>(r)]);
        for (int64_t e = lists.starts[row]; e < lists.starts[row + 1]; ++e) {
            int32_t &seen = last[static_cast<size_t>(lists.indices[static_cast<size_t>(e)])];
            count += seen != r / window;
            seen = static_cast<int32_t>(r / window);
        }
    }
    return count;
}

// Breadth first from a row until there are `patch` of them, then from the row that has waited longest at the edge of
// one.
Orders neighbours_first(const Lists &by_row, const Lists &by_column) {
    constexpr size_t patch = 256;
    constexpr int64_t hub = 64; // a column with more rows is followed once: else many such would take forever
    const size_t m = by_row.starts.size() - 1, n = by_column.starts.size() - 1;
    Orders orders;
    orders.rows.reserve(m);
    orders.columns.reserve(n);
    std::vector<bool> row_seen(m), column_seen(n);
    std::vector<int32_t> waiting, near;
    size_t oldest = 0, unseen = 0;
    const auto meet = [&](size_t row) {
        if (!row_seen[row] && near.size() < 8 * patch) { // enough to go on from, however many there are
            row_seen[row] = true;
            near.push_back(static_cast<int32_t>(row));
        }
    };
    while (orders.rows.size() < m) {
        while (oldest < waiting.size() && row_seen[static_cast<size_t>(waiting[oldest])])
            ++oldest;
        while (oldest == waiting.size() && row_seen[unseen])
            ++unseen;
        near.clear();
        meet(oldest < waiting.size() ? static_cast<size_t>(waiting[oldest]) : unseen);
        size_t next = 0;
        for (; next < near.size() && next < patch; ++next) {
            const size_t row = static_cast<size_t>(near[next]);
            orders.rows.push_back(near[next]);
            for (int64_t e = by_row.starts[row]; e < by_row.starts[row + 1]; ++e) {
                const size_t column = static_cast<size_t>(by_row.indices[static_cast<size_t>(e)]);
                const int64_t first = by_column.starts[column], last = by_column.starts[column + 1];
                const bool known = column_seen[column];
                if (!known) {
                    column_seen[column] = true;
                    orders.columns.push_back(static_cast<int32_t>(column));
                }
                if (m == n) // a graph: the column is a row too
                    meet(column);
                else if (!known || last - first <= hub)
                    for (int64_t f = first; f < last; ++f)
                        meet(static_cast<size_t>(by_column.indices[static_cast<size_t>(f)]));
            }
        }
        for (; next < near.size(); ++next) {
            row_seen[static_cast<size_t>(near[next])] = false;
            waiting.push_back(near[next]);
        }
    }
    for (size_t column = 0; column < n; ++column)
        if (!column_seen[column])
            orders.columns.push_back(static_cast<int32_t>(column));
    return orders;
}

bool can_plan(int64_t m, int64_t k, int64_t n) {
    int64_t slots = 0;
    return !__builtin_mul_overflow(m, k, &slots) && slots <= INT32_MAX && n <= INT32_MAX && m <= INT32_MAX;
}

template <typename Visit> static void each_entry(const Array &indices, const Visit &visit) {
    const int64_t m = indices.shape[indices.rank - 2], k = indices.shape[indices.rank - 1];
    const int64_t down = indices.strides[indices.rank - 2], across = indices.strides[indices.rank - 1];
    const int32_t *const first = reinterpret_cast<const int32_t *>(indices.data);
    for (int64_t i = 0; i < m; ++i)
        for (int64_t e = 0; e < k; ++e)
            if (const int32_t index = first[i * down + e * across]; index >= 0)
                visit(static_cast<int32_t>(i), static_cast<int32_t>(i * k + e), index);
}

// Counting sort: entries of one list keep their order.
template <typename Key> static Lists lists_by(const Array &indices, int64_t count, bool by_row, const Key &key) {
    Lists lists;
    lists.starts.assign(static_cast<size_t>(count) + 1, 0);
    each_entry(indices, [&](int32_t row, int32_t, int32_t column) { ++lists.starts[key(row, column) + 1]; });
    for (size_t i = 0; i < static_cast<size_t>(count); ++i)
        lists.starts[i + 1] += lists.starts[i];
    lists.slots.resize(static_cast<size_t>(lists.starts.back()));
    lists.indices.resize(lists.slots.size());
    std::vector<int64_t> at(lists.starts.begin(), lists.starts.end() - 1);
    each_entry(indices, [&](int32_t row, int32_t slot, int32_t column) {
        const size_t e = static_cast<size_t>(at[key(row, column)]++);
        lists.slots[e] = slot;
        lists.indices[e] = by_row ? column : row;
    });
    return lists;
}

Lists lists_by_row(const Array &indices) {
    return lists_by(indices, indices.shape[indices.rank - 2], true,
                    [](int32_t row, int32_t) { return static_cast<size_t>(row); });
}

Lists lists_by_column(const Array &indices, int64_t n) {
    return lists_by(indices, n, false, [](int32_t, int32_t column) { return static_cast<size_t>(column); });
}

Lists ragged_by_row(const Array &indices, const Array &counts) {
    Lists lists;
    const int64_t m = counts.shape[0], entries = indices.shape[0];
    lists.starts.reserve(static_cast<size_t>(m) + 1);
    lists.starts.push_back(0);
    int64_t at = 0;
    for (int64_t i = 0; i < m; ++i) {
        const int64_t end = at + reinterpret_cast<const int32_t *>(counts.data)[i * counts.strides[0]];
        for (; at < end && at < entries; ++at) {
            const int32_t index = reinterpret_cast<const int32_t *>(indices.data)[at * indices.strides[0]];
            if (index < 0)
                continue;
            lists.slots.push_back(static_cast<int32_t>(at));
            lists.indices.push_back(index);
        }
        lists.starts.push_back(static_cast<int64_t>(lists.slots.size()));
    }
    return lists;
}

Lists ragged_by_column(const Lists &by_row, int64_t n) {
    Lists lists;
    lists.starts.assign(static_cast<size_t>(n) + 1, 0);
    for (const int32_t column : by_row.indices)
        ++lists.starts[static_cast<size_t>(column) + 1];
    for (size_t i = 0; i < static_cast<size_t>(n); ++i)
        lists.starts[i + 1] += lists.starts[i];
    lists.slots.resize(by_row.slots.size());
    lists.indices.resize(by_row.slots.size());
    std::vector<int64_t> at(lists.starts.begin(), lists.starts.end() - 1);
    for (size_t row = 0; row + 1 < by_row.starts.size(); ++row)
        for (int64_t e = by_row.starts[row]; e < by_row.starts[row + 1]; ++e) {
            const size_t to = static_cast<size_t>(at[static_cast<size_t>(by_row.indices[static_cast<size_t>(e)])]++);
            lists.slots[to] = by_row.slots[static_cast<size_t>(e)];
            lists.indices[to] = static_cast<int32_t>(row);
        }
    return lists;
}

static int bucket_of(int64_t length) {
    int bucket = 0;
    while ((int64_t{1} << bucket) < length)
        ++bucket;
    return bucket;
}

// Whether the values of a list's entries do.
static bool lie_side_by_side(const Lists &lists, size_t list) {
    const auto begin = lists.slots.begin() + lists.starts[list], end = lists.slots.begin() + lists.starts[list + 1];
    return std::adjacent_find(begin, end, [](int32_t slot, int32_t next) { return next != slot + 1; }) == end;
}

Plan make_plan(const Lists &lists, const std::vector<int32_t> &order, const std::vector<int32_t> &bucket_of_list) {
    const size_t count = lists.starts.size() - 1;
    const auto list = [&](size_t i) { return order.empty() ? i : static_cast<size_t>(order[i]); };
    const auto length = [&](size_t i) { return lists.starts[i + 1] - lists.starts[i]; };
    Plan plan;
    std::map<int32_t, std::vector<int32_t>> buckets;
    for (size_t i = 0; i < count; ++i) {
        const int32_t bucket = bucket_of_list.empty() ? bucket_of(length(list(i))) : bucket_of_list[list(i)];
        buckets[bucket].push_back(static_cast<int32_t>(list(i)));
    }
    for (const auto &[number, bucket] : buckets) {
        int64_t depth = 1; // lists without entries have padding
        bool side_by_side = true;
        for (const int32_t i : bucket) {
            depth = std::max(depth, length(static_cast<size_t>(i)));
            side_by_side = side_by_side && lie_side_by_side(lists, static_cast<size_t>(i));
        }
        plan.sections.push_back({static_cast<int64_t>(plan.rows.size()), static_cast<int64_t>(bucket.size()),
                                 static_cast<int64_t>(plan.slots.size()), depth,
                                 static_cast<int64_t>(plan.indices.size()), depth, side_by_side});
        plan.rows.insert(plan.rows.end(), bucket.begin(), bucket.end());
        for (const int32_t i : bucket) {
            const auto first = lists.starts[static_cast<size_t>(i)], last = lists.starts[static_cast<size_t>(i) + 1];
            plan.indices.insert(plan.indices.end(), lists.indices.begin() + first, lists.indices.begin() + last);
            plan.indices.insert(plan.indices.end(), static_cast<size_t>(depth - (last - first)), -1);
            const int64_t named = side_by_side ? std::min<int64_t>(last - first, 1) : last - first;
            plan.slots.insert(plan.slots.end(), lists.slots.begin() + first, lists.slots.begin() + first + named);
            plan.slots.insert(plan.slots.end(), static_cast<size_t>((side_by_side ? 1 : depth) - named), 0);
        }
    }
    return plan;
}

void Plan::look_ahead(int64_t n) {
    constexpr int64_t most_columns = 8; // for a row: of more the processor has several under way at once
    std::vector<int64_t> met(static_cast<size_t>(n), -window - 1); // where a column was last named
    std::vector<int32_t> all;
    int64_t before = 0; // rows of the sections before
    for (Section &section : sections) {
        struct First {
            int64_t row;
            int32_t column;
        };
        std::vector<First> firsts;
        const int32_t *const own = indices.data() + section.index;
        for (int64_t e = 0; e < section.rows * section.depth; ++e) {
            if (own[e] < 0)
                continue;
            const int64_t row = e / section.depth;
            int64_t &last = met[static_cast<size_t>(own[e])];
            if (before + row - last > window)
                firsts.push_back({row, own[e]});
            last = before + row;
        }
        before += section.rows;

        // A quarter more than a row needs on average. What is not fewer than its own columns would gain nothing.
        const int64_t needed = (5 * static_cast<int64_t>(firsts.size()) / 4 + section.rows - 1) / section.rows;
        const int64_t spare = needed < section.depth ? std::min(needed, most_columns) : 0;
        const size_t begin = all.size(), apart = static_cast<size_t>(section.depth + spare);
        for (int64_t row = 0; row < section.rows; ++row) {
            const int32_t *const first = own + row * section.depth;
            all.insert(all.end(), first, first + section.depth);
            all.insert(all.end(), static_cast<size_t>(spare), *first); // no gap, which would be a branch mispredicted
        }
        // From the last one: as late as there is room.
        int64_t row = section.rows, room = 0;
        for (auto first = firsts.rbegin(); spare > 0 && first != firsts.rend(); ++first) {
            if (first->row - rows_ahead < row || room == 0) {
                row = std::min(row - 1, first->row - rows_ahead);
                room = spare;
            }
            if (row < 0)
                break;
            all[begin + static_cast<size_t>(row) * apart + static_cast<size_t>(section.depth + --room)] = first->column;
        }
        section.index = static_cast<int64_t>(begin);
        section.apart = static_cast<int64_t>(apart);
    }
    indices = std::move(all);
}

} // namespace nitrix
