#include "lille/generate.h"

#include <latch>
#include <thread>

#include "capi/capi.h"

namespace lille::test {
namespace {

// What a callback was told.
struct Told {
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  lille_response last = {};
  int64_t stop_after = -1;  ///< Responses; then it ends the answer.
};

int tell(const lille_response* response, void* user_data) {
  auto& told = *static_cast<Told*>(user_data);
  told.text.append(response->text, static_cast<std::size_t>(response->n_bytes));
  EXPECT_EQ(response->text[response->n_bytes], '\0');
  told.tokens.push_back(response->token);
  told.logprobs.push_back(response->logprob);
  EXPECT_EQ(response->logprobs[response->token], response->logprob);
  EXPECT_EQ(response->vocab_size, 32768);
  if (response->n_top_logprobs > 0) {
    EXPECT_GE(response->top_logprobs[0].logprob, response->logprob);
  }
  told.last = *response;
  return static_cast<int64_t>(told.tokens.size()) == told.stop_after ? 1 : 0;
}

class CapiGenerate : public TinyCapi {
 protected:
  // Sampled, so that every part of the options counts.
  Handle<lille_options> sampled_ = options_with({{"temperature", "0.9"},
                                                 {"top_p", "0.95"},
                                                 {"top_k", "0"},
                                                 {"min_p", "0"},
                                                 {"repetition_penalty", "1"},
                                                 {"seed", "5"},
                                                 {"max_tokens", "24"},
                                                 {"top_logprobs", "2"}});
  std::vector<int32_t> prompt_ = prompt("Once upon a time");

  lille_status generate(lille_session* session, const std::vector<int32_t>& tokens, Told* told,
                        std::string* text, lille_error* error) const {
    char* whole = nullptr;
    int64_t n_bytes = -1;
    const lille_status status =
        lille_generate(session, tokens.data(), static_cast<int64_t>(tokens.size()), sampled_.get(),
                       told == nullptr ? nullptr : tell, told, &whole, &n_bytes, error);
    EXPECT_EQ(whole != nullptr, status == LILLE_OK || status == LILLE_CANCELED);
    if (whole != nullptr && text != nullptr) text->assign(whole, static_cast<std::size_t>(n_bytes));
    lille_free(whole);
    return status;
  }

  std::string answer(lille_session* session, const std::vector<int32_t>& tokens, Told* told = nullptr) const {
    std::string text;
    expect_ok([&](lille_error* error) { return generate(session, tokens, told, &text, error); });
    return text;
  }

  // The answer of the C++ API.
  WholeAnswer twin() const {
    const Model model = Model::load(path_);
    Session session(model, {1, ""});
    StreamOptions options;
    options.sampler = make_sampler({.temperature = 0.9F, .top_p = 0.95F}, 32768);
    options.seed = 5;
    options.max_tokens = 24;
    StreamGenerate stream(session, Tokenizer::load(path_), prompt_, options);
    WholeAnswer whole;
    while (std::optional<GenerationResponse> response = stream.next()) whole.add(std::move(*response));
    return whole;
  }
};

TEST_F(CapiGenerate, TheAnswerIsThatOfTheLibrary) {
  const WholeAnswer wanted = twin();
  Told told;
  EXPECT_EQ(answer(session_.get(), prompt_, &told), wanted.text);
  EXPECT_EQ(told.text, wanted.text);
  ASSERT_EQ(told.tokens.size(), wanted.tokens.size());
  for (std::size_t idx = 0; idx < told.tokens.size(); ++idx) {
    EXPECT_EQ(told.tokens[idx], wanted.tokens[idx].token);
    EXPECT_EQ(told.logprobs[idx], wanted.tokens[idx].logprob);
  }
  EXPECT_EQ(told.last.n_top_logprobs, 2);
  EXPECT_EQ(told.last.seed, 5U);
  EXPECT_EQ(told.last.prompt_tokens, static_cast<int64_t>(prompt_.size()));
  EXPECT_EQ(told.last.generation_tokens, wanted.last.generation_tokens);
  EXPECT_EQ(told.last.finish_reason, LILLE_FINISH_LENGTH);
}

TEST_F(CapiGenerate, WithoutASeedTheOneThatWasTakenIsTold) {
  const auto unseeded = options_with({{"temperature", "0.9"}, {"max_tokens", "8"}});
  Told first;
  const auto n_prompt = static_cast<int64_t>(prompt_.size());
  expect_ok([&](lille_error* error) {
    return lille_generate(session_.get(), prompt_.data(), n_prompt, unseeded.get(), tell, &first, nullptr,
                          nullptr, error);
  });
  const auto seeded =
      options_with({{"temperature", "0.9"}, {"max_tokens", "8"}, {"seed", std::to_string(first.last.seed)}});
  Told again;
  expect_ok([&](lille_error* error) {
    return lille_generate(session_.get(), prompt_.data(), n_prompt, seeded.get(), tell, &again, nullptr,
                          nullptr, error);
  });
  EXPECT_EQ(first.tokens, again.tokens);
}

TEST_F(CapiGenerate, WhatWasReadBeforeChangesNoAnswer) {
  const std::string text = answer(session_.get(), prompt_);
  std::vector<int32_t> longer = prompt_;
  const std::vector<int32_t> more = prompt(text + " And then");
  longer.insert(longer.end(), more.begin() + 1, more.end());
  Told told;
  const std::string second = answer(session_.get(), longer, &told);
  EXPECT_GT(told.last.n_cached_tokens, 3);
  const auto fresh = session_of(model_.get(), options_.get());
  EXPECT_EQ(answer(fresh.get(), longer), second);
  EXPECT_EQ(answer(session_.get(), prompt_), text);
}

TEST_F(CapiGenerate, DraftsChangeNoAnswer) {
  const std::string wanted = answer(session_.get(), prompt_);
  for (const std::string& draft : {std::string("lookup"), path_.string()}) {
    const auto options = options_with({{"threads", "1"}, {"draft", draft}, {"adaptive_draft", "false"}});
    const auto session = session_of(model_.get(), options.get());
    Told told;
    EXPECT_EQ(answer(session.get(), prompt_, &told), wanted) << draft;
    if (draft != "lookup") {
      EXPECT_GT(told.last.n_accepted_tokens, 0);
    }
  }
}

TEST_F(CapiGenerate, ANonZeroReturnEndsItWithWhatWasMade) {
  Told told;
  told.stop_after = 3;
  std::string text;
  lille_error error;
  EXPECT_EQ(generate(session_.get(), prompt_, &told, &text, &error), LILLE_CANCELED);
  EXPECT_NE(std::string_view(error.message).find("callback"), std::string_view::npos) << error.message;
  EXPECT_EQ(told.tokens.size(), 3U);
  EXPECT_EQ(text, told.text);
  EXPECT_FALSE(text.empty());
  EXPECT_TRUE(twin().text.starts_with(text));
  EXPECT_EQ(answer(session_.get(), prompt_), twin().text);
}

TEST_F(CapiGenerate, AnotherThreadEndsIt) {
  struct Meeting {
    std::latch has_begun{1};
    std::latch is_canceled{1};
    int n_calls = 0;
  } meeting;
  const auto wait = [](const lille_response*, void* user_data) {
    auto& where = *static_cast<Meeting*>(user_data);
    if (++where.n_calls > 1) return 0;
    where.has_begun.count_down();
    where.is_canceled.wait();
    return 0;
  };
  std::jthread other([&] {
    meeting.has_begun.wait();
    lille_session_cancel(session_.get());
    meeting.is_canceled.count_down();
  });
  char* text = nullptr;
  EXPECT_EQ(lille_generate(session_.get(), prompt_.data(), static_cast<int64_t>(prompt_.size()),
                           sampled_.get(), wait, &meeting, &text, nullptr, nullptr),
            LILLE_CANCELED);
  EXPECT_EQ(meeting.n_calls, 1);
  lille_free(text);
  other.join();
  // It was that call that was to end, and no later one.
  EXPECT_EQ(answer(session_.get(), prompt_), twin().text);
}

TEST_F(CapiGenerate, ASecondCallOnTheSessionIsRefused) {
  struct Second {
    lille_session* session;
    std::vector<lille_status> statuses = {};
    std::string message = {};
  } second{session_.get()};
  const auto call_again = [](const lille_response*, void* user_data) {
    auto& of = *static_cast<Second*>(user_data);
    const int32_t token = 1;
    lille_error error;
    std::vector<float> room(32768);
    of.statuses = {lille_generate(of.session, &token, 1, nullptr, nullptr, nullptr, nullptr, nullptr, &error),
                   lille_logits(of.session, &token, 1, LILLE_LOGITS_LAST, room.data(), 32768, nullptr)};
    of.message = error.message;
    return 1;
  };
  lille_generate(session_.get(), prompt_.data(), static_cast<int64_t>(prompt_.size()), nullptr, call_again,
                 &second, nullptr, nullptr, nullptr);
  EXPECT_EQ(second.statuses, (std::vector<lille_status>{LILLE_INVALID_ARGUMENT, LILLE_INVALID_ARGUMENT}));
  EXPECT_NE(second.message.find("no other call"), std::string::npos) << second.message;
}

TEST_F(CapiGenerate, ThreadsWithSessionsOfTheirOwnGiveTheSameAnswer) {
  const std::string wanted = answer(session_.get(), prompt_);
  std::vector<std::string> texts(4);
  {
    std::vector<std::jthread> threads;
    for (std::string& text : texts)
      threads.emplace_back([this, &text] {
        const auto session = session_of(model_.get(), options_.get());
        text = answer(session.get(), prompt_);
      });
  }
  for (const std::string& text : texts) EXPECT_EQ(text, wanted);
}

TEST_F(CapiGenerate, ASessionOutlivesTheModelsHandle) {
  const std::string wanted = answer(session_.get(), prompt_);
  model_.reset();
  EXPECT_EQ(answer(session_.get(), prompt_), wanted);
}

TEST_F(CapiGenerate, NoTokensAreAnAnswerToo) {
  const auto none = options_with({{"max_tokens", "0"}});
  const auto count = [](const lille_response* response, void* user_data) {
    EXPECT_EQ(response->token, -1);
    EXPECT_EQ(response->logprobs, nullptr);
    EXPECT_EQ(response->finish_reason, LILLE_FINISH_LENGTH);
    ++*static_cast<int*>(user_data);
    return 0;
  };
  int n_calls = 0;
  char* text = nullptr;
  expect_ok([&](lille_error* error) {
    return lille_generate(session_.get(), prompt_.data(), 1, none.get(), count, &n_calls, &text, nullptr,
                          error);
  });
  EXPECT_EQ(n_calls, 1);
  EXPECT_STREQ(text, "");
  lille_free(text);
}

TEST_F(CapiGenerate, RefusesWhatIsNoPrompt) {
  const int32_t* tokens = prompt_.data();
  char* text = nullptr;
  const auto refused = [&](std::string_view part, lille_session* session, const int32_t* prompt, int64_t n) {
    expect_status(LILLE_INVALID_ARGUMENT, part, [&](lille_error* error) {
      text = reinterpret_cast<char*>(1);
      int64_t n_bytes = 9;
      const lille_status status =
          lille_generate(session, prompt, n, nullptr, nullptr, nullptr, &text, &n_bytes, error);
      EXPECT_EQ(text, nullptr);
      EXPECT_EQ(n_bytes, 0);
      return status;
    });
  };
  refused("session", nullptr, tokens, 1);
  refused("prompt", session_.get(), nullptr, 1);
  for (const int64_t n : {int64_t{0}, int64_t{-1}, kLowest, kHuge})
    refused("prompt", session_.get(), tokens, n);
  for (const int32_t id : {-1, 32768, INT32_MAX, INT32_MIN})
    refused(std::to_string(id), session_.get(), &id, 1);
  const std::vector<int32_t> long_prompt(100'000, 1);
  refused("block_size", session_.get(), long_prompt.data(), 100'000);
}

}  // namespace
}  // namespace lille::test
