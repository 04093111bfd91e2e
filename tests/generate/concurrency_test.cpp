// Several threads at once: one model for all of them, and a stop that another thread asks for.

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "lille/generate.h"
#include "model/golden.h"

namespace lille {
namespace {

// A thread that asks for a stop when it is told to.
class Stopper {
 public:
  Stopper()
      : thread_([this] {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [this] { return is_wanted_; });
          source_.request_stop();
          is_done_ = true;
          changed_.notify_all();
        }) {}

  // Returns when the other thread has asked.
  void stop() {
    std::unique_lock lock(mutex_);
    is_wanted_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return is_done_; });
  }
  std::stop_token token() const { return source_.get_token(); }

  ~Stopper() { stop(); }

 private:
  std::stop_source source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_wanted_ = false;
  bool is_done_ = false;
  std::jthread thread_;
};

class Concurrency : public testing::Test {
 protected:
  Model model_ = test::load_model(test::source_path("models/lille-tiny-8bit"));
  Tokenizer tokenizer_ = Tokenizer::load(test::source_path("models/lille-tiny-8bit"));
  Session session_{model_, {2, ""}};
  std::vector<int32_t> long_prompt_ = std::vector<int32_t>(400, 5);
};

TEST_F(Concurrency, APassStopsBeforeItsNextBlock) {
  const int64_t n_layer = model_.args().n_layer;
  for (const int64_t last_block : {int64_t{1}, n_layer / 2, n_layer - 1}) {
    Stopper stopper;
    int64_t n_blocks = 0;
    ForwardOptions options;
    options.cancel = stopper.token();
    options.on_progress = [&](int64_t n_done, int64_t) {
      n_blocks = n_done;
      if (n_done == last_block) stopper.stop();
    };
    PromptCache first(model_);
    PromptCache second(model_);
    const BatchItem batch[] = {{long_prompt_, &first, LogitsFor::kLast},
                               {std::span(long_prompt_).first(30), &second, LogitsFor::kLast}};
    test::expect_error(ErrorCode::kCanceled, "canceled", [&] { session_.forward(batch, options); });
    EXPECT_EQ(n_blocks, last_block);
    EXPECT_EQ(first.offset(), 0);
    EXPECT_EQ(second.offset(), 0);
  }
}

TEST_F(Concurrency, AnAnswerStopsWhileItsPromptIsRead) {
  Stopper stopper;
  std::vector<int64_t> progress;
  StreamOptions options;
  options.cancel = stopper.token();
  options.prefill_step_size = 64;
  PromptCache cache(model_);
  options.prompt_cache = &cache;
  options.prompt_progress_callback = [&](int64_t n_processed, int64_t) {
    progress.push_back(n_processed);
    if (n_processed == 128) stopper.stop();
  };
  StreamGenerate stream(session_, tokenizer_, long_prompt_, options);
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] { stream.next(); });
  EXPECT_EQ(progress, (std::vector<int64_t>{64, 128}));
  EXPECT_EQ(cache.offset(), 128) << "the pass that was stopped left nothing behind";

  Stopper other;
  GenerateStepOptions step_options;
  step_options.cancel = other.token();
  GenerateStep steps(session_, std::span(long_prompt_).first(8), step_options);
  EXPECT_TRUE(steps.next());
  other.stop();
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] { steps.next(); });
}

TEST_F(Concurrency, SixteenThreadsGiveTheSerialAnswers) {
  constexpr std::size_t kThreads = 16;
  const auto answer = [this](std::size_t idx) {
    Session session(model_, {1 + static_cast<int64_t>(idx % 2), ""});
    StreamOptions options;
    options.sampler =
        make_sampler({.temperature = 0.9F, .top_p = 0.95F, .top_k = 200}, model_.args().vocab_size);
    options.logits_processors =
        make_logits_processors({.repetition_penalty = 1.1F}, model_.args().vocab_size);
    options.seed = idx;
    options.max_tokens = 12;
    // Every fourth prompt is the same, so that the seed makes the difference.
    const std::vector<int32_t> prompt =
        tokenizer_.encode("Once upon a time there was number " + std::to_string(idx % 4));
    return generate(session, tokenizer_, prompt, options);
  };
  std::vector<std::string> serial;
  for (std::size_t idx = 0; idx < kThreads; ++idx) serial.push_back(answer(idx));
  std::vector<std::string> together(kThreads);
  {
    std::vector<std::jthread> threads;
    for (std::size_t idx = 0; idx < kThreads; ++idx)
      threads.emplace_back([&, idx] { together[idx] = answer(idx); });
  }
  EXPECT_EQ(together, serial);
  std::ranges::sort(serial);
  EXPECT_EQ(std::ranges::unique(serial).begin(), serial.end()) << "equal answers would hide a mix-up";
}

}  // namespace
}  // namespace lille
