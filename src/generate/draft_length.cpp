#include "generate/draft_length.h"

#include <algorithm>
#include <cstddef>

namespace lille {
namespace {

/// How much the last of several times or outcomes counts. Outcomes while resting are few and count more.
constexpr double kTimeWeight = 0.25;
constexpr double kOutcomeWeight = 0.1;
constexpr double kProbeWeight = 0.3;
/// A chance nobody has measured.
constexpr double kFirstChance = 0.6;
/// What a further row is taken to cost, as a part of a pass of one row, where no pass had more rows: about
/// what the products of Lille-130M in 8 bits cost on a 2-core machine with AVX-512 VNNI, 14.3 ms for 8 rows
/// and 7.1 for one.
constexpr double kFirstRowCost = 0.15;
/// After so many passes a time is forgotten: one that something else delayed would never be measured again.
constexpr int64_t kLifetime = 256;
/// Drafting has to win so much, since what is measured is not exact.
constexpr double kLeastGain = 1.02;
constexpr int64_t kFirstRest = 16;
constexpr int64_t kLongestRest = 256;
/// Tokens of a try.
constexpr int64_t kProbe = 2;

// Whatever delays a pass adds to its time, and may add any amount.
void average(double& value, double sample) {
  value = value == 0 ? sample : value + kTimeWeight * (std::min(sample, 2 * value) - value);
}

}  // namespace

DraftLength::DraftLength(int64_t n_most)
    : passes_(static_cast<std::size_t>(n_most) + 1),
      chances_(static_cast<std::size_t>(n_most), kFirstChance),
      rest_(kFirstRest) {}

bool DraftLength::is_measured(std::size_t n_rows) const {
  const Cost& cost = passes_[n_rows - 1];
  return cost.measured_at >= 0 && (n_rows == 1 || n_passes_ - cost.measured_at < kLifetime);
}

// Between two measured times on the line through them, above the last one on the line through the first.
double DraftLength::pass_cost(std::size_t n_rows) const {
  std::size_t below = n_rows;
  while (!is_measured(below)) --below;
  std::size_t above = n_rows;
  while (above <= passes_.size() && !is_measured(above)) ++above;
  const double one = passes_[0].seconds;
  const double lower = passes_[below - 1].seconds;
  if (below == n_rows) return lower;
  double slope = kFirstRowCost * one;
  if (above <= passes_.size())
    slope = (passes_[above - 1].seconds - lower) / static_cast<double>(above - below);
  else if (below > 1)
    slope = (lower - one) / static_cast<double>(below - 1);
  return lower + slope * static_cast<double>(n_rows - below);
}

int64_t DraftLength::best(int64_t n_possible) const {
  int64_t best_length = 0;
  double best_rate = kLeastGain / passes_[0].seconds;
  double n_expected = 1;
  double chance = 1;
  for (int64_t length = 1; length <= n_possible; ++length) {
    chance *= chances_[static_cast<std::size_t>(length - 1)];
    n_expected += chance;
    const double seconds =
        pass_cost(static_cast<std::size_t>(length + 1)) + static_cast<double>(length) * draft_s_;
    if (n_expected / seconds <= best_rate) continue;
    best_rate = n_expected / seconds;
    best_length = length;
  }
  return best_length;
}

int64_t DraftLength::choose(int64_t n_possible) {
  n_possible = std::min(n_possible, static_cast<int64_t>(chances_.size()));
  // Without the time of a plain pass there is nothing to compare with.
  if (n_possible < 1 || !is_measured(1)) return 0;
  if (is_resting_ && n_left_ > 0) {
    --n_left_;
    return 0;
  }
  if (is_resting_) return std::min(kProbe, n_possible);
  const int64_t length = best(n_possible);
  if (length == 0 && n_possible == static_cast<int64_t>(chances_.size())) {
    is_resting_ = true;
    n_left_ = rest_;
  }
  return length;
}

void DraftLength::note_pass(int64_t n_rows, double seconds) {
  ++n_passes_;
  const auto rows = static_cast<std::size_t>(n_rows);
  if (rows < 1 || rows > passes_.size()) return;
  Cost& cost = passes_[rows - 1];
  if (!is_measured(rows)) cost.seconds = 0;
  average(cost.seconds, seconds);
  cost.measured_at = n_passes_;
}

void DraftLength::note_draft(int64_t n_tokens, double seconds) {
  if (n_tokens > 0) average(draft_s_, seconds / static_cast<double>(n_tokens));
}

void DraftLength::note_outcome(int64_t n_drafted, int64_t n_accepted) {
  if (n_drafted < 1) return;
  const double weight = is_resting_ ? kProbeWeight : kOutcomeWeight;
  for (std::size_t idx = 0; idx < chances_.size() && static_cast<int64_t>(idx) <= n_accepted; ++idx) {
    if (static_cast<int64_t>(idx) == n_drafted) break;
    const double outcome = static_cast<int64_t>(idx) < n_accepted ? 1 : 0;
    chances_[idx] += weight * (outcome - chances_[idx]);
  }
  if (!is_resting_) return;
  if (best(static_cast<int64_t>(chances_.size())) > 0) {
    is_resting_ = false;
    rest_ = kFirstRest;
    return;
  }
  if (n_accepted == 0) rest_ = std::min(2 * rest_, kLongestRest);
  n_left_ = rest_;
}

}  // namespace lille
