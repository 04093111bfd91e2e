#include "model/rope_choice.h"

#include <array>
#include <cmath>

#include "base/check.h"
#include "model/rope_text.h"
#include "model/session.h"

namespace lille {
namespace {

constexpr std::size_t kMaxTokens = 1024;
constexpr int64_t kChunk = 128;
constexpr double kStandardErrors = 3;

// Losses of the same predictions under one layout.
struct Contender {
  double mean() const {
    double sum = 0;
    for (const double loss : losses) sum += loss;
    return sum / static_cast<double>(losses.size());
  }

  RopeLayout layout;
  PromptCache cache;
  std::vector<double> losses = {};
};

// Reads ids [begin, begin + n) and keeps the loss of each next id.
void read_chunk(SessionState& state, Contender& contender, std::span<const int32_t> ids, int64_t begin,
                int64_t n) {
  const auto first = static_cast<std::size_t>(begin);
  const auto n_ids = static_cast<std::size_t>(n);
  const BatchItem item = {ids.subspan(first, n_ids), &contender.cache, LogitsFor::kAll};
  state.rope_layout = contender.layout;
  forward_pass(Access::parts(state.model), state, std::span(&item, 1), {});
  for (const double loss :
       ops::cross_entropy(state.device, state.workspace.logits, ids.subspan(first + 1, n_ids)))
    contender.losses.push_back(loss);
}

// Whether `other` is worse by more than kStandardErrors standard errors of the paired difference.
bool is_clearly_worse(const Contender& other, const Contender& best) {
  const auto n = static_cast<double>(best.losses.size());
  const double mean = other.mean() - best.mean();
  double squares = 0;
  for (std::size_t idx = 0; idx < best.losses.size(); ++idx) {
    const double deviation = other.losses[idx] - best.losses[idx] - mean;
    squares += deviation * deviation;
  }
  return mean > kStandardErrors * std::sqrt(squares / (n - 1) / n);
}

const Contender* clear_winner(std::span<const Contender> contenders) {
  const Contender* best = &contenders.front();
  for (const Contender& contender : contenders)
    if (contender.mean() < best->mean()) best = &contender;
  for (const Contender& contender : contenders)
    if (&contender != best && !is_clearly_worse(contender, *best)) return nullptr;
  return best;
}

}  // namespace

RopeChoice measure_rope_layout(const Model& model, const Tokenizer& tokenizer, const SessionOptions& options,
                               const std::function<void(int64_t n_done, int64_t n_total)>& on_progress) {
  std::vector<int32_t> ids = tokenizer.encode(kRopeText);
  LILLE_CHECK(ids.size() > kMaxTokens);
  ids.resize(kMaxTokens + 1);
  SessionState state(model, RopeLayout::kInterleaved, options);
  std::vector<Contender> contenders;
  for (const RopeLayout layout : kRopeLayouts) contenders.push_back({layout, make_prompt_cache(model)});

  const Contender* winner = nullptr;
  const int64_t chunk = std::min(kChunk, model.args().block_size);
  const int64_t n_chunks = (static_cast<int64_t>(kMaxTokens) + chunk - 1) / chunk;
  int64_t n_passes = 0;
  for (int64_t begin = 0; begin < static_cast<int64_t>(kMaxTokens) && winner == nullptr; begin += chunk) {
    const int64_t n = std::min(chunk, static_cast<int64_t>(kMaxTokens) - begin);
    for (Contender& contender : contenders) {
      if (contender.cache.offset() + n > model.args().block_size)
        contender.cache.trim(contender.cache.offset());
      read_chunk(state, contender, ids, begin, n);
      if (on_progress) on_progress(++n_passes, n_chunks * static_cast<int64_t>(contenders.size()));
    }
    winner = clear_winner(contenders);
  }

  RopeChoice choice;
  choice.layout = winner == nullptr ? RopeLayout::kInterleaved : winner->layout;
  choice.source = winner == nullptr ? RopeSource::kDefault : RopeSource::kMeasured;
  choice.n_tokens = static_cast<int64_t>(contenders.front().losses.size());
  for (const Contender& contender : contenders)
    choice.perplexities.push_back({contender.layout, std::exp(contender.mean())});
  return choice;
}

}  // namespace lille
