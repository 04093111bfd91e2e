#include "grammar/integer_range.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "grammar/matcher.h"

namespace lille {
namespace {

class Integers {
 public:
  Integers(int64_t min, int64_t max) : matcher_(grammar(min, max)) {}

  bool accept(const std::string& text) {
    Matcher::State state = matcher_.start();
    for (const char byte : text) {
      if (state == Matcher::kDead) return false;
      state = matcher_.next(state, static_cast<uint8_t>(byte));
    }
    return state != Matcher::kDead && matcher_.is_accepting(state);
  }

 private:
  static std::shared_ptr<const CompiledGrammar> grammar(int64_t min, int64_t max) {
    RuleSet rules;
    rules.rules[rules.add("root")] = integers_between(min, max);
    return std::make_shared<const CompiledGrammar>(rules);
  }

  Matcher matcher_;
};

TEST(IntegersBetween, AreExactlyThoseBetweenTheBounds) {
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    const auto range = static_cast<int64_t>(round % 3 == 0 ? 20 : 1300);
    int64_t min = static_cast<int64_t>(random() % (2 * range + 1)) - range;
    int64_t max = static_cast<int64_t>(random() % (2 * range + 1)) - range;
    if (min > max) std::swap(min, max);
    Integers integers(min, max);
    for (int64_t value = -1400; value <= 1400; ++value)
      ASSERT_EQ(integers.accept(std::to_string(value)), min <= value && value <= max)
          << value << " in " << min << " to " << max;
    for (const char* text : {"", "-", "-0", "00", "01", "1.", "+1", "1e1"})
      EXPECT_FALSE(integers.accept(text));
  }
}

TEST(IntegersBetween, ReachSixteenDigits) {
  Integers integers(-kMaxWrittenInteger, kMaxWrittenInteger);
  for (const int64_t value :
       {-kMaxWrittenInteger, int64_t{-10}, int64_t{0}, int64_t{1'000'000'000'000'000}, kMaxWrittenInteger})
    EXPECT_TRUE(integers.accept(std::to_string(value))) << value;
  EXPECT_FALSE(integers.accept(std::to_string(kMaxWrittenInteger + 1)));
  Integers one(kMaxWrittenInteger, kMaxWrittenInteger);
  EXPECT_TRUE(one.accept("9999999999999999"));
  EXPECT_FALSE(one.accept("9999999999999998"));
}

}  // namespace
}  // namespace lille
