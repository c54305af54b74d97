// C = I + A + A^2 + ..., in an algebra whose sum is a choice (x + x = x): the best way from i to j of any length.
//
// By halves, D'Alberto and Nicolau's R-Kleene: in
//     | a  b |   the closure a* of the first half joins the ways over it, b := a* b, c := c a*, d := d + c b; then the
//     | c  d |   closure d* those over the second: c := d* c, b := b d*, a := a + b c.
// As many operations as one product, in products that grow with the matrix. At the bottom the block is squared until
// nothing changes.
#include <cstring>

#include "ell.h"
#include "run.h"
#include "square.h"

namespace nitrix {

namespace {

constexpr int64_t bottom = 64;

class Closure {
public:
    Closure(Orchestrator &o, const Call &call) : o_(o), call_(call) {
        // The largest product is that of two halves.
        const int64_t n = call.dims[0], most = n <= bottom ? n : first_half(n);
        product_ = o.scratch(call.dtype, &(size_ = most * most), 1);
        unit_ = o.scratch(call.dtype, &(size_ = 1), 1);
        if (!o.dry)
            fill(unit_, unit_of(call.algebra));
    }

    // c := a closed; their columns have unit stride.
    void run(const Array &a, const Array &c) {
        merge_states(o_, call_.algebra, a, a, c);
        const Array diagonal = diagonal_of(c);
        Array units = unit_;
        units.rank = 2;
        units.shape[0] = diagonal.shape[0];
        units.shape[1] = 1;
        units.strides[0] = 0;
        units.strides[1] = 1;
        merge(diagonal, units);
        close(c);
    }

private:
    static int64_t first_half(int64_t n) { return ((n + 1) / 2 + bottom - 1) / bottom * bottom; }

    void close(const Array &matrix) {
        const int64_t n = matrix.shape[0];
        if (n <= bottom)
            return square(matrix);
        const int64_t half = first_half(n), rest = n - half;
        const Array a = block_of(matrix, 0, half, 0, half), b = block_of(matrix, 0, half, half, rest),
                    c = block_of(matrix, half, rest, 0, half), d = block_of(matrix, half, rest, half, rest);
        close(a);
        add_product(b, a, b);
        add_product(c, c, a);
        add_product(d, c, b);
        close(d);
        add_product(c, d, c);
        add_product(b, b, d);
        add_product(a, b, c);
    }

    // Ways of one step, two, four, ...: with units on the diagonal none is lost. A cycle may have n steps.
    void square(const Array &matrix) {
        const int64_t n = matrix.shape[0];
        for (int64_t steps = 1; steps < n; steps *= 2) {
            const Array squared = multiply(matrix, matrix);
            if (o_.dry || !replace(matrix, squared))
                return;
        }
    }

    // Whether that changed anything.
    static bool replace(const Array &to, const Array &from) {
        bool changed = false;
        const int64_t size = dtype_bytes(to.dtype), bytes = to.shape[1] * size;
        for (int64_t i = 0; i < to.shape[0]; ++i) {
            char *const row = to.data + i * to.strides[0] * size;
            const char *const other = from.data + i * from.strides[0] * size;
            changed |= std::memcmp(row, other, static_cast<size_t>(bytes)) != 0;
            std::memcpy(row, other, static_cast<size_t>(bytes));
        }
        return changed;
    }

    Array multiply(const Array &a, const Array &b) {
        Array product = product_;
        product.rank = 2;
        product.shape[0] = a.shape[0];
        product.shape[1] = product.strides[0] = b.shape[1];
        product.strides[1] = 1;
        o_.call("semiring_matmul", call_.algebra, {a, b, product});
        return product;
    }

    void add_product(const Array &to, const Array &a, const Array &b) { merge(to, multiply(a, b)); }

    // In place, which an elementwise kernel can do, and can do twice, as merging again changes nothing.
    void merge(const Array &to, const Array &other) { merge_states(o_, call_.algebra, to, other, to); }

    Orchestrator &o_;
    const Call &call_;
    int64_t size_ = 0;
    Array product_, unit_;
};

void closure(Orchestrator &o, const Call &call) {
    const Array &a = call.arrays[0], &c = call.arrays[1];
    if (c.empty())
        return;
    const BroadcastSum all(call, c, 2);
    Closure one(o, call);
    const OutputInParts output(o, c);
    for (int64_t i = 0; i < (o.dry ? 1 : all.items()); ++i) {
        const Array item = all.item_of_term(c, 2, i, 0);
        one.run(last_two(all.item_of_term(a, 2, i, 0)), last_two(output.of(item)));
        output.store(item);
    }
}

} // namespace

extern const Composition compose_semiring_closure;
const Composition compose_semiring_closure = Composed<closure>::composition;

} // namespace nitrix
