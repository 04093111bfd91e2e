#include "base/descriptor_limit.h"

#include <sys/resource.h>

#include <limits>

namespace lille {

int64_t raise_descriptor_limit() noexcept {
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kNone;
  const rlim_t soft = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = soft;
  return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > static_cast<rlim_t>(kNone)
             ? kNone
             : static_cast<int64_t>(limit.rlim_cur);
}

}  // namespace lille
