#include "lille/logits_processors.h"

#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace lille {
namespace {

constexpr std::string_view kIdHint = "ids are those of the model's own tokenizer";

void check_logits(std::span<const float> logits, int64_t vocab_size) {
  if (static_cast<int64_t>(logits.size()) != vocab_size)
    raise(ErrorCode::kInvalidShape,
          "[logits_processors] logits: expected ({}), got ({}). Hint: make the processors with the model's "
          "vocab_size",
          vocab_size, logits.size());
}

class LogitBias : public LogitsProcessor {
 public:
  LogitBias(const std::map<int32_t, float>& bias, int64_t vocab_size)
      : bias_(bias.begin(), bias.end()), vocab_size_(vocab_size) {}

  void process(std::span<const int32_t>, std::span<float> logits) override {
    check_logits(logits, vocab_size_);
    for (const auto& [token, bias] : bias_) logits[static_cast<size_t>(token)] += bias;
  }

  std::unique_ptr<LogitsProcessor> clone() const override { return std::make_unique<LogitBias>(*this); }

 private:
  std::vector<std::pair<int32_t, float>> bias_;
  int64_t vocab_size_;
};

/// How often a token of the context is penalised.
enum class Occurrences { kFirst, kEach };

/// Changes the logits of the tokens that occur among the last `context_size`. It looks at the tokens anew
/// each time, so there is no state to roll back; `is_seen_` is scratch that is all false between calls.
template <typename Change>
class Penalty : public LogitsProcessor {
 public:
  Penalty(Change change, Occurrences occurrences, int64_t context_size, int64_t vocab_size)
      : change_(change),
        occurrences_(occurrences),
        context_size_(context_size),
        is_seen_(static_cast<size_t>(vocab_size)) {}

  void process(std::span<const int32_t> tokens, std::span<float> logits) override {
    check_logits(logits, static_cast<int64_t>(is_seen_.size()));
    const auto n_tokens = static_cast<int64_t>(tokens.size());
    if (context_size_ > 0 && context_size_ < n_tokens)
      tokens = tokens.last(static_cast<size_t>(context_size_));
    for (const int32_t token : tokens) check_token(token);
    for (const int32_t token : tokens) {
      const auto id = static_cast<size_t>(token);
      if (occurrences_ == Occurrences::kFirst && is_seen_[id]) continue;
      is_seen_[id] = true;
      logits[id] = change_(logits[id]);
    }
    for (const int32_t token : tokens) is_seen_[static_cast<size_t>(token)] = false;
  }

  std::unique_ptr<LogitsProcessor> clone() const override { return std::make_unique<Penalty>(*this); }

 private:
  void check_token(int32_t token) const {
    if (token < 0 || static_cast<size_t>(token) >= is_seen_.size())
      raise(ErrorCode::kInvalidArgument,
            "[logits_processors] tokens: expected ids in [0, {}), got {}. Hint: {}", is_seen_.size(), token,
            kIdHint);
  }

  Change change_;
  Occurrences occurrences_;
  int64_t context_size_;
  std::vector<bool> is_seen_;
};

struct Repetition {
  float penalty;
  float operator()(float logit) const { return logit < 0 ? logit * penalty : logit / penalty; }
};

struct Subtraction {
  float penalty;
  float operator()(float logit) const { return logit - penalty; }
};

class CallableProcessor : public LogitsProcessor {
 public:
  using Callable = std::function<void(std::span<const int32_t>, std::span<float>)>;

  explicit CallableProcessor(Callable callable) : callable_(std::move(callable)) {}

  void process(std::span<const int32_t> tokens, std::span<float> logits) override {
    callable_(tokens, logits);
  }

  std::unique_ptr<LogitsProcessor> clone() const override {
    return std::make_unique<CallableProcessor>(callable_);
  }

 private:
  Callable callable_;
};

void check_penalty(std::string_view name, float value, std::string_view range, bool is_in_range) {
  if (!std::isfinite(value) || !is_in_range)
    raise_field(name, "[make_logits_processors] {}: expected {}, got {}. Hint: 0 switches it off", name,
                range, value);
}

void check_context_size(std::string_view name, int64_t value) {
  if (value < 0)
    raise_field(
        name, "[make_logits_processors] {}: expected an integer >= 0, got {}. Hint: 0 stands for all tokens",
        name, value);
}

void check_options(const LogitsProcessorOptions& options, int64_t vocab_size) {
  if (vocab_size < 1)
    raise(ErrorCode::kInvalidArgument,
          "[make_logits_processors] vocab_size: expected an integer >= 1, got {}. Hint: it is the number of "
          "logits of a "
          "token",
          vocab_size);
  for (const auto& [token, bias] : options.logit_bias) {
    if (token < 0 || token >= vocab_size)
      raise_field("logit_bias",
                  "[make_logits_processors] logit_bias: expected token ids in [0, {}), got {}. Hint: {}",
                  vocab_size, token, kIdHint);
    if (std::isnan(bias) || bias == std::numeric_limits<float>::infinity())
      raise_field(
          "logit_bias",
          "[make_logits_processors] logit_bias: expected numbers below +inf, got {} for token {}. Hint: a "
          "bias of 1000 "
          "makes a token certain, -inf excludes it",
          bias, token);
  }
  check_penalty("repetition_penalty", options.repetition_penalty, "a finite number >= 0",
                options.repetition_penalty >= 0);
  check_penalty("presence_penalty", options.presence_penalty, "a finite number", true);
  check_penalty("frequency_penalty", options.frequency_penalty, "a finite number", true);
  check_context_size("repetition_context_size", options.repetition_context_size);
  check_context_size("presence_context_size", options.presence_context_size);
  check_context_size("frequency_context_size", options.frequency_context_size);
}

}  // namespace

LogitsProcessors::LogitsProcessors(const LogitsProcessors& other) {
  for (const auto& processor : other.processors_) processors_.push_back(processor->clone());
}

LogitsProcessors& LogitsProcessors::operator=(const LogitsProcessors& other) {
  LogitsProcessors copy(other);
  std::swap(processors_, copy.processors_);
  return *this;
}

void LogitsProcessors::add(std::unique_ptr<LogitsProcessor> processor) {
  if (processor != nullptr) processors_.push_back(std::move(processor));
}

void LogitsProcessors::process(std::span<const int32_t> tokens, std::span<float> logits) {
  for (const auto& processor : processors_) processor->process(tokens, logits);
}

void LogitsProcessors::rollback(int64_t n_tokens) {
  for (const auto& processor : processors_) processor->rollback(n_tokens);
}

LogitsProcessors make_logits_processors(const LogitsProcessorOptions& options, int64_t vocab_size) {
  check_options(options, vocab_size);
  LogitsProcessors processors;
  if (!options.logit_bias.empty())
    processors.add(std::make_unique<LogitBias>(options.logit_bias, vocab_size));
  if (options.repetition_penalty != 0) {
    processors.add(std::make_unique<Penalty<Repetition>>(Repetition{options.repetition_penalty},
                                                         Occurrences::kFirst, options.repetition_context_size,
                                                         vocab_size));
  }
  if (options.presence_penalty != 0) {
    processors.add(std::make_unique<Penalty<Subtraction>>(Subtraction{options.presence_penalty},
                                                          Occurrences::kFirst, options.presence_context_size,
                                                          vocab_size));
  }
  if (options.frequency_penalty != 0) {
    processors.add(std::make_unique<Penalty<Subtraction>>(Subtraction{options.frequency_penalty},
                                                          Occurrences::kEach, options.frequency_context_size,
                                                          vocab_size));
  }
  return processors;
}

std::unique_ptr<LogitsProcessor> make_processor(
    std::function<void(std::span<const int32_t>, std::span<float>)> callable) {
  if (!callable)
    raise(ErrorCode::kInvalidArgument,
          "[make_processor] callable: expected a function, got an empty one. Hint: pass a "
          "lambda that takes the tokens and the logits");
  return std::make_unique<CallableProcessor>(std::move(callable));
}

}  // namespace lille
