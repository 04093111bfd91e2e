#pragma once

#include <cstdint>

#include "ops/device.h"

namespace lille::ops {

/// The weight of an RMSNorm: n values of a float kind at any address.
struct NormWeight {
  const void* data = nullptr;
  kernels::FloatKind kind = kernels::FloatKind::kF32;
  int64_t n = 0;
};

/// Root-mean-square norm of each row: out = x / sqrt(mean(x^2) + eps) * weight; out may be x.
/// @param out, x  (n_rows, n)
/// @param eps     layer_norm_eps, added to the mean square
/// @throws Error(kInvalidShape) if widths differ.
/// Source: arXiv 1910.07467; mlx-lm mlx_lm/models/lille-130m.py.
void rms_norm(Device& device, Rows out, Rows x, const NormWeight& weight, float eps);

}  // namespace lille::ops
