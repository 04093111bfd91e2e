#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace lille {

/// How long a client is still waited for while it takes a reply. Waiting uses it up and bytes that the client
/// takes give it back, so that a client that takes one byte now and then is given up as one that takes none.
class Patience {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  /// Who takes less than this for long is given up.
  static constexpr int64_t kMinBytesPerSecond = 1024;

  /// @param most  what there is at first, and never more.
  explicit Patience(Duration most) : most_(most), left_(most) {}

  Duration left() const noexcept { return left_; }
  /// Calls send(deadline), which returns how many bytes the client took until then, and notes how long that
  /// was.
  template <typename Send>
  std::size_t spend(Send send) {
    const Time begin = std::chrono::steady_clock::now();
    const std::size_t n_bytes = send(begin + left_);
    note(std::chrono::steady_clock::now() - begin, n_bytes);
    return n_bytes;
  }
  /// The client was waited for and took some bytes, or none.
  void note(Duration waited, std::size_t n_bytes) noexcept;
  /// The next reply begins.
  void restore() noexcept { left_ = most_; }

 private:
  Duration most_;
  Duration left_;
};

}  // namespace lille
