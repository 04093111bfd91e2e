#include "quantize/weighted.h"

#include "base/check.h"
#include "quantize/affine_group.h"

namespace lille {

AffineMatrix quantize_weighted(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                               kernels::FloatKind scale_kind, std::span<const float> importance,
                               ThreadPool& pool) {
  if (static_cast<int64_t>(importance.size()) != source.n_in)
    raise(ErrorCode::kInvalidShape, "[quantize] importance: expected ({}) numbers, got ({})", source.n_in,
          importance.size());
  const float max_code = max_code_of(setting.bits);
  const auto fit = [&](std::span<const float> weights, std::size_t column) {
    return fit_weighted(weights, importance.subspan(column, weights.size()), max_code, scale_kind);
  };
  return quantize_groups(source, setting, scale_kind, pool, fit);
}

}  // namespace lille
