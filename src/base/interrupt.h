#pragma once

#include <mutex>
#include <stop_token>
#include <thread>

namespace lille {

/// For programs, never used by the library: while it lives, Ctrl-C (SIGINT) asks to stop instead of ending
/// the process. After it the signal has the effect it had before. At most one lives at a time.
class Interrupts {
 public:
  /// Which signals ask to stop.
  enum class Signals {
    kInterrupt,              ///< SIGINT alone.
    kInterruptAndTerminate,  ///< SIGTERM, with which services are ended, too.
  };

  explicit Interrupts(Signals signals = Signals::kInterrupt);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// Lets the signals that have come so far count no more.
  void forget();

  /// Is asked to stop by the first signal after the last forget(), also by one that has come already.
  std::stop_token token();

 private:
  void watch(const std::stop_token& is_over);

  Signals signals_;
  std::mutex mutex_;  // of source_
  std::stop_source source_;
  std::jthread watcher_;
};

}  // namespace lille
