#include "generate/answer.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <random>

#include "base/text.h"
#include "base/utf8.h"
#include "model/golden.h"

namespace lille {
namespace {

struct Streamed {
  std::string text;
  std::string stop;
  std::optional<FinishReason> reason;
  std::size_t n_responses = 0;
};

class AnswerOfTokens : public testing::Test {
 protected:
  Tokenizer tokenizer_ = Tokenizer::load(test::source_path("models/lille-tiny-8bit"));
  ModelArgs args_ = args_with_vocab(tokenizer_.vocab_size());
  std::vector<float> logprobs_ = std::vector<float>(static_cast<std::size_t>(tokenizer_.vocab_size()), -9.0F);

  static ModelArgs args_with_vocab(int64_t vocab_size) {
    ModelArgs args;
    args.vocab_size = vocab_size;
    return args;
  }

  // What an answer of exactly these tokens is, piece by piece.
  Streamed answer(std::span<const int32_t> tokens, StreamOptions options) const {
    Answer answer(tokenizer_, args_, {{1, 2, 3}, 0, 0}, options);
    Streamed streamed;
    for (std::size_t idx = 0; idx < tokens.size() && !answer.is_finished(); ++idx) {
      const GenerateStepResult step = {tokens[idx], logprobs_};
      const GenerationResponse response = answer.add(step, idx + 1 < tokens.size());
      EXPECT_EQ(response.finish_reason.has_value(), answer.is_finished());
      EXPECT_TRUE(response.stop.empty() || answer.is_finished());
      streamed.text += response.text;
      streamed.stop = response.stop;
      streamed.reason = response.finish_reason;
      ++streamed.n_responses;
    }
    return streamed;
  }
};

// The longest of the stops that end where the first of them is complete.
std::pair<std::size_t, std::string> first_stop(std::string_view text, const std::vector<std::string>& stops) {
  std::size_t first_end = std::string_view::npos;
  std::string found;
  for (const std::string& stop : stops) {
    const std::size_t begin = text.find(stop);
    if (begin == std::string_view::npos) continue;
    const std::size_t end = begin + stop.size();
    if (end < first_end || (end == first_end && stop.size() > found.size())) {
      first_end = end;
      found = stop;
    }
  }
  return {found.empty() ? text.size() : first_end - found.size(), found};
}

std::string random_part(std::string_view text, std::mt19937& random) {
  while (true) {
    const std::size_t begin = random() % text.size();
    const std::string part(text.substr(begin, 1 + random() % 12));
    if (is_valid_utf8(part)) return part;
  }
}

TEST_F(AnswerOfTokens, StreamedTextIsTheWholeTextForAThousandRandomStops) {
  const std::string text =
      "The caf\xc3\xa9 was open, and \xe6\xbc\xa2\xe5\xad\x97 stood over its door: "
      "\xf0\x9f\x98\x80\xf0\x9f\x98\x81. "
      "Nobody went in; nobody had gone in for years.\n\nAt noon the owner said: \"Nobody is a good "
      "guest.\"\n";
  const std::vector<int32_t> tokens = tokenizer_.encode(text);
  ASSERT_EQ(tokenizer_.decode(tokens), text);
  std::mt19937 random(7);
  int n_inside_a_token = 0;
  for (int round = 0; round < 1000; ++round) {
    StreamOptions options;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      std::string stop = random_part(text, random);
      // Some begin like the text and go on differently.
      if (random() % 3 == 0) stop += static_cast<char>('a' + random() % 26);
      options.stop.push_back(stop);
    }
    const auto [n_shown, stop] = first_stop(text, options.stop);
    const Streamed streamed = answer(tokens, options);
    ASSERT_EQ(streamed.text, text.substr(0, n_shown)) << "stop: " << options.stop.front();
    ASSERT_EQ(streamed.stop, stop);
    ASSERT_EQ(streamed.reason, stop.empty() ? FinishReason::kLength : FinishReason::kStop);
    // No token is asked for after the one that completes the stop string.
    const std::string read = tokenizer_.decode(std::span(tokens).first(streamed.n_responses));
    const std::string before = tokenizer_.decode(std::span(tokens).first(streamed.n_responses - 1));
    ASSERT_GE(read.size(), n_shown + stop.size());
    ASSERT_TRUE(stop.empty() || before.size() < n_shown + stop.size());
    n_inside_a_token += !stop.empty() && read.size() > n_shown + stop.size();
  }
  EXPECT_GT(n_inside_a_token, 200);
}

TEST_F(AnswerOfTokens, EveryPieceIsWholeCharacters) {
  const std::string text = "\xf0\x9f\x98\x80\xf0\x9f\x98\x81\xe6\xbc\xa2\xe5\xad\x97";
  StreamOptions options;
  options.stop = {"\xe6\xbc\xa2\xe5\xad\x98"};
  const std::vector<int32_t> tokens = tokenizer_.encode(text);
  Answer answer(tokenizer_, args_, {}, options);
  std::string all;
  for (std::size_t idx = 0; idx < tokens.size(); ++idx) {
    const GenerateStepResult step = {tokens[idx], logprobs_};
    const std::string piece = answer.add(step, idx + 1 < tokens.size()).text;
    EXPECT_TRUE(is_valid_utf8(piece)) << printable(piece);
    all += piece;
  }
  EXPECT_EQ(all, text);
}

TEST_F(AnswerOfTokens, AnEndTokenGivesOutWhatWasHeldBack) {
  std::vector<int32_t> tokens = tokenizer_.encode("Yes. En");
  tokens.push_back(tokenizer_.eos_token_id());
  tokens.push_back(5);
  StreamOptions options;
  options.stop = {"End"};
  const Streamed streamed = answer(tokens, options);
  EXPECT_EQ(streamed.text, "Yes. En");
  EXPECT_EQ(streamed.stop, "");
  EXPECT_EQ(streamed.reason, FinishReason::kStop);
  EXPECT_EQ(streamed.n_responses, tokens.size() - 1);
}

TEST_F(AnswerOfTokens, AStopStringInTheLastTokenCounts) {
  StreamOptions options;
  options.stop = {"."};
  const Streamed streamed = answer(tokenizer_.encode("Yes."), options);
  EXPECT_EQ(streamed.text, "Yes");
  EXPECT_EQ(streamed.stop, ".");
  EXPECT_EQ(streamed.reason, FinishReason::kStop);
}

TEST_F(AnswerOfTokens, BytesThatAreNoTextAreKept) {
  const std::vector<int32_t> tokens = tokenizer_.encode(
      "a\xff\xfe"
      "b\xc3");
  StreamOptions options;
  options.stop = {"zzz"};
  EXPECT_EQ(answer(tokens, options).text,
            "a\xff\xfe"
            "b\xc3");
}

TEST_F(AnswerOfTokens, LogprobsOfTheTokenAndTheLikeliest) {
  StreamOptions options;
  options.top_logprobs = 3;
  Answer answer(tokenizer_, args_, {}, options);
  logprobs_[100] = -1;
  logprobs_[7] = -2;
  logprobs_[9] = -2;
  logprobs_[8] = -3;
  const GenerationResponse response = answer.add(GenerateStepResult{8, logprobs_}, true);
  EXPECT_EQ(response.logprob, -3);
  ASSERT_EQ(response.top_logprobs.size(), 3u);
  const std::array<std::pair<int32_t, float>, 3> wanted = {{{100, -1.0F}, {7, -2.0F}, {9, -2.0F}}};
  for (std::size_t idx = 0; idx < wanted.size(); ++idx) {
    EXPECT_EQ(response.top_logprobs[idx].token, wanted[idx].first);
    EXPECT_EQ(response.top_logprobs[idx].logprob, wanted[idx].second);
  }
}

TEST(TopLogprobs, EqualASort) {
  std::mt19937 random(3);
  for (const std::size_t vocab_size : {std::size_t{1}, std::size_t{17}, std::size_t{500}}) {
    std::vector<float> logprobs(vocab_size);
    for (float& value : logprobs) value = -static_cast<float>(random() % 50);
    logprobs[vocab_size / 2] = -std::numeric_limits<float>::infinity();
    std::vector<int32_t> order(vocab_size);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, std::greater(),
                             [&](int32_t id) { return logprobs[static_cast<std::size_t>(id)]; });
    for (const int64_t n : {int64_t{0}, int64_t{1}, static_cast<int64_t>(vocab_size)}) {
      const std::vector<TokenLogprob> top = top_logprobs(logprobs, n);
      ASSERT_EQ(static_cast<int64_t>(top.size()), n);
      for (std::size_t idx = 0; idx < top.size(); ++idx) EXPECT_EQ(top[idx].token, order[idx]);
    }
  }
}

TEST_F(AnswerOfTokens, CountsOfThePrompt) {
  Answer answer(tokenizer_, args_, {{1, 2, 3}, 40, 2}, {});
  const GenerationResponse response = answer.add(GenerateStepResult{8, logprobs_}, true);
  EXPECT_EQ(response.prompt_tokens, 3);
  EXPECT_EQ(response.n_dropped_tokens, 40);
  EXPECT_EQ(response.n_dropped_turns, 2);
}

TEST_F(AnswerOfTokens, BadOptions) {
  const auto refused = [&](std::string_view part, const StreamOptions& options) {
    test::expect_error(ErrorCode::kInvalidArgument, part,
                       [&] { Answer answer(tokenizer_, args_, {}, options); });
  };
  StreamOptions options;
  options.top_logprobs = -1;
  refused("top_logprobs: expected 0 to 32768 (vocab_size), got -1", options);
  options.top_logprobs = INT64_MAX;
  refused("top_logprobs: expected 0 to 32768", options);
  options.top_logprobs = 0;
  options.stop = {""};
  refused("stop: expected strings of at least one character", options);
}

}  // namespace
}  // namespace lille
