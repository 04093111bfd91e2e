#pragma once

#include <array>
#include <optional>

#include "base/dtype.h"
#include "kernels/kernel_types.h"

namespace lille {

/// A type in which a whole matrix may be stored, as files and as kernels call it.
struct WeightTypeRow {
  DType dtype;
  kernels::WeightKind kind;
};

inline constexpr std::array<WeightTypeRow, 11> kWeightTypes = {{{DType::kF32, kernels::WeightKind::kF32},
                                                                {DType::kF16, kernels::WeightKind::kF16},
                                                                {DType::kBF16, kernels::WeightKind::kBF16},
                                                                {DType::kQ8_0, kernels::WeightKind::kQ8_0},
                                                                {DType::kQ4_0, kernels::WeightKind::kQ4_0},
                                                                {DType::kQ4_1, kernels::WeightKind::kQ4_1},
                                                                {DType::kQ5_0, kernels::WeightKind::kQ5_0},
                                                                {DType::kQ5_1, kernels::WeightKind::kQ5_1},
                                                                {DType::kQ4_K, kernels::WeightKind::kQ4_K},
                                                                {DType::kQ5_K, kernels::WeightKind::kQ5_K},
                                                                {DType::kQ6_K, kernels::WeightKind::kQ6_K}}};

constexpr std::optional<kernels::WeightKind> weight_kind(DType dtype) noexcept {
  for (const WeightTypeRow& row : kWeightTypes)
    if (row.dtype == dtype) return row.kind;
  return std::nullopt;
}

}  // namespace lille
