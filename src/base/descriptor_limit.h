#pragma once

#include <cstdint>

namespace lille {

/// Lets this process have as many open files and connections as the system allows it at all: raises the soft
/// limit (ulimit -Sn) to the hard one (ulimit -Hn).
/// @return how many it may have; the greatest number if there is no limit.
/// Source: getrlimit(2), RLIMIT_NOFILE.
int64_t raise_descriptor_limit() noexcept;

}  // namespace lille
