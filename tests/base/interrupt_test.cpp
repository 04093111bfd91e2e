#include "base/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>
#include <future>

namespace lille {
namespace {

void expect_stop(const std::stop_token& token) {
  std::promise<void> stopped;
  const std::stop_callback note(token, [&stopped] { stopped.set_value(); });
  EXPECT_EQ(stopped.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
}

TEST(StopOnInterrupt, TheSignalAsksToStop) {
  for (int round = 0; round < 3; ++round) {
    const StopOnInterrupt guard;
    EXPECT_FALSE(guard.token().stop_requested());
    std::raise(SIGINT);
    std::raise(SIGINT);
    expect_stop(guard.token());
  }
}

TEST(StopOnInterrupt, WithoutASignalNothingIsAsked) {
  const auto guard = std::make_unique<StopOnInterrupt>();
  EXPECT_FALSE(guard->token().stop_requested());
}

TEST(StopOnInterrupt, AfterItTheSignalHasItsEffectAgain) {
  { const StopOnInterrupt guard; }
  EXPECT_EXIT(std::raise(SIGINT), testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace lille
