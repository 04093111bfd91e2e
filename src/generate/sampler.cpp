#include "lille/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "generate/filters.h"
#include "generate/probabilities.h"

namespace lille {
namespace {

void check_range(std::string_view name, float value, float high, std::string_view hint) {
  // Written so that NaN fails it.
  if (value >= 0 && value <= high) return;
  if (high == std::numeric_limits<float>::max())
    raise_field(name, "[make_sampler] {}: expected a finite number >= 0, got {}. Hint: {}", name, value,
                hint);
  raise_field(name, "[make_sampler] {}: expected a number in [0, {}], got {}. Hint: {}", name, high, value,
              hint);
}

void check_at_least(std::string_view name, int64_t value, int64_t low, std::string_view hint) {
  if (value < low)
    raise_field(name, "[make_sampler] {}: expected an integer >= {}, got {}. Hint: {}", name, low, value,
                hint);
}

int32_t checked_choice(int32_t token, std::span<const float> logprobs) {
  if (token < 0 || static_cast<size_t>(token) >= logprobs.size())
    raise(ErrorCode::kInvalidArgument, "[sampler] token: expected an id in [0, {}), got {} from the callable",
          logprobs.size(), token);
  if (logprobs[static_cast<size_t>(token)] == -std::numeric_limits<float>::infinity())
    raise(ErrorCode::kInvalidArgument,
          "[sampler] token: expected one that is not excluded, got {} at -inf from the callable", token);
  return token;
}

void check_options(const SamplerOptions& options, int64_t vocab_size) {
  check_at_least("vocab_size", vocab_size, 1, "it is the number of logits of a token");
  check_range("temperature", options.temperature, std::numeric_limits<float>::max(),
              "0 takes the most likely token, 1 samples the model's own distribution");
  check_range("top_p", options.top_p, 1, "0 and 1 switch it off");
  check_range("min_p", options.min_p, 1, "0 switches it off");
  check_at_least("min_tokens_to_keep", options.min_tokens_to_keep, 1, "1 is mlx-lm's default");
  check_at_least("top_k", options.top_k, 0, "0 switches it off");
  check_range("xtc_probability", options.xtc_probability, 1, "0 switches it off");
  check_range("xtc_threshold", options.xtc_threshold, 0.5f, "two tokens cannot both be above one half");
  for (const int32_t token : options.xtc_special_tokens) {
    if (token < 0 || token >= vocab_size)
      raise(ErrorCode::kInvalidArgument,
            "[make_sampler] xtc_special_tokens: expected token ids in [0, {}), got {}. Hint: ids are those "
            "of the "
            "model's own tokenizer",
            vocab_size, token);
  }
}

}  // namespace

Sampler make_sampler(const SamplerOptions& options, int64_t vocab_size) {
  check_options(options, vocab_size);
  Sampler sampler(options.temperature, vocab_size);
  if (options.temperature == 0) return sampler;

  std::vector<Sampler::Filter>& filters = sampler.filters_;
  if (options.top_p > 0 && options.top_p < 1) {
    filters.push_back(
        [top_p = options.top_p](std::span<float> logprobs, RandomState&) { apply_top_p(logprobs, top_p); });
  }
  if (options.min_p > 0) {
    filters.push_back([min_p = options.min_p, n = options.min_tokens_to_keep](
                          std::span<float> logprobs, RandomState&) { apply_min_p(logprobs, min_p, n); });
  }
  if (options.xtc_probability > 0) {
    std::vector<int32_t> special = options.xtc_special_tokens;
    std::sort(special.begin(), special.end());
    special.erase(std::unique(special.begin(), special.end()), special.end());
    filters.push_back([probability = options.xtc_probability, threshold = options.xtc_threshold,
                       special = std::move(special)](std::span<float> logprobs, RandomState& random) {
      apply_xtc(logprobs, probability, threshold, special, random.next());
    });
  }
  if (options.top_k > 0 && options.top_k < vocab_size) {
    filters.push_back(
        [top_k = options.top_k](std::span<float> logprobs, RandomState&) { apply_top_k(logprobs, top_k); });
  }
  return sampler;
}

Sampler make_custom_sampler(Sampler::Choice choice, int64_t vocab_size) {
  if (!choice)
    raise(ErrorCode::kInvalidArgument,
          "[make_custom_sampler] choice: expected a function, got an empty one. Hint: pass a lambda that "
          "takes the log-probabilities");
  check_options(SamplerOptions{}, vocab_size);
  // Not greedy: a callable wants log-probabilities, where the likeliest token could do with logits.
  Sampler sampler(1, vocab_size);
  sampler.choice_ = std::move(choice);
  return sampler;
}

void Sampler::filter(std::span<float> logprobs, RandomState& random) const {
  if (static_cast<int64_t>(logprobs.size()) != vocab_size_)
    raise(ErrorCode::kInvalidShape,
          "[sampler] logprobs: expected ({}), got ({}). Hint: make the sampler with the model's vocab_size",
          vocab_size_, logprobs.size());
  checked_max(logprobs, "sampler");
  for (const Filter& filter : filters_) filter(logprobs, random);
}

int32_t Sampler::operator()(std::span<float> logprobs, RandomState& random) const {
  filter(logprobs, random);
  const float max = checked_max(logprobs, "sampler");
  if (choice_) return checked_choice(choice_(logprobs), logprobs);
  if (is_greedy())
    return static_cast<int32_t>(std::find(logprobs.begin(), logprobs.end(), max) - logprobs.begin());
  return categorical(logprobs, max, temperature_, random.next());
}

}  // namespace lille
