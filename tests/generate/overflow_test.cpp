#include "lille/overflow.h"

#include <gtest/gtest.h>

#include <numeric>

#include "support.h"

namespace lille {
namespace {

class FitPrompt : public testing::Test {
 protected:
  Tokenizer tokenizer_ = Tokenizer::load(test::source_path("models/lille-tiny-8bit"));
  int32_t bos_ = tokenizer_.bos_token_id();
  int32_t user_ = tokenizer_.user_token_id();

  // n ordinary tokens: 0, 1, 2, ...
  static std::vector<int32_t> counted(std::size_t n) {
    std::vector<int32_t> tokens(n);
    std::iota(tokens.begin(), tokens.end(), 0);
    return tokens;
  }
  std::vector<int32_t> with_bos(std::size_t n) const {
    std::vector<int32_t> tokens = counted(n);
    tokens.insert(tokens.begin(), bos_);
    return tokens;
  }
  // A chat whose turns have these many tokens, `<|user|>` included; each token says which turn it is of.
  std::vector<int32_t> chat(std::initializer_list<std::size_t> turns) const {
    std::vector<int32_t> tokens = {bos_};
    int32_t turn_idx = 0;
    for (const std::size_t n_tokens : turns) {
      tokens.push_back(user_);
      tokens.insert(tokens.end(), n_tokens - 1, turn_idx++);
    }
    return tokens;
  }
  FittedPrompt fit(const std::vector<int32_t>& prompt, int64_t max_tokens, Overflow overflow) const {
    return fit_prompt(prompt, tokenizer_, 64, max_tokens, overflow);
  }
};

TEST_F(FitPrompt, OneThatFitsStaysWhateverTheAnswerNeeds) {
  for (const Overflow overflow : {Overflow::kError, Overflow::kTruncateLeft, Overflow::kTrimTurns}) {
    for (const std::size_t n : {std::size_t{1}, std::size_t{63}, std::size_t{64}}) {
      const FittedPrompt fitted = fit(counted(n), 256, overflow);
      EXPECT_EQ(fitted.tokens, counted(n));
      EXPECT_EQ(fitted.n_dropped_tokens, 0);
      EXPECT_EQ(fitted.n_dropped_turns, 0);
    }
    EXPECT_TRUE(fit({}, 1, overflow).tokens.empty());
  }
}

TEST_F(FitPrompt, AnErrorSaysBothLengths) {
  test::expect_error(ErrorCode::kInvalidArgument,
                     "prompt: 65 tokens are more than the context of 64 tokens (block_size)",
                     [&] { fit(counted(65), 1, Overflow::kError); });
}

TEST_F(FitPrompt, TruncateLeftKeepsTheEndAndRoomForTheAnswer) {
  const FittedPrompt fitted = fit(counted(100), 11, Overflow::kTruncateLeft);
  EXPECT_EQ(fitted.tokens.size(), 64u - 10);
  EXPECT_EQ(fitted.tokens.front(), 100 - 54);
  EXPECT_EQ(fitted.tokens.back(), 99);
  EXPECT_EQ(fitted.n_dropped_tokens, 46);
  EXPECT_EQ(fitted.n_dropped_turns, 0);
}

TEST_F(FitPrompt, TruncateLeftKeepsStartOfText) {
  const FittedPrompt fitted = fit(with_bos(100), 1, Overflow::kTruncateLeft);
  EXPECT_EQ(fitted.tokens.size(), 64u);
  EXPECT_EQ(fitted.tokens[0], bos_);
  EXPECT_EQ(fitted.tokens[1], 100 - 63);
  EXPECT_EQ(fitted.n_dropped_tokens, 101 - 64);
}

TEST_F(FitPrompt, HalfOfTheContextStaysThePrompts) {
  EXPECT_EQ(fit(counted(100), 1'000'000'000, Overflow::kTruncateLeft).tokens.size(), 32u);
  EXPECT_EQ(fit(counted(100), 0, Overflow::kTruncateLeft).tokens.size(), 64u);
}

TEST_F(FitPrompt, TrimTurnsDropsTheOldestWholeTurns) {
  const FittedPrompt fitted = fit(chat({30, 20, 25}), 1, Overflow::kTrimTurns);
  std::vector<int32_t> wanted = {bos_, user_};
  wanted.insert(wanted.end(), 19, 1);
  wanted.push_back(user_);
  wanted.insert(wanted.end(), 24, 2);
  EXPECT_EQ(fitted.tokens, wanted);
  EXPECT_EQ(fitted.n_dropped_turns, 1);
  EXPECT_EQ(fitted.n_dropped_tokens, 30);
}

TEST_F(FitPrompt, TrimTurnsLeavesRoomForTheAnswer) {
  const FittedPrompt fitted = fit(chat({30, 20, 25}), 31, Overflow::kTrimTurns);
  EXPECT_EQ(fitted.tokens.size(), 26u);
  EXPECT_EQ(fitted.n_dropped_turns, 2);
  EXPECT_EQ(fitted.n_dropped_tokens, 50);
}

TEST_F(FitPrompt, TrimTurnsKeepsALastTurnThatLeavesLessRoom) {
  const FittedPrompt fitted = fit(chat({30, 63}), 256, Overflow::kTrimTurns);
  EXPECT_EQ(fitted.tokens.size(), 64u);
  EXPECT_EQ(fitted.n_dropped_turns, 1);
}

TEST_F(FitPrompt, TrimTurnsWithALastTurnThatIsTooLongIsAnError) {
  test::expect_error(ErrorCode::kInvalidArgument,
                     "prompt: 95 tokens are more than the context of 64 tokens (block_size), and so is its "
                     "last turn of 65 tokens",
                     [&] {
                       fit(chat({30, 64}), 1, Overflow::kTrimTurns);
                     });
  test::expect_error(ErrorCode::kInvalidArgument, "and so is its last turn of 65",
                     [&] { fit(counted(65), 1, Overflow::kTrimTurns); });
}

// A chat cut by turns is the chat of the messages that stay.
TEST_F(FitPrompt, TrimTurnsEqualsAChatOfFewerMessages) {
  std::vector<ChatMessage> messages;
  for (int turn = 0; turn < 12; ++turn) {
    messages.push_back({"user", "What is the number <|user|> of turn " + std::to_string(turn) + "?"});
    messages.push_back({"assistant", std::string("It is ").append(std::to_string(turn * 111)).append(".")});
  }
  messages.push_back({"user", "And then?"});
  const FittedPrompt fitted = fit(tokenizer_.apply_chat_template(messages), 10, Overflow::kTrimTurns);
  ASSERT_GT(fitted.n_dropped_turns, 0);
  ASSERT_LT(fitted.n_dropped_turns, 12);
  const std::span<const ChatMessage> kept =
      std::span(messages).subspan(2 * static_cast<std::size_t>(fitted.n_dropped_turns));
  EXPECT_EQ(fitted.tokens, tokenizer_.apply_chat_template(kept));
  EXPECT_LE(fitted.tokens.size(), 64u - 9);
  const std::span<const ChatMessage> one_more =
      std::span(messages).subspan(2 * static_cast<std::size_t>(fitted.n_dropped_turns - 1));
  EXPECT_GT(tokenizer_.apply_chat_template(one_more).size(), 64u - 9) << "no more leaves than must";
}

TEST_F(FitPrompt, TextBeforeTheFirstTurnLeavesWithIt) {
  std::vector<int32_t> prompt = counted(10);
  const std::vector<int32_t> turns = chat({30, 40});
  prompt.insert(prompt.end(), turns.begin() + 1, turns.end());
  const FittedPrompt fitted = fit(prompt, 1, Overflow::kTrimTurns);
  EXPECT_EQ(fitted.tokens.size(), 40u);
  EXPECT_EQ(fitted.n_dropped_turns, 1);
  EXPECT_EQ(fitted.n_dropped_tokens, 40);
}

TEST(OverflowNames, GoBothWays) {
  for (const Overflow overflow : {Overflow::kError, Overflow::kTruncateLeft, Overflow::kTrimTurns})
    EXPECT_EQ(overflow_from_name(overflow_name(overflow)), overflow);
  EXPECT_EQ(overflow_name(Overflow::kTrimTurns), "trim-turns");
  EXPECT_FALSE(overflow_from_name("shift"));
  EXPECT_FALSE(overflow_from_name(""));
}

}  // namespace
}  // namespace lille
