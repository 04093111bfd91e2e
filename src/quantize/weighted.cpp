#include "quantize/weighted.h"

#include <vector>

#include "base/check.h"
#include "quantize/affine_group.h"
#include "quantize/rows.h"

namespace lille {

AffineMatrix quantize_weighted(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                               kernels::FloatKind scale_kind, std::span<const float> importance,
                               ThreadPool& pool) {
  check_matrix(source, setting);
  if (static_cast<int64_t>(importance.size()) != source.n_in)
    raise(ErrorCode::kInvalidShape, "[quantize] importance: expected ({}) numbers, got ({})", source.n_in,
          importance.size());
  const float max_code = max_code_of(setting.bits);
  const auto group_size = static_cast<std::size_t>(setting.group_size);
  AffineBuilder builder(source.n_out, source.n_in, setting, scale_kind);
  for_each_row(source, pool, [&](int64_t row_idx, std::span<const float> row) {
    std::vector<AffineGroup> groups;
    std::vector<float> codes;
    codes.reserve(row.size());
    for (std::size_t begin = 0; begin < row.size(); begin += group_size) {
      const std::span<const float> weights = row.subspan(begin, group_size);
      groups.push_back(fit_weighted(weights, importance.subspan(begin, group_size), max_code, scale_kind));
      for (const float weight : weights) codes.push_back(groups.back().code_of(weight, max_code));
    }
    builder.put_row(row_idx, groups, codes);
  });
  return builder.take();
}

}  // namespace lille
