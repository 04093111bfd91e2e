#pragma once

#include <stop_token>

namespace lille {

/// Sleeps for so many seconds, or until somebody cancels.
/// @throws Error(kCanceled) if `cancel` was asked to stop before the time was over.
void wait_seconds(double seconds, const std::stop_token& cancel);

}  // namespace lille
