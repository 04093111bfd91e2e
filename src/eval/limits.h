#pragma once

#include <vector>

#include "base/thread_pool.h"
#include "eval/ceilings.h"
#include "kernels/kernel_table.h"
#include "lille/model.h"

namespace lille {

/// What a machine allows a model: how fast its weights are read where they lie, and how fast the units
/// multiply that its products use.
class Limits {
 public:
  /// Nothing is measured yet.
  Limits(const Model& model, const SessionOptions& options, int64_t n_threads);

  /// Measures each rate once more. To be called in turn with what is compared with it, since neighbours
  /// change the rates from one second to the next.
  void measure();

  /// Median of what was measured, GB/s (10^9).
  double read_gb_per_s() const;
  /// Tokens/s of a prompt if every product ran at its unit's peak and nothing else took time: the weights, of
  /// which the output projection serves the last token only, and attention in float32. 0 where a peak is not
  /// known, as for the reference kernels.
  double prefill_tokens_per_s(int64_t n_tokens) const;

 private:
  double seconds_of(const kernels::WeightMatrix& weight) const;

  Model model_;
  const kernels::KernelTable& table_;
  bool exact_;
  ThreadPool pool_;
  ReadRate read_rate_;
  std::vector<double> read_;
  std::vector<double> f32_;
  std::vector<double> q8_;
  std::vector<double> q4_;
  std::vector<double> bf16_;
};

/// The smallest value that at least this share of all do not exceed; `values` not empty.
double percentile(std::vector<double> values, double share);

}  // namespace lille
