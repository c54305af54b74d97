// The attributes of a call, the semiring among them: checked against the op's, defaults filled in.
#pragma once

#include "call.h"

namespace nitrix {

// Sets call.algebra and call.attributes; the call's op and dtype are known.
void read_attributes(Call &call, const nitrix_attribute *attributes, int n);

} // namespace nitrix
