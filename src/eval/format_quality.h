#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>

#include "eval/quantization_report.h"
#include "lille/model.h"

namespace lille {

/// What measure_quality obeys and tells.
struct FormatQualityOptions {
  int64_t n_threads = 0;                                                  ///< 0: every usable processor.
  std::function<void(int64_t n_done, int64_t n_total)> on_progress = {};  ///< May be empty.
  std::stop_token cancel = {};
};

/// Fills in what a format does to predictions and how fast it is: divergence from the source over all tokens,
/// and the perplexity with its standard error over whole windows, both with activations in float32; tokens
/// per second as the program runs it, the median of some passes.
/// @param source  may be the format itself.
/// @param ids     at least block_size + 1.
/// @throws Error as divergence and perplexity.
void measure_quality(FormatResult& result, const Model& source, const Model& format,
                     std::span<const int32_t> ids, const FormatQualityOptions& options);

}  // namespace lille
