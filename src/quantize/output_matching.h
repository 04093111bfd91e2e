#pragma once

#include <span>
#include <vector>

#include "quantize/gptq.h"

namespace lille {

/// The weights W' that, from the inputs y of a layer whose predecessors are quantised, give the outputs most
/// like those of W from the inputs x that it had before: W' = W + W * (sum of (x - y)^T y) * H^-1, with the
/// damped H of y, so that W stays where y says little.
/// @param source  (n_out, n_in) of any kind.
/// @param d_y     (n_in, n_in): sum of (x - y)^T y over the tokens that `hessian` was made of.
/// @return (n_out, n_in)
/// @throws Error(kInvalidArgument) for a weight that is NaN or infinite; Error(kInvalidShape).
/// Source: GPTAQ (arXiv 2504.02692) minimises the same; here before the rounding instead of within it.
std::vector<float> match_outputs(const kernels::WeightMatrix& source, std::span<const double> d_y,
                                 const GptqHessian& hessian, ThreadPool& pool);

}  // namespace lille
