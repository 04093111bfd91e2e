#pragma once

#include <span>

#include "quantize/affine.h"

namespace lille {

/// Quantises a matrix to MLX's affine form with the scale and bias of each group that make the sum of
/// importance * error^2 small (fit_weighted); with the mean square of each input as its importance that is
/// the error of the layer's outputs, were inputs uncorrelated. Codes belong to the rounded scale and bias.
/// @param source      as quantize_affine.
/// @param scale_kind  as quantize_affine.
/// @param importance  (n_in), one for each column, not negative.
/// @param pool        its threads share the rows; the result does not depend on them.
/// @throws Error(kInvalidArgument) as quantize_affine; Error(kInvalidShape) for another number of columns.
AffineMatrix quantize_weighted(const kernels::WeightMatrix& source, const LayerQuantization& setting,
                               kernels::FloatKind scale_kind, std::span<const float> importance,
                               ThreadPool& pool);

}  // namespace lille
