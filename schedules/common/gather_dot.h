// The schedules of the gather_dot family.
#pragma once

#include "generators/core/gather_dot.h"

namespace nitrix {

void dot_one_by_one(family::GatherDot &f);

// The lanes of an entry's sum in vectors; rows on threads.
void dot_lanes(family::GatherDot &f, int lanes);

} // namespace nitrix
