#include "generators/core/contraction.h"

namespace nitrix::family {

using namespace Halide;

Contraction::Contraction(const Algebra &algebra, Func a, Func b, Func c, Expr rows, Expr columns, Expr depth,
                         std::optional<Func> winner)
    : algebra(algebra), lowering(algebra.lowering()), product(lowering ? *lowering->product : algebra), a(std::move(a)),
      b(std::move(b)), c(std::move(c)), winner(std::move(winner)), rows(std::move(rows)), columns(std::move(columns)),
      depth(std::move(depth)), type(this->a.type()), element(type), steps(this->depth) {}

void Contraction::define_order() {
    blocks = RDom(0, (steps + block_length() - 1) / block_length(), "blocks");
    inside = RDom(0, block_length(), "inside");
    inside.where(ko * block_length() + inside < steps); // TrimNoOps turns this into the loop's bound
}

// Bounds inference does not see the predicate of `inside`.
Expr Contraction::clamped_k() const { return unsafe_promise_clamped(ko * block_length() + inside, 0, steps - 1); }

// Any byte but 0 is true.
Expr Contraction::truth(Expr value) const { return algebra.bit_packed() ? cast(type, value != 0) : value; }

// Which k lies in bit `bit` of word `k`. Neighbours in k are neighbours in words, so that packing works on whole
// vectors. Bits beyond the depth repeat the last k: both operands do, and or is idempotent.
Expr Contraction::packed_k() const { return likely(min(bit * steps + k, depth - 1)); }

// A NaN is dropped here and found in the operand itself.
void Contraction::define_maxima() {
    maximum_k = RDom(0, depth, "maximum_k");
    a_maximum(i, batch) = negative_infinity(type);
    a_maximum(i, batch) = exact::ordered_max(a_maximum(i, batch), a(maximum_k, i, batch));
    b_maximum(j, batch) = negative_infinity(type);
    b_maximum(j, batch) = exact::ordered_max(b_maximum(j, batch), b(j, maximum_k, batch));
}

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
    // Nothing is read before the first block: no pass to initialise the result.
    const Expr first = Expr(blocks) == 0;
    if (carries()) {
        // The block comes first: under strict_float, Halide 21 lets a later element of a Tuple read the new value of
        // an earlier one.
        carried(j, i, batch) = Tuple(undef<int32_t>(), undef(type));
        const Expr before = select(first, -1, carried(j, i, batch)[0]);
        const Expr held = select(first, algebra.init(type)[0], carried(j, i, batch)[1]);
        const Expr better = algebra.merge({held}, {std::move(part)})[0];
        carried(j, i, batch) = Tuple(select(better != held, Expr(blocks), before), better);
        c(j, i, batch) = carried(j, i, batch)[1];
        (*winner)(j, i, batch) = carried(j, i, batch)[0];
    } else {
        c(j, i, batch) = undef(type);
        const Expr before = select(first, product.init(type)[0], c(j, i, batch));
        c(j, i, batch) = product.merge({before}, {std::move(part)})[0];
    }
    merge_stage = 0;
    int stages = carries() ? 0 : 1;
    if (lowering) {
        c(j, i, batch) = lowering->result(c(j, i, batch), a_maximum(i, batch), b_maximum(j, batch));
        finalize_stage = stages++;
    } else if (!algebra.finalize_is_identity()) {
        c(j, i, batch) = algebra.finalize({c(j, i, batch)});
        finalize_stage = stages++;
    }
    if (product.drops_nan()) {
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

Expr Contraction::step(Expr sum, Expr x, Expr y, Expr from) const {
    // The tile of `at` does not fit into registers beside the accumulators: as a subtrahend it stays in memory for
    // free.
    if (from.defined())
        return weights_right ? fma(y, x - from, sum) : fma(x, y - from, sum);
    return product.accumulate({sum}, x, y)[0];
}

void Contraction::whole() {
    define_order();
    if (lowering) {
        define_maxima();
        a_rows(k, i, batch) = lowering->operand(a(k, i, batch), a_maximum(i, batch));
        b_rows(j, k, batch) = lowering->operand(b(j, k, batch), b_maximum(j, batch));
    } else {
        a_rows(k, i, batch) = truth(a(k, i, batch));
        b_rows(j, k, batch) = truth(b(j, k, batch));
    }
    partial(j, i, ko, batch) = product.init(type)[0];
    partial(j, i, ko, batch) = step(partial(j, i, ko, batch), a_rows(clamped_k(), i, batch),
                                    b_rows(j, clamped_k(), batch), at ? (*at)(j, i, batch) : Expr());
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
    } else if (lowering) {
        define_maxima();
        a_rows(k, i, batch) = lowering->operand(a(k, row, batch), a_maximum(row, batch));
        // The clamped reads on their own: inside a select's condition they would defeat the loop's partition.
        b_inside(ji, k, jo, batch) = b(column, k, batch);
        maximum_inside(ji, jo, batch) = b_maximum(column, batch);
        b_panel(ji, k, jo, batch) = lowering->operand(b_inside(ji, k, jo, batch), maximum_inside(ji, jo, batch));
    } else {
        a_rows(k, i, batch) = a(k, row, batch);
        b_panel(ji, k, jo, batch) = b(column, k, batch);
    }
    partial(ji, ii, jo, io, ko, batch) = product.init(element)[0];
    if (at)
        at_tile(ji, ii, jo, io, batch) = (*at)(column, likely(min(io * tile_rows + ii, rows - 1)), batch);
    partial(ji, ii, jo, io, ko, batch) =
        step(partial(ji, ii, jo, io, ko, batch), a_rows(clamped_k(), io * tile_rows + ii, batch),
             b_panel(ji, clamped_k(), jo, batch), at ? at_tile(ji, ii, jo, io, batch) : Expr());
    merge_into_c(partial(j % tile_columns, i % tile_rows, j / tile_columns, i / tile_rows, blocks, batch));
}

} // namespace nitrix::family
