#include "quantize/gptq.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "quantize/affine_group.h"
#include "quantize/rows.h"

namespace lille {
namespace {

using kernels::FloatKind;

/// Times that groups, then codes are changed in turn; each lowers the error, the first the most.
constexpr int kRefinements = 3;

/// to += factor * from
void add_scaled(std::span<float> to, std::span<const float> from, float factor) noexcept {
  for (std::size_t idx = 0; idx < to.size(); ++idx) to[idx] += factor * from[idx];
}

/// One row on its way to codes.
class Row {
 public:
  Row(std::span<const float> weights, const LayerQuantization& setting, FloatKind scale_kind,
      const GptqHessian& hessian)
      : weights_(weights),
        group_size_(static_cast<std::size_t>(setting.group_size)),
        max_code_(max_code_of(setting.bits)),
        scale_kind_(scale_kind),
        hessian_(hessian),
        groups_(weights.size() / group_size_),
        codes_(weights.size()) {}

  std::span<const AffineGroup> groups() const noexcept { return groups_; }
  std::span<const float> codes() const noexcept { return codes_; }

  /// Column by column; the unit triangle hands each error on.
  void round() {
    std::vector<float> wanted(weights_.begin(), weights_.end());
    for (std::size_t group_idx = 0; group_idx < groups_.size(); ++group_idx) {
      const std::size_t begin = group_idx * group_size_;
      const AffineGroup group =
          fit_weighted(std::span(wanted).subspan(begin, group_size_),
                       hessian_.costs().subspan(begin, group_size_), max_code_, scale_kind_);
      groups_[group_idx] = group;
      for (std::size_t column = begin; column < begin + group_size_; ++column) {
        codes_[column] = group.code_of(wanted[column], max_code_);
        const float error = weights_[column] - group.value_of(codes_[column]);
        add_scaled(std::span(wanted).subspan(column + 1),
                   hessian_.feedback(static_cast<int64_t>(column)).subspan(1), error);
      }
    }
  }

  /// Lowers the error without another order of columns.
  void refine() {
    slopes_.assign(weights_.size(), 0);
    for (std::size_t column = 0; column < weights_.size(); ++column)
      change_error(column, weights_[column] - value(column));
    for (int refinement = 0; refinement < kRefinements; ++refinement) {
      for (std::size_t group_idx = 0; group_idx < groups_.size(); ++group_idx) refit(group_idx);
      bool has_changed = false;
      for (std::size_t column = 0; column < weights_.size(); ++column) has_changed |= recode(column);
      if (!has_changed) return;
    }
  }

 private:
  float value(std::size_t column) const noexcept {
    return groups_[column / group_size_].value_of(codes_[column]);
  }

  std::span<const float> hessian_row(std::size_t column) const noexcept {
    return hessian_.matrix().subspan(column * weights_.size(), weights_.size());
  }

  /// Keeps slopes_ = error * H.
  void change_error(std::size_t column, float by) noexcept {
    if (by != 0) add_scaled(slopes_, hessian_row(column), by);
  }

  /// Moves a code to the best place, all others as they are.
  bool recode(std::size_t column) noexcept {
    const AffineGroup& group = groups_[column / group_size_];
    const float before = group.value_of(codes_[column]);
    const float code = group.code_of(before + slopes_[column] / hessian_row(column)[column], max_code_);
    if (code == codes_[column]) return false;
    codes_[column] = code;
    change_error(column, before - group.value_of(code));
    return true;
  }

  /// Moves scale and bias of a group to the best place, its codes as they are, if rounding them leaves a
  /// gain.
  void refit(std::size_t group_idx) {
    const std::size_t begin = group_idx * group_size_;
    double code_slope = 0, slope = 0, code_code = 0, code_one = 0, one_one = 0;
    for (std::size_t row = begin; row < begin + group_size_; ++row) {
      const std::span<const float> hessian = hessian_row(row).subspan(begin, group_size_);
      double with_codes = 0, with_ones = 0;
      for (std::size_t idx = 0; idx < group_size_; ++idx) {
        with_codes += double{hessian[idx]} * codes_[begin + idx];
        with_ones += hessian[idx];
      }
      code_slope += double{codes_[row]} * slopes_[row];
      slope += slopes_[row];
      code_code += codes_[row] * with_codes;
      code_one += codes_[row] * with_ones;
      one_one += with_ones;
    }
    const double determinant = code_code * one_one - code_one * code_one;
    if (!(determinant > 1e-9 * code_code * one_one)) return;
    AffineGroup& group = groups_[group_idx];
    const double scale_step = (code_slope * one_one - slope * code_one) / determinant;
    const float scale = round_scale(static_cast<float>(group.scale + scale_step), scale_kind_);
    // The best bias for the scale as it is rounded.
    const double scale_change = double{scale} - group.scale;
    const double bias_step = (slope - scale_change * code_one) / one_one;
    const float bias = round_scale(static_cast<float>(group.bias + bias_step), scale_kind_);
    const double bias_change = double{bias} - group.bias;
    const double gain = 2 * (scale_change * code_slope + bias_change * slope) -
                        (scale_change * scale_change * code_code + 2 * scale_change * bias_change * code_one +
                         bias_change * bias_change * one_one);
    if (!(gain > 0) || !std::isfinite(scale) || !std::isfinite(bias) || scale == 0) return;
    const AffineGroup changed = {scale, bias};
    for (std::size_t column = begin; column < begin + group_size_; ++column)
      change_error(column, group.value_of(codes_[column]) - changed.value_of(codes_[column]));
    group = changed;
  }

  std::span<const float> weights_;
  std::size_t group_size_;
  float max_code_;
  FloatKind scale_kind_;
  const GptqHessian& hessian_;
  std::vector<AffineGroup> groups_;
  std::vector<float> codes_;
  std::vector<float> slopes_;  ///< (n_in): error * H, half the gradient.
};

double mean_diagonal(std::span<const double> products, std::size_t n) {
  double sum = 0;
  for (std::size_t idx = 0; idx < n; ++idx) sum += products[idx * n + idx];
  if (!(sum > 0) || !std::isfinite(sum))
    raise(ErrorCode::kInvalidArgument,
          "[quantize] calibration: expected inputs that are finite and not all zero, got a mean square of {}",
          sum / static_cast<double>(n));
  return sum / static_cast<double>(n);
}

}  // namespace

GptqHessian::GptqHessian(std::vector<double> products, double damping, ThreadPool& pool) {
  const auto n = static_cast<std::size_t>(std::llround(std::sqrt(static_cast<double>(products.size()))));
  const double mean = mean_diagonal(products, n);
  unit_ = mean;
  for (std::size_t idx = 0; idx < n; ++idx) {
    double& diagonal = products[idx * n + idx];
    diagonal = (diagonal > 0 ? diagonal : mean) + damping * mean;
  }
  // As numbers near 1, so that float32 holds them whatever the length of the text.
  for (double& product : products) product /= mean;
  matrix_.assign(products.begin(), products.end());
  factors_ = factor_udu(std::move(products), pool);
  costs_.assign(factors_.diagonal.begin(), factors_.diagonal.end());
  feedback_.assign(factors_.upper.begin(), factors_.upper.end());
}

std::span<const float> GptqHessian::feedback(int64_t column) const noexcept {
  return std::span(feedback_).subspan(static_cast<std::size_t>(column * n_in() + column),
                                      static_cast<std::size_t>(n_in() - column));
}

AffineMatrix quantize_gptq(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                           FloatKind scale_kind, const GptqHessian& hessian, ThreadPool& pool) {
  check_matrix(source, setting);
  if (hessian.n_in() != source.n_in)
    raise(ErrorCode::kInvalidShape, "[quantize] Hessian: expected ({0}, {0}), got ({1}, {1})", source.n_in,
          hessian.n_in());
  AffineBuilder builder(source.n_out, source.n_in, setting, scale_kind);
  for_each_row(source, pool, [&](int64_t row_idx, std::span<const float> weights) {
    Row row(weights, setting, scale_kind, hessian);
    row.round();
    row.refine();
    builder.put_row(row_idx, row.groups(), row.codes());
  });
  return builder.take();
}

}  // namespace lille
