// words = the truth values of x, 32 to a word.
#include "bits.h"
#include "orchestrate.h"

namespace nitrix {

namespace {

void pack(Orchestrator &o, const Call &call) {
    const Array &x = call.arrays[0], &words = call.arrays[1];
    if (o.dry || words.empty())
        return;
    pack_bits(x, static_cast<int>(x.rank + attribute(call, "axis").i), words, o.kernel());
}

} // namespace

extern const Composition compose_semiring_pack_bits;
const Composition compose_semiring_pack_bits = Composed<pack>::composition;

} // namespace nitrix
