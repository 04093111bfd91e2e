#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lille/model.h"

namespace lille {

/// Adds up the last hidden states, after the final norm, of all rows of passes over one sequence: divided by
/// their number, the sequence's embedding.
class HiddenSum : public Observer {
 public:
  /// @param sum  (n_embd), what earlier passes added; empty before the first. Outlives this object.
  HiddenSum(std::vector<double>& sum, const ModelArgs& args)
      : sum_(sum), hidden_idx_(args.n_layer + 1), n_embd_(static_cast<std::size_t>(args.n_embd)) {
    sum_.resize(n_embd_);
  }

  void hidden_state(int64_t hidden_idx, std::span<const float> values) override {
    if (hidden_idx != hidden_idx_) return;
    for (std::size_t idx = 0; idx < values.size(); ++idx) sum_[idx % n_embd_] += values[idx];
  }

 private:
  std::vector<double>& sum_;
  int64_t hidden_idx_;
  std::size_t n_embd_;
};

}  // namespace lille
