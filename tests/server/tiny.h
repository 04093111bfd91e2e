#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lille/generate.h"
#include "model/golden.h"
#include "server/scheduler.h"

namespace lille::test {

/// How long a test waits for what must come; one that waits so long has failed.
inline constexpr std::chrono::milliseconds kLong = std::chrono::minutes(4);

/// The small model of the repository and what goes with it.
class TinyModel : public testing::Test {
 protected:
  Model model_ = test::load_model(test::source_path("models/lille-tiny-8bit"));
  Tokenizer tokenizer_ = Tokenizer::load(model_.path());
  Session session_{model_, {1, ""}};

  std::vector<int32_t> ids(std::string_view text) const {
    std::vector<int32_t> tokens = tokenizer_.encode(text);
    tokens.insert(tokens.begin(), tokenizer_.bos_token_id());
    return tokens;
  }

  StreamOptions sampled(uint64_t seed, int64_t max_tokens) const {
    StreamOptions options;
    options.sampler = make_sampler({.temperature = 0.9F, .top_p = 0.95F}, model_.args().vocab_size);
    options.seed = seed;
    options.max_tokens = max_tokens;
    options.top_logprobs = 2;
    return options;
  }

  /// What the request gets from a session of its own that has read nothing before.
  WholeAnswer alone(const AnswerRequest& request) const {
    Session session(model_, {1, ""});
    StreamGenerate stream(session, tokenizer_, request.prompt, request.options);
    WholeAnswer answer;
    while (std::optional<GenerationResponse> response = stream.next()) answer.add(std::move(*response));
    return answer;
  }
};

/// A logits processor that stops the thread it runs in at one token, until it is let go. The thread may still
/// be on its way out when the gate is gone, so what both use belongs to both.
class Gate {
 public:
  /// @param token_idx  of the answer; earlier ones pass.
  explicit Gate(int64_t token_idx) : state_(std::make_shared<State>(token_idx)) {}
  ~Gate() { open(); }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// To be put into the options of one answer.
  std::unique_ptr<LogitsProcessor> processor() const {
    return make_processor([state = state_](std::span<const int32_t>, std::span<float>) { state->pass(); });
  }
  /// Returns when the thread stands at the gate.
  void await() const {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return state_->n_calls > state_->token_idx; });
  }
  void open() const {
    const std::scoped_lock lock(state_->mutex);
    state_->is_open = true;
    state_->changed.notify_all();
  }
  /// Tokens that came to it.
  int64_t n_calls() const {
    const std::scoped_lock lock(state_->mutex);
    return state_->n_calls;
  }

 private:
  struct State {
    explicit State(int64_t idx) : token_idx(idx) {}

    void pass() {
      std::unique_lock lock(mutex);
      if (n_calls++ != token_idx) return;
      changed.notify_all();
      changed.wait(lock, [this] { return is_open; });
    }

    const int64_t token_idx;
    std::mutex mutex;
    std::condition_variable changed;
    int64_t n_calls = 0;
    bool is_open = false;
  };
  std::shared_ptr<State> state_;
};

/// Has the scheduler's thread stand at the gate, in this answer; returns when it does.
inline std::unique_ptr<Scheduler::Answers> block(Scheduler& scheduler, const Gate& gate,
                                                 AnswerRequest request) {
  request.options.logits_processors.add(gate.processor());
  auto answers = scheduler.answer({std::move(request)});
  gate.await();
  return answers;
}

/// Everything that answers say until their end, in the order of the requests.
inline std::vector<WholeAnswer> collect(Scheduler::Answers& answers, std::size_t n_answers) {
  std::vector<WholeAnswer> whole(n_answers);
  while (!answers.has_ended()) {
    std::optional<AnswerEvent> event = answers.next(kLong);
    if (!event) {
      ADD_FAILURE() << "an answer did not come to its end";
      break;
    }
    if (event->error) {
      ADD_FAILURE() << event->error->what();
      continue;
    }
    whole.at(event->answer_idx).add(std::move(event->response));
  }
  return whole;
}

/// Expects two answers to be the same, bit for bit.
inline void expect_equal(const WholeAnswer& actual, const WholeAnswer& wanted, const std::string& what) {
  const auto is_same = [](const TokenLogprob& one, const TokenLogprob& other) {
    return one.token == other.token && one.logprob == other.logprob;
  };
  EXPECT_EQ(actual.text, wanted.text) << what;
  EXPECT_TRUE(std::ranges::equal(actual.tokens, wanted.tokens, is_same)) << what;
  EXPECT_EQ(actual.top_logprobs.size(), wanted.top_logprobs.size()) << what;
  for (std::size_t idx = 0; idx < std::min(actual.top_logprobs.size(), wanted.top_logprobs.size()); ++idx)
    EXPECT_TRUE(std::ranges::equal(actual.top_logprobs[idx], wanted.top_logprobs[idx], is_same)) << what;
  EXPECT_EQ(actual.last.finish_reason, wanted.last.finish_reason) << what;
  EXPECT_EQ(actual.last.generation_tokens, wanted.last.generation_tokens) << what;
}

}  // namespace lille::test
