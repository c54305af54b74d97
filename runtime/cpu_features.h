#pragma once

namespace nitrix {

// Whether this machine's processor has the feature (and its operating system saves the registers). An unknown name
// counts as absent.
bool cpu_has(const char *feature);

// The features this file knows, ended by nullptr.
extern const char *const known_cpu_features[];

} // namespace nitrix
