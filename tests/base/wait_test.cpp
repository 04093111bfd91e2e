#include "base/wait.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "support.h"

namespace lille {
namespace {

double seconds_of(const auto& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(WaitSeconds, LastsAsLongAsItWasAsked) {
  EXPECT_GE(seconds_of([] { wait_seconds(0.05, {}); }), 0.05);
}

TEST(WaitSeconds, EndsWhenCanceled) {
  // Longer than any test may last.
  constexpr double kForever = 1e6;
  std::stop_source source;
  std::jthread canceler([&source] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    source.request_stop();
  });
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] { wait_seconds(kForever, source.get_token()); });
}

}  // namespace
}  // namespace lille
