#include "quantize/affine.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "quantize/affine_codes.h"
#include "quantize/rows.h"

namespace lille {
namespace {

using kernels::FloatKind;

/// Smallest scale; groups of nearly equal weights lose precision rather than divide by zero.
constexpr float kSmallestScale = 1e-7f;

/// What turns the weights of a group into codes.
struct Affine {
  float scale;
  float bias;
};

/// The end of the range with the larger absolute value becomes the bias, and the scale is changed a little so
/// that zero is one of the values; a group whose largest weight is that end counts downwards.
Affine fit_group(std::span<const float> group, float max_code) noexcept {
  const auto [min, max] = std::minmax_element(group.begin(), group.end());
  const bool min_is_larger = std::fabs(*min) > std::fabs(*max);
  const float step = std::max((*max - *min) / max_code, kSmallestScale);
  const float scale = min_is_larger ? step : -step;
  const float edge = min_is_larger ? *min : *max;
  const float zero_code = std::nearbyint(edge / scale);
  if (zero_code == 0.0f) return {scale, 0.0f};
  return {edge / zero_code, edge};
}

}  // namespace

void check_setting(const LayerQuantization& setting) {
  const int64_t bits = setting.bits;
  if (bits < 2 || bits > 8 || bits == 7)
    raise(ErrorCode::kInvalidArgument, "[quantize] bits: expected 2, 3, 4, 5, 6 or 8, got {}", bits);
  const int64_t group_size = setting.group_size;
  if (group_size != 32 && group_size != 64 && group_size != 128)
    raise(ErrorCode::kInvalidArgument, "[quantize] group size: expected 32, 64 or 128, got {}", group_size);
}

AffineMatrix quantize_affine(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                             FloatKind scale_kind, ThreadPool& pool) {
  check_setting(setting);
  if (source.n_in % setting.group_size != 0)
    raise(ErrorCode::kInvalidArgument,
          "[quantize] rows: expected a multiple of the group size, {}, got {}. Hint: choose a smaller group "
          "or leave "
          "this matrix as it is",
          setting.group_size, source.n_in);
  const int64_t row_bytes = source.n_in * setting.bits / 8;
  const int64_t n_groups = source.n_in / setting.group_size;
  const int64_t scale_bytes = kernels::float_bytes(scale_kind);
  const auto max_code = static_cast<float>((1 << setting.bits) - 1);
  AffineMatrix matrix;
  matrix.codes.resize(static_cast<std::size_t>(source.n_out * row_bytes));
  matrix.scales.resize(static_cast<std::size_t>(source.n_out * n_groups * scale_bytes));
  matrix.biases.resize(matrix.scales.size());
  for_each_row(source, pool, [&](int64_t row_idx, std::span<const float> row) {
    CodeWriter codes(matrix.codes.data() + row_idx * row_bytes, setting.bits);
    for (int64_t group_idx = 0; group_idx < n_groups; ++group_idx) {
      const auto group = row.subspan(static_cast<std::size_t>(group_idx * setting.group_size),
                                     static_cast<std::size_t>(setting.group_size));
      const Affine affine = fit_group(group, max_code);
      const int64_t at = (row_idx * n_groups + group_idx) * scale_bytes;
      store_scale(matrix.scales.data() + at, scale_kind, affine.scale);
      store_scale(matrix.biases.data() + at, scale_kind, affine.bias);
      for (const float weight : group) {
        const float code = std::nearbyint((weight - affine.bias) / affine.scale);
        codes.put(static_cast<uint32_t>(std::clamp(code, 0.0f, max_code)));
      }
    }
  });
  return matrix;
}

}  // namespace lille
