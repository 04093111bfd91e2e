#include "lille/draft.h"

#include <algorithm>

#include "base/check.h"
#include "lille/prompt_cache.h"

namespace lille {
namespace {

class LookupDrafter : public Drafter {
 public:
  explicit LookupDrafter(int64_t min_ngram) : min_ngram_(static_cast<std::size_t>(min_ngram)) {}

  std::vector<int32_t> draft(const DraftRequest& request) override {
    const std::span<const int32_t> tokens = request.tokens;
    std::size_t best_end = 0;  // where the best earlier place ends
    std::size_t best_length = min_ngram_ - 1;
    for (std::size_t end = tokens.size() - 1; end > best_length; --end) {
      const std::size_t length = common_suffix(tokens.first(end), tokens);
      if (length <= best_length) continue;
      best_length = length;
      best_end = end;
    }
    if (best_end == 0) return {};
    const std::span<const int32_t> followed = tokens.subspan(best_end);
    const auto n_wanted = static_cast<std::size_t>(request.n_tokens);
    // A place near the end is a repetition with a period: it goes on with what it has drafted itself.
    std::vector<int32_t> drafted;
    while (drafted.size() < n_wanted) drafted.push_back(followed[drafted.size() % followed.size()]);
    return drafted;
  }

 private:
  static std::size_t common_suffix(std::span<const int32_t> a, std::span<const int32_t> b) {
    std::size_t length = 0;
    while (length < a.size() && a[a.size() - 1 - length] == b[b.size() - 1 - length]) ++length;
    return length;
  }

  std::size_t min_ngram_;
};

class ModelDrafter : public Drafter {
 public:
  explicit ModelDrafter(Session& session) : session_(session), cache_(make_prompt_cache(session)) {}

  std::vector<int32_t> draft(const DraftRequest& request) override {
    std::vector<int32_t> tokens(request.tokens.begin(), request.tokens.end());
    const int64_t n_free = cache_.capacity() - static_cast<int64_t>(tokens.size()) + 1;
    const int64_t n_wanted = std::min(request.n_tokens, n_free);
    RandomState random = request.random;
    std::span<const int32_t> unread = reuse_prefix(cache_, tokens);
    std::vector<int32_t> drafted;
    while (static_cast<int64_t>(drafted.size()) < n_wanted) {
      drafted.push_back(next(unread, request, random));
      unread = std::span(drafted).last(1);
    }
    return drafted;
  }

 private:
  // Reads tokens and draws what follows them.
  int32_t next(std::span<const int32_t> tokens, const DraftRequest& request, RandomState& random) {
    while (static_cast<int64_t>(tokens.size()) > kReadAtOnce) {
      read(tokens.first(kReadAtOnce), LogitsFor::kNone, request.cancel);
      tokens = tokens.subspan(kReadAtOnce);
    }
    const std::span<const float> logits = read(tokens, LogitsFor::kLast, request.cancel).values;
    choosable_.assign(logits.begin(), logits.end());
    if (!request.sampler.is_greedy()) log_softmax(choosable_);
    return request.sampler(choosable_, random);
  }

  Logits read(std::span<const int32_t> tokens, LogitsFor logits_for, const std::stop_token& cancel) {
    const BatchItem item = {tokens, &cache_, logits_for};
    return session_.forward(std::span(&item, 1), {cancel, {}, nullptr});
  }

  static constexpr int64_t kReadAtOnce = 128;

  Session& session_;
  PromptCache cache_;
  std::vector<float> choosable_;  // (vocab_size) overwritten by the sampler
};

}  // namespace

std::unique_ptr<Drafter> make_lookup_drafter(int64_t min_ngram) {
  if (min_ngram < 1)
    raise(ErrorCode::kInvalidArgument, "[draft] min_ngram: expected 1 or more, got {}", min_ngram);
  return std::make_unique<LookupDrafter>(min_ngram);
}

std::unique_ptr<Drafter> make_model_drafter(Session& draft_model, const Model& model) {
  const int64_t n_drafted = draft_model.model().args().vocab_size;
  if (n_drafted != model.args().vocab_size)
    raise(ErrorCode::kInvalidArgument,
          "[draft] draft_model: expected a vocabulary of {} tokens (vocab_size), as the model has, got {}. "
          "Hint: only models with the same tokenizer can draft for each other",
          model.args().vocab_size, n_drafted);
  return std::make_unique<ModelDrafter>(draft_model);
}

double DraftStats::acceptance_rate() const noexcept {
  return n_drafted > 0 ? static_cast<double>(n_accepted) / static_cast<double>(n_drafted) : 0;
}

}  // namespace lille
