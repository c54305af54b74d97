#include "generators/core/contraction.h"

namespace nitrix::family {

using namespace Halide;

Contraction::Contraction(const Algebra &algebra, Func a, Func b, Func c, Expr rows, Expr columns, Expr depth)
    : algebra(algebra), a(std::move(a)), b(std::move(b)), c(std::move(c)), rows(std::move(rows)),
      columns(std::move(columns)), depth(std::move(depth)), type(this->a.type()), element(type), steps(this->depth) {}

void Contraction::define_order() {
    blocks = RDom(0, (steps + block - 1) / block, "blocks");
    inside = RDom(0, block, "inside");
    inside.where(ko * block + inside < steps); // TrimNoOps turns this into the loop's bound
}

// Bounds inference does not see the predicate of `inside`.
Expr Contraction::clamped_k() const { return unsafe_promise_clamped(ko * block + inside, 0, steps - 1); }

// Any byte but 0 is true.
Expr Contraction::truth(Expr value) const { return algebra.bit_packed() ? cast(type, value != 0) : value; }

// Which k lies in bit `bit` of word `k`. Neighbours in k are neighbours in words, so that packing works on whole
// vectors. Bits beyond the depth repeat the last k: both operands do, and or is idempotent.
Expr Contraction::packed_k() const { return likely(min(bit * steps + k, depth - 1)); }

static Expr word_of(const std::function<Expr(int)> &byte_of_bit) {
    Expr word;
    for (int b = 0; b < Contraction::word_bits; b += 8) {
        Expr byte = byte_of_bit(b) & cast<uint8_t>(1);
        for (int i = 1; i < 8; ++i)
            byte = byte | (byte_of_bit(b + i) & cast<uint8_t>(1 << i));
        const Expr part = cast<uint32_t>(byte) << cast<uint32_t>(b);
        word = word.defined() ? word | part : part;
    }
    return word;
}

void Contraction::merge_into_c(Expr part) {
    if (packs_bits())
        part = cast(type, part != 0);
    c(j, i, batch) = undef(type); // the first block does not read C: no pass to initialise it
    const Expr before = select(Expr(blocks) == 0, algebra.init(type)[0], c(j, i, batch));
    c(j, i, batch) = algebra.merge({before}, {std::move(part)})[0];
    merge_stage = 0;
    int stages = 1;
    if (!algebra.finalize_is_identity()) {
        c(j, i, batch) = algebra.finalize({c(j, i, batch)});
        finalize_stage = stages++;
    }
    if (algebra.drops_nan()) {
        // A NaN anywhere in row i of A or column j of B makes C[i, j] NaN. Found by two scans at memory speed, applied
        // only where there is one: a max that kept NaN would halve the speed of the inner loop.
        nan_k = RDom(0, depth, "nan_k");
        nan_i = RDom(0, rows, "nan_i");
        nan_j = RDom(0, columns, "nan_j");
        const Expr av = a(nan_k, i, batch), bv = b(j, nan_k, batch);
        nan_a(i, batch) = cast<uint8_t>(0);
        nan_a(i, batch) = max(nan_a(i, batch), cast<uint8_t>(exact::is_nan(av)));
        nan_b(j, batch) = cast<uint8_t>(0);
        nan_b(j, batch) = max(nan_b(j, batch), cast<uint8_t>(exact::is_nan(bv)));
        nan_any(batch) = cast<uint8_t>(0);
        nan_any(batch) = max(nan_any(batch), nan_a(nan_i, batch));
        nan_any(batch) = max(nan_any(batch), nan_b(nan_j, batch));
        poisoned = RDom(0, columns, "poisoned");
        poisoned.where(nan_any(batch) != 0);
        const Expr nan = exact::constant(type, std::numeric_limits<double>::quiet_NaN());
        c(poisoned, i, batch) = select((nan_a(i, batch) | nan_b(poisoned, batch)) != 0, nan, c(poisoned, i, batch));
        poison_stage = stages++;
    }
}

void Contraction::whole() {
    define_order();
    partial(j, i, ko, batch) = algebra.init(type)[0];
    partial(j, i, ko, batch) = algebra.accumulate({partial(j, i, ko, batch)}, truth(a(clamped_k(), i, batch)),
                                                  truth(b(j, clamped_k(), batch)))[0];
    merge_into_c(partial(j, i, blocks, batch));
}

void Contraction::tiled(const ContractionTile &tile, int lanes) {
    if (algebra.bit_packed()) {
        element = UInt(word_bits);
        steps = (depth + word_bits - 1) / word_bits;
    }
    define_order();
    const int tile_rows = tile.rows, tile_columns = tile.vectors * lanes;
    // Clamped reads: an edge tile computes duplicates that the guarded store drops.
    const Expr row = likely(min(i, rows - 1)), column = likely(min(jo * tile_columns + ji, columns - 1));
    if (packs_bits()) {
        const Expr ones = cast<uint8_t>(255), none = cast<uint8_t>(0);
        a_bits(k, bit, i, batch) = select(a(packed_k(), row, batch) != 0, ones, none);
        b_bits(ji, bit, k, jo, batch) = select(b(column, packed_k(), batch) != 0, ones, none);
        a_rows(k, i, batch) = word_of([&](int bit) { return a_bits(k, bit, i, batch); });
        b_panel(ji, k, jo, batch) = word_of([&](int bit) { return b_bits(ji, bit, k, jo, batch); });
    } else {
        a_rows(k, i, batch) = a(k, row, batch);
        b_panel(ji, k, jo, batch) = b(column, k, batch);
    }
    partial(ji, ii, jo, io, ko, batch) = algebra.init(element)[0];
    partial(ji, ii, jo, io, ko, batch) =
        algebra.accumulate({partial(ji, ii, jo, io, ko, batch)}, a_rows(clamped_k(), io * tile_rows + ii, batch),
                           b_panel(ji, clamped_k(), jo, batch))[0];
    merge_into_c(partial(j % tile_columns, i % tile_rows, j / tile_columns, i / tile_rows, blocks, batch));
}

} // namespace nitrix::family
