#include "quantize/affine.h"

#include <vector>

#include "base/check.h"
#include "quantize/affine_group.h"
#include "quantize/rows.h"

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
  check_matrix(source, setting);
  const float max_code = max_code_of(setting.bits);
  const auto group_size = static_cast<std::size_t>(setting.group_size);
  AffineBuilder builder(source.n_out, source.n_in, setting, scale_kind);
  for_each_row(source, pool, [&](int64_t row_idx, std::span<const float> row) {
    std::vector<AffineGroup> groups;
    std::vector<float> codes;
    codes.reserve(row.size());
    for (std::size_t begin = 0; begin < row.size(); begin += group_size) {
      const std::span<const float> weights = row.subspan(begin, group_size);
      groups.push_back(fit_range(weights, max_code));
      for (const float weight : weights) codes.push_back(groups.back().code_of(weight, max_code));
    }
    builder.put_row(row_idx, groups, codes);
  });
  return builder.take();
}

}  // namespace lille
