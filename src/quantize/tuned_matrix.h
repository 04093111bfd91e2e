#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quantize/affine.h"
#include "quantize/affine_group.h"

namespace lille {

/// How far one step of TunedMatrix goes.
struct TuneStep {
  double code_rate = 0;   ///< In codes.
  double scale_rate = 0;  ///< Scales and biases, in shares of the scale that the group began with.
  int64_t step_idx = 0;   ///< Steps that came before.
};

/// A matrix in MLX's affine form whose codes, scales and biases are moved so that a number, of which the
/// derivatives by its weights are known, shrinks. Codes have a part behind the point, which rounding ignores
/// and steps change (the straight-through estimator, arXiv 1308.3432); steps are Adam's (arXiv 1412.6980).
class TunedMatrix {
 public:
  /// @param codes       what to begin with.
  /// @param source      (n_out, n_in): the weights that it came from, which say what stands behind the point.
  /// @param n_in        columns.
  /// @param scale_kind  of codes.scales and codes.biases.
  TunedMatrix(const AffineMatrix& codes, std::span<const float> source, int64_t n_in,
              const LayerQuantization& setting, kernels::FloatKind scale_kind, ThreadPool& pool);

  /// The weights as kernels read them, (n_out, n_in).
  void write_weights(std::span<float> out, ThreadPool& pool) const;
  /// @param gradient  (n_out, n_in): the derivatives by the weights.
  void step(std::span<const float> gradient, const TuneStep& step, ThreadPool& pool);
  /// As a folder holds it.
  /// @throws Error(kInvalidArgument) for a scale or bias too large for the scale kind.
  AffineMatrix codes() const;

 private:
  /// Numbers and Adam's means of their derivatives and of the squares of these.
  struct Parameters {
    explicit Parameters(std::size_t n) : values(n), means(n), squares(n) {}
    std::vector<float> values;
    std::vector<float> means;
    std::vector<float> squares;
  };

  int64_t n_rows() const noexcept { return static_cast<int64_t>(codes_.values.size()) / n_in_; }
  std::size_t n_groups_of_row() const noexcept {
    return static_cast<std::size_t>(n_in_ / setting_.group_size);
  }
  AffineGroup group(std::size_t group_idx) const noexcept;
  float code(std::size_t idx) const noexcept;

  int64_t n_in_;
  LayerQuantization setting_;
  kernels::FloatKind scale_kind_;
  float max_code_;
  Parameters codes_;                 ///< (n_out, n_in)
  Parameters scales_;                ///< (n_out, n_in / group_size), before they are rounded to the kind.
  Parameters biases_;                ///< The same.
  std::vector<float> first_scales_;  ///< What steps of scales and biases are shares of.
};

}  // namespace lille
