#include "base/wait.h"

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/check.h"

namespace lille {

void wait_seconds(double seconds, const std::stop_token& cancel) {
  std::mutex mutex;
  std::condition_variable_any condition;
  std::unique_lock lock(mutex);
  condition.wait_for(lock, cancel, std::chrono::duration<double>(seconds), [] { return false; });
  if (cancel.stop_requested()) raise(ErrorCode::kCanceled, "[wait] canceled");
}

}  // namespace lille
