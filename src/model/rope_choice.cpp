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

double mean(std::span<const double> losses) {
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum / static_cast<double>(losses.size());
}

// Whether `other` is worse by more than kStandardErrors standard errors of the paired difference.
bool is_clearly_worse(std::span<const double> other, std::span<const double> best) {
  const auto n = static_cast<double>(best.size());
  const double mean_difference = mean(other) - mean(best);
  double squares = 0;
  for (std::size_t idx = 0; idx < best.size(); ++idx) {
    const double deviation = other[idx] - best[idx] - mean_difference;
    squares += deviation * deviation;
  }
  return mean_difference > kStandardErrors * std::sqrt(squares / (n - 1) / n);
}

std::optional<std::size_t> clear_winner(const RopeLosses& measured) {
  std::size_t best = 0;
  for (std::size_t idx = 1; idx < measured.losses.size(); ++idx)
    if (mean(measured.losses[idx]) < mean(measured.losses[best])) best = idx;
  for (std::size_t idx = 0; idx < measured.losses.size(); ++idx)
    if (idx != best && !is_clearly_worse(measured.losses[idx], measured.losses[best])) return std::nullopt;
  return best;
}

// Reads the text under all layouts, a chunk at a time.
class Measurement {
 public:
  Measurement(const Model& model, const Tokenizer& tokenizer, const SessionOptions& options)
      : state_(model, RopeLayout::kInterleaved, options),
        ids_(tokenizer.encode(kRopeText)),
        chunk_(std::min(kChunk, model.args().block_size)) {
    LILLE_CHECK(ids_.size() > kMaxTokens);
    ids_.resize(kMaxTokens + 1);
    for (std::size_t idx = 0; idx < std::size(kRopeLayouts); ++idx)
      caches_.push_back(make_prompt_cache(model));
  }

  bool is_done() const noexcept { return n_read_ == static_cast<int64_t>(kMaxTokens); }
  const RopeLosses& measured() const noexcept { return measured_; }

  void read_chunk(const std::function<void(int64_t n_done, int64_t n_total)>& on_progress) {
    const int64_t n_all = static_cast<int64_t>(kMaxTokens);
    const int64_t n = std::min(chunk_, n_all - n_read_);
    const int64_t block_size = state_.model.args().block_size;
    if (caches_.front().offset() + n > block_size)
      for (PromptCache& cache : caches_) cache.trim(cache.offset());
    for (int64_t idx = 0; idx < n; ++idx) measured_.positions.push_back(caches_.front().offset() + idx);
    for (std::size_t idx = 0; idx < caches_.size(); ++idx) {
      read(idx, n);
      const int64_t n_chunks = (n_all + chunk_ - 1) / chunk_;
      if (on_progress) on_progress(++n_passes_, n_chunks * static_cast<int64_t>(caches_.size()));
    }
    n_read_ += n;
  }

 private:
  // Reads the next n ids under one layout and keeps the loss of each id after them.
  void read(std::size_t layout_idx, int64_t n) {
    const auto first = static_cast<std::size_t>(n_read_);
    const auto n_ids = static_cast<std::size_t>(n);
    const std::span<const int32_t> ids = ids_;
    const BatchItem item = {ids.subspan(first, n_ids), &caches_[layout_idx], LogitsFor::kAll};
    state_.rope_layout = kRopeLayouts[layout_idx];
    forward_pass(Access::parts(state_.model), state_, std::span(&item, 1), {});
    for (const double loss :
         ops::cross_entropy(state_.device, state_.workspace.logits, ids.subspan(first + 1, n_ids)))
      measured_.losses[layout_idx].push_back(loss);
  }

  SessionState state_;
  std::vector<int32_t> ids_;
  int64_t chunk_;
  std::vector<PromptCache> caches_;
  RopeLosses measured_;
  int64_t n_read_ = 0;
  int64_t n_passes_ = 0;
};

}  // namespace

RopeLosses measure_rope_losses(const Model& model, const Tokenizer& tokenizer, const SessionOptions& options,
                               const std::function<void(int64_t n_done, int64_t n_total)>& on_progress) {
  Measurement measurement(model, tokenizer, options);
  while (!measurement.is_done()) measurement.read_chunk(on_progress);
  return measurement.measured();
}

RopeChoice choose_rope_layout(const RopeLosses& measured) {
  const std::optional<std::size_t> winner = clear_winner(measured);
  RopeChoice choice;
  choice.layout = winner ? kRopeLayouts[*winner] : RopeLayout::kInterleaved;
  choice.source = winner ? RopeSource::kMeasured : RopeSource::kDefault;
  choice.n_tokens = static_cast<int64_t>(measured.positions.size());
  for (std::size_t idx = 0; idx < measured.losses.size(); ++idx)
    choice.perplexities.push_back({kRopeLayouts[idx], std::exp(mean(measured.losses[idx]))});
  return choice;
}

RopeChoice measure_rope_layout(const Model& model, const Tokenizer& tokenizer, const SessionOptions& options,
                               const std::function<void(int64_t n_done, int64_t n_total)>& on_progress) {
  Measurement measurement(model, tokenizer, options);
  do {
    measurement.read_chunk(on_progress);
  } while (!measurement.is_done() && !clear_winner(measurement.measured()));
  return choose_rope_layout(measurement.measured());
}

std::string perplexities_text(std::span<const RopePerplexity> perplexities) {
  std::string text;
  for (const RopePerplexity& measured : perplexities)
    text += fmt::format("{}{} {:.1f}", text.empty() ? "" : ", ", rope_layout_name(measured.layout),
                        measured.perplexity);
  return text;
}

}  // namespace lille
