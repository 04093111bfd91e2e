#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "kernels/kernel_types.h"
#include "quantize/affine.h"

namespace lille {

/// What turns the codes of a group into weights: weight = scale * code + bias.
struct AffineGroup {
  float scale = 0;
  float bias = 0;

  /// The weight of a code, rounded once, as kernels read it.
  float value_of(float code) const noexcept;
  /// The code from 0 to max_code whose weight is nearest; 0 if scale is.
  float code_of(float weight, float max_code) const noexcept;
};

/// The largest code of `bits` bits.
constexpr float max_code_of(int64_t bits) noexcept { return static_cast<float>((1 << bits) - 1); }

/// A value as an array of scales holds it; infinite if it is too large for the kind.
float round_scale(float value, kernels::FloatKind kind) noexcept;

/// The group of MLX's round-to-nearest: the end of the range with the larger absolute value becomes the bias,
/// and the scale is changed a little so that zero is one of the values. Scale and bias are not rounded.
/// @param weights  at least one, finite.
/// Source: ml-explore/mlx mlx/backend/cpu/quantized.cpp.
AffineGroup fit_range(std::span<const float> weights, float max_code) noexcept;

/// The best of some candidates for the smallest sum of importance * (weight - value of its nearest code)^2:
/// fit_range, and ranges of several widths whose scale and bias are then fitted to the codes by least
/// squares. Scale and bias are rounded to `kind` before they are judged.
/// @param weights     at least one, finite.
/// @param importance  one for each, not negative.
AffineGroup fit_weighted(std::span<const float> weights, std::span<const float> importance, float max_code,
                         kernels::FloatKind kind);

/// Checks what every method of quantising asks of a matrix.
/// @throws Error(kInvalidArgument) as quantize_affine.
void check_matrix(const kernels::WeightMatrix& source, const LayerQuantization& setting);

/// Scale and bias for the weights of a group, which begins at this column.
using FitGroup = FunctionRef<AffineGroup(std::span<const float> weights, std::size_t column)>;

/// Quantises a matrix group by group, codes to the nearest.
/// @param fit  called from several threads.
/// @throws Error(kInvalidArgument) as quantize_affine; what `fit` throws.
AffineMatrix quantize_groups(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                             kernels::FloatKind scale_kind, ThreadPool& pool, FitGroup fit);

/// Takes groups and codes row by row and packs them.
class AffineBuilder {
 public:
  /// @param setting  that check_matrix has passed.
  AffineBuilder(int64_t n_out, int64_t n_in, const LayerQuantization& setting, kernels::FloatKind scale_kind);

  /// Rows may be put from different threads.
  /// @param groups  (n_in / group_size)
  /// @param codes   (n_in), whole numbers from 0 to max_code_of(bits).
  /// @throws Error(kInvalidArgument) for a scale or bias too large for the scale kind.
  void put_row(int64_t row_idx, std::span<const AffineGroup> groups, std::span<const float> codes);

  /// The matrix, once all rows are put.
  AffineMatrix take() { return std::move(matrix_); }

 private:
  LayerQuantization setting_;
  kernels::FloatKind scale_kind_;
  int64_t row_bytes_;
  AffineMatrix matrix_;
};

}  // namespace lille
