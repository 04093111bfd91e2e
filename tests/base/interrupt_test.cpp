#include "base/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>
#include <future>

namespace lille {
namespace {

// Ends when the token is asked to stop; the test does not end if it never is.
void expect_stop(const std::stop_token& token) {
  std::promise<void> stopped;
  const std::stop_callback note(token, [&stopped] { stopped.set_value(); });
  stopped.get_future().wait();
}

TEST(Interrupts, TheSignalAsksToStopUntilItIsForgotten) {
  Interrupts interrupts;
  for (int round = 0; round < 3; ++round) {
    const std::stop_token token = interrupts.token();
    EXPECT_FALSE(token.stop_requested());
    std::raise(SIGINT);
    std::raise(SIGINT);
    expect_stop(token);
    expect_stop(interrupts.token());
    interrupts.forget();
  }
}

TEST(Interrupts, ASignalBeforeTheTokenCounts) {
  Interrupts interrupts;
  interrupts.forget();
  std::raise(SIGINT);
  expect_stop(interrupts.token());
}

TEST(Interrupts, WithoutASignalNothingIsAsked) {
  const auto interrupts = std::make_unique<Interrupts>();
  EXPECT_FALSE(interrupts->token().stop_requested());
}

TEST(Interrupts, SIGTERMCountsWhereItIsAskedFor) {
  {
    Interrupts interrupts(Interrupts::Signals::kInterruptAndTerminate);
    std::raise(SIGTERM);
    expect_stop(interrupts.token());
    interrupts.forget();
    std::raise(SIGINT);
    expect_stop(interrupts.token());
  }
  EXPECT_EXIT(std::raise(SIGTERM), testing::KilledBySignal(SIGTERM), "");
}

TEST(Interrupts, AfterItTheSignalHasItsEffectAgain) {
  { const Interrupts interrupts; }
  EXPECT_EXIT(std::raise(SIGINT), testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace lille
