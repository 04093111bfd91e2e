#include "quantize/affine.h"

#include "base/check.h"
#include "quantize/affine_group.h"

namespace lille {

void check_setting(const LayerQuantization& setting) {
  const int64_t bits = setting.bits;
  if (bits < 2 || bits > 8 || bits == 7)
    raise(ErrorCode::kInvalidArgument, "[quantize] bits: expected 2, 3, 4, 5, 6 or 8, got {}", bits);
  const int64_t group_size = setting.group_size;
  if (group_size != 32 && group_size != 64 && group_size != 128)
    raise(ErrorCode::kInvalidArgument, "[quantize] group size: expected 32, 64 or 128, got {}", group_size);
}

AffineMatrix quantize_affine(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                             kernels::FloatKind scale_kind, ThreadPool& pool) {
  const float max_code = max_code_of(setting.bits);
  const auto fit = [max_code](std::span<const float> weights, std::size_t) {
    return fit_range(weights, max_code);
  };
  return quantize_groups(source, setting, scale_kind, pool, fit);
}

}  // namespace lille
