// What is made of drafted tokens, texts and chats, is what is made of others.

#include <algorithm>
#include <functional>

#include "generate/guesser.h"
#include "lille/chat.h"
#include "model/golden.h"

namespace lille {
namespace {

using test::Guesser;
using Ids = std::vector<int32_t>;

class SpeculativeText : public testing::Test {
 protected:
  struct Texts {
    std::vector<std::string> pieces;
    WholeAnswer answer;
    Ids cached;
  };

  StreamOptions options(int64_t max_tokens) const {
    StreamOptions options;
    options.max_tokens = max_tokens;
    options.adaptive_draft = false;
    options.top_logprobs = 3;
    return options;
  }

  Texts run(StreamOptions options, Drafter* drafter) {
    Texts texts;
    PromptCache cache = make_prompt_cache(model_);
    options.prompt_cache = &cache;
    options.drafter = drafter;
    StreamGenerate stream(session_, tokenizer_, prompt_, std::move(options));
    while (auto response = stream.next()) {
      texts.pieces.push_back(response->text);
      texts.answer.add(std::move(*response));
    }
    texts.cached.assign(cache.tokens().begin(), cache.tokens().end());
    return texts;
  }

  Texts expect_same(const StreamOptions& options) {
    Texts plain = run(options, nullptr);
    Session twin(model_, {1, ""});
    const auto itself = make_model_drafter(twin, model_);
    const auto lookup = make_lookup_drafter();
    for (Drafter* drafter : {itself.get(), lookup.get()}) {
      const Texts drafted = run(options, drafter);
      EXPECT_EQ(plain.pieces, drafted.pieces);
      EXPECT_EQ(plain.cached, drafted.cached);
      EXPECT_EQ(plain.answer.last.stop, drafted.answer.last.stop);
      EXPECT_EQ(plain.answer.last.finish_reason, drafted.answer.last.finish_reason);
      EXPECT_EQ(plain.answer.last.generation_tokens, drafted.answer.last.generation_tokens);
      const auto same = [](const TokenLogprob& a, const TokenLogprob& b) {
        return a.token == b.token && a.logprob == b.logprob;
      };
      EXPECT_TRUE(std::ranges::equal(plain.answer.tokens, drafted.answer.tokens, same));
      EXPECT_TRUE(
          std::ranges::equal(plain.answer.top_logprobs, drafted.answer.top_logprobs,
                             [&](const auto& a, const auto& b) { return std::ranges::equal(a, b, same); }));
    }
    return plain;
  }

  Model model_ = test::load_model(test::source_path("models/lille-tiny-8bit"));
  Tokenizer tokenizer_ = Tokenizer::load(model_.path());
  Session session_{model_, {1, ""}};
  Ids prompt_ = tokenizer_.encode("One day, a little girl named Lily");
};

TEST_F(SpeculativeText, StopStringsAndEndTokens) {
  const Texts whole = expect_same(options(60));
  ASSERT_GT(whole.answer.tokens.size(), 20U);
  // Stops inside of runs of drafted tokens, wherever they begin and end.
  for (const std::size_t begin : {5U, 17U, 18U, 19U, 40U}) {
    StreamOptions stopping = options(60);
    stopping.stop = {whole.answer.text.substr(begin, 4)};
    const Texts stopped = expect_same(stopping);
    EXPECT_EQ(stopped.answer.last.finish_reason, FinishReason::kStop);
  }
  // The sixth token becomes an end token, guessed like any other.
  StreamOptions ending = options(60);
  ending.logits_processors.add(
      make_processor([this](std::span<const int32_t> tokens, std::span<float> logits) {
        if (tokens.size() == prompt_.size() + 6)
          logits[static_cast<std::size_t>(tokenizer_.eos_token_id())] = 1e6F;
      }));
  const Texts ended = run(ending, nullptr);
  ASSERT_EQ(ended.answer.tokens.size(), 7U);
  Guesser knowing([&](const DraftRequest& request) {
    Ids guess;
    for (std::size_t idx = request.tokens.size() - prompt_.size(); idx < ended.answer.tokens.size(); ++idx)
      guess.push_back(ended.answer.tokens[idx].token);
    guess.resize(static_cast<std::size_t>(request.n_tokens), 11);
    return guess;
  });
  const Texts drafted = run(ending, &knowing);
  EXPECT_EQ(drafted.pieces, ended.pieces);
  EXPECT_EQ(drafted.cached, ended.cached);
  EXPECT_EQ(drafted.answer.last.finish_reason, FinishReason::kStop);
  EXPECT_TRUE(drafted.answer.last.from_draft);
  EXPECT_EQ(drafted.answer.last.draft.n_passes, 2);
}

TEST_F(SpeculativeText, ChatsAreTheSame) {
  const auto talk = [&](Drafter* drafter) {
    ChatSession chat(session_, tokenizer_);
    std::vector<std::string> texts;
    for (const char* message : {"What is a cell?", "Say it again.", "What is a cell?"}) {
      StreamOptions manner = options(30);
      manner.sampler = make_sampler({.temperature = 0.7F}, 32768);
      manner.seed = 5 + texts.size();
      manner.drafter = drafter;
      const ChatReply reply = chat.answer(message, std::move(manner));
      EXPECT_EQ(reply.draft.n_drafted > 0, drafter != nullptr) << message;
      texts.push_back(reply.text);
    }
    return texts;
  };
  Session twin(model_, {1, ""});
  const auto itself = make_model_drafter(twin, model_);
  EXPECT_EQ(talk(nullptr), talk(itself.get()));
}

}  // namespace
}  // namespace lille
