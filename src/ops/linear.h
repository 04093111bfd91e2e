#pragma once

#include <span>

#include "ops/device.h"

namespace lille::ops {

/// out (n_rows, n_out) = x (n_rows, n_in) * weight^T.
struct Product {
  Rows out;
  const kernels::WeightMatrix* weight = nullptr;
};
/// How x is rounded where it is rounded to 8 bits.
enum class Rounding {
  kPlain,  ///< The largest of a block gets the largest code.
  kClose,  ///< Scales are chosen for the least error (kernels/choose_scales_q8.h), which takes longer.
};

/// Products of the same x: it is rounded once, and the threads meet once for all. No out may alias x.
/// @throws Error(kInvalidShape)
void linear(Device& device, std::span<const Product> products, Rows x, Rounding rounding = Rounding::kPlain);

/// One product.
inline void linear(Device& device, Rows out, Rows x, const kernels::WeightMatrix& weight,
                   Rounding rounding = Rounding::kPlain) {
  const Product product = {out, &weight};
  linear(device, std::span(&product, 1), x, rounding);
}

}  // namespace lille::ops
