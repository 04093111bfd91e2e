#pragma once

#include <cstdint>

#include "base/thread_pool.h"

namespace lille {

/// How fast the pool's threads read n_bytes of memory together: GB/s (10^9), median of several passes over a
/// buffer of that size. Below the size of the cache it is the cache's speed.
double read_gb_per_s(ThreadPool& pool, int64_t n_bytes);

}  // namespace lille
