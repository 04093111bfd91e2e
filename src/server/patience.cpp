#include "server/patience.h"

#include <algorithm>

namespace lille {

void Patience::note(Duration waited, std::size_t n_bytes) noexcept {
  const std::chrono::duration<double> earned(static_cast<double>(n_bytes) /
                                             static_cast<double>(kMinBytesPerSecond));
  // More than there may be is not counted, so that nothing overflows.
  const Duration given = earned >= most_ ? most_ : std::chrono::duration_cast<Duration>(earned);
  left_ = std::clamp(left_ + given - waited, Duration::zero(), most_);
}

}  // namespace lille
