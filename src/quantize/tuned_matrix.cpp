#include "quantize/tuned_matrix.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "kernels/float_kind.h"
#include "kernels/kernel_table.h"

namespace lille {
namespace {

/// A code's part behind the point is kept this far from where rounding changes: the codes to begin with are
/// better than rounding the source.
constexpr float kMostBehindThePoint = 0.45f;

/// Adam's forgetting of means, and of squares.
constexpr float kMeanDecay = 0.9f;
constexpr float kSquareDecay = 0.95f;

/// Adam's step for numbers whose derivatives come one by one.
class Adam {
 public:
  Adam(double rate, int64_t step_idx)
      : rate_(static_cast<float>(rate / (1 - std::pow(kMeanDecay, static_cast<double>(step_idx + 1))))),
        correction_(static_cast<float>(1 / (1 - std::pow(kSquareDecay, static_cast<double>(step_idx + 1))))) {
  }

  /// What to subtract.
  float change(float& mean, float& square, float slope) const noexcept {
    mean = kMeanDecay * mean + (1 - kMeanDecay) * slope;
    square = kSquareDecay * square + (1 - kSquareDecay) * slope * slope;
    return square > 0 ? rate_ * mean / std::sqrt(square * correction_) : 0.0f;
  }

 private:
  float rate_;
  float correction_;
};

}  // namespace

TunedMatrix::TunedMatrix(const AffineMatrix& codes, std::span<const float> source, int64_t n_in,
                         const LayerQuantization& setting, kernels::FloatKind scale_kind, ThreadPool& pool)
    : n_in_(n_in),
      setting_(setting),
      scale_kind_(scale_kind),
      max_code_(max_code_of(setting.bits)),
      codes_(source.size()),
      scales_(source.size() / static_cast<std::size_t>(setting.group_size)),
      biases_(scales_.values.size()) {
  for (std::size_t idx = 0; idx < scales_.values.size(); ++idx) {
    scales_.values[idx] = kernels::load_float(codes.scales.data(), scale_kind, static_cast<int64_t>(idx));
    biases_.values[idx] = kernels::load_float(codes.biases.data(), scale_kind, static_cast<int64_t>(idx));
  }
  first_scales_ = scales_.values;
  const kernels::WeightMatrix matrix = {.kind = kernels::WeightKind::kAffine,
                                        .data = codes.codes.data(),
                                        .n_out = n_rows(),
                                        .n_in = n_in,
                                        .bits = setting.bits,
                                        .scales = codes.scales.data(),
                                        .biases = codes.biases.data(),
                                        .scale_kind = scale_kind,
                                        .group_size = setting.group_size};
  const kernels::KernelTable& kernels = kernels::select_kernel_table({});
  pool.run(n_rows(), [&](int64_t row_idx, int64_t) {
    float* const row = codes_.values.data() + row_idx * n_in;
    kernels.dequantize_row(row, matrix, row_idx);
    for (int64_t col = 0; col < n_in; ++col) {
      const AffineGroup of = group(static_cast<std::size_t>((row_idx * n_in + col) / setting.group_size));
      const float code = of.code_of(row[col], max_code_);
      const float exact = of.scale == 0
                              ? code
                              : (source[static_cast<std::size_t>(row_idx * n_in + col)] - of.bias) / of.scale;
      row[col] = code + std::clamp(exact - code, -kMostBehindThePoint, kMostBehindThePoint);
    }
  });
}

AffineGroup TunedMatrix::group(std::size_t group_idx) const noexcept {
  return {round_scale(scales_.values[group_idx], scale_kind_),
          round_scale(biases_.values[group_idx], scale_kind_)};
}

float TunedMatrix::code(std::size_t idx) const noexcept {
  return std::clamp(std::nearbyint(codes_.values[idx]), 0.0f, max_code_);
}

void TunedMatrix::write_weights(std::span<float> out, ThreadPool& pool) const {
  LILLE_CHECK(out.size() == codes_.values.size());
  const auto group_size = static_cast<std::size_t>(setting_.group_size);
  pool.run(n_rows(), [&](int64_t row_idx, int64_t) {
    const std::size_t first_group = static_cast<std::size_t>(row_idx) * n_groups_of_row();
    for (std::size_t group_idx = first_group; group_idx < first_group + n_groups_of_row(); ++group_idx) {
      const AffineGroup of = group(group_idx);
      for (std::size_t idx = group_idx * group_size; idx < (group_idx + 1) * group_size; ++idx)
        out[idx] = of.value_of(code(idx));
    }
  });
}

void TunedMatrix::step(std::span<const float> gradient, const TuneStep& step, ThreadPool& pool) {
  LILLE_CHECK(gradient.size() == codes_.values.size());
  const auto group_size = static_cast<std::size_t>(setting_.group_size);
  const Adam code_adam(step.code_rate, step.step_idx);
  const Adam scale_adam(step.scale_rate, step.step_idx);
  pool.run(n_rows(), [&](int64_t row_idx, int64_t) {
    const std::size_t first_group = static_cast<std::size_t>(row_idx) * n_groups_of_row();
    for (std::size_t group_idx = first_group; group_idx < first_group + n_groups_of_row(); ++group_idx) {
      const float scale = round_scale(scales_.values[group_idx], scale_kind_);
      float by_scale = 0, by_bias = 0;
      for (std::size_t idx = group_idx * group_size; idx < (group_idx + 1) * group_size; ++idx) {
        by_scale += gradient[idx] * code(idx);
        by_bias += gradient[idx];
        float& value = codes_.values[idx];
        const bool is_inside = value >= 0 && value <= max_code_;
        value -= code_adam.change(codes_.means[idx], codes_.squares[idx],
                                  is_inside ? gradient[idx] * scale : 0.0f);
      }
      const float unit = std::fabs(first_scales_[group_idx]);
      scales_.values[group_idx] -=
          unit * scale_adam.change(scales_.means[group_idx], scales_.squares[group_idx], by_scale);
      biases_.values[group_idx] -=
          unit * scale_adam.change(biases_.means[group_idx], biases_.squares[group_idx], by_bias);
    }
  });
}

AffineMatrix TunedMatrix::codes() const {
  AffineBuilder builder(n_rows(), n_in_, setting_, scale_kind_);
  std::vector<AffineGroup> groups(n_groups_of_row());
  std::vector<float> row(static_cast<std::size_t>(n_in_));
  for (int64_t row_idx = 0; row_idx < n_rows(); ++row_idx) {
    for (std::size_t idx = 0; idx < groups.size(); ++idx)
      groups[idx] = group(static_cast<std::size_t>(row_idx) * groups.size() + idx);
    for (std::size_t idx = 0; idx < row.size(); ++idx)
      row[idx] = code(static_cast<std::size_t>(row_idx) * row.size() + idx);
    builder.put_row(row_idx, groups, row);
  }
  return builder.take();
}

}  // namespace lille
