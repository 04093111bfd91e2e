#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quantize/affine.h"
#include "quantize/factorization.h"

namespace lille {

/// What quantize_gptq knows of the inputs of a layer.
class GptqHessian {
 public:
  /// @param products  (n_in, n_in): the sum of x^T x over the inputs x of a calibration text; symmetric.
  /// @param damping   share of its mean diagonal that is added to the diagonal. A column that no input uses
  ///   counts as one of the mean.
  /// @throws Error(kInvalidArgument) if a number is not finite, or nothing positive is on the diagonal.
  GptqHessian(std::vector<double> products, double damping, ThreadPool& pool);

  int64_t n_in() const noexcept { return factors_.n; }
  /// (n_in, n_in), damped.
  std::span<const float> matrix() const noexcept { return matrix_; }
  /// (n_in): how much an error in a column costs that later columns cannot make good.
  std::span<const float> costs() const noexcept { return costs_; }
  /// Columns from `column` on of that row of the unit upper triangle: how an error of one column is handed to
  /// the later ones.
  std::span<const float> feedback(int64_t column) const noexcept;
  /// The products that count as 1 in all of these numbers: their mean diagonal.
  double unit() const noexcept { return unit_; }
  /// In double, for other uses than the rounding.
  const UduFactors& factors() const noexcept { return factors_; }

 private:
  double unit_;
  UduFactors factors_;
  std::vector<float> matrix_;
  std::vector<float> costs_;
  std::vector<float> feedback_;
};

/// Quantises a matrix to MLX's affine form so that the outputs of its layer change little: for the error E of
/// a row, E * H * E^T is made small, H being the Hessian. Columns are rounded one after the other, each with
/// what the errors of those before it ask of it; the scale and bias of a group are chosen when its first
/// column is reached (fit_weighted with the costs of its columns). Then groups and codes are changed in turn
/// as long as that lowers the error. Order of the columns: as they are, since MLX's form stores no other.
/// @param source      as quantize_affine.
/// @param scale_kind  as quantize_affine.
/// @param pool        its threads share the rows; the result does not depend on them.
/// @throws Error(kInvalidArgument) as quantize_affine; Error(kInvalidShape) for a Hessian of another width.
/// Source: GPTQ (arXiv 2210.17323) in the form of LDLQ (arXiv 2307.13304, theorem 6); the second part as in
///   QuantEase (arXiv 2309.01885).
AffineMatrix quantize_gptq(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                           kernels::FloatKind scale_kind, const GptqHessian& hessian, ThreadPool& pool);

}  // namespace lille
