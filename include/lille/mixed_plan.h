#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "lille/quantize.h"

namespace lille {

/// What a plan is to reach; one of the two.
struct MixedPlanTarget {
  double bits_per_weight = 0;  ///< At most so many, scales, biases and norms counted; 0: no matter.
  double max_kl = 0;           ///< At most this mean divergence from the source, nats; 0: no matter.
};

/// What plan_mixed tells while it runs.
using MixedPlanProgress = std::function<void(std::string_view step, int64_t n_done, int64_t n_total)>;

/// Chooses bits for every matrix, 2 to 8, so that they are spent where predictions need them most. How much
/// each matrix matters is measured: the divergence from the source when that one alone is rounded to 3 bits,
/// on 512 tokens from all over the calibration. Then bits go where they gain most (docs/QUANTIZATION.md).
/// For max_kl whole plans are tried, quantised by the method in memory and compared with the source on the
/// last windows of the calibration, which the method does not see in these trials.
/// @param options  method, group size, calibration and threads; bits are not looked at.
/// @return the setting to quantise with: the most frequent bits, and exceptions.
/// @throws Error(kInvalidArgument) for a target that 2 or 8 bits of every weight do not reach, unless exactly
///   one target is given, and as quantize_model; Error(kCanceled).
QuantizationArgs plan_mixed(const Model& model, const MixedPlanTarget& target, const QuantizeOptions& options,
                            const MixedPlanProgress& on_progress = {});

}  // namespace lille
