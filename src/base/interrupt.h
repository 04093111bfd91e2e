#pragma once

#include <stop_token>
#include <thread>

namespace lille {

/// For programs, never used by the library: while it lives, Ctrl-C (SIGINT) asks to stop instead of ending
/// the process. After it the signal has the effect it had before. At most one lives at a time.
class StopOnInterrupt {
 public:
  StopOnInterrupt();
  ~StopOnInterrupt();
  StopOnInterrupt(const StopOnInterrupt&) = delete;
  StopOnInterrupt& operator=(const StopOnInterrupt&) = delete;

  /// Is asked to stop by the signal, at once.
  std::stop_token token() const noexcept { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::jthread watcher_;
};

}  // namespace lille
