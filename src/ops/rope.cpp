#include "ops/rope.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {
namespace {

void rotate_interleaved(float* head, const float* cos, const float* sin, int64_t n_pairs) noexcept {
  for (int64_t j = 0; j < n_pairs; ++j) {
    const float even = head[2 * j];
    const float odd = head[2 * j + 1];
    head[2 * j] = even * cos[j] - odd * sin[j];
    head[2 * j + 1] = odd * cos[j] + even * sin[j];
  }
}

void rotate_half(float* head, const float* cos, const float* sin, int64_t n_pairs) noexcept {
  for (int64_t j = 0; j < n_pairs; ++j) {
    const float low = head[j];
    const float high = head[j + n_pairs];
    head[j] = low * cos[j] - high * sin[j];
    head[j + n_pairs] = high * cos[j] + low * sin[j];
  }
}

/// Reads pairs that are adjacent and writes pairs that are half a head apart, so it cannot work in place:
/// `copy` holds 2 * n_pairs floats.
void rotate_original(float* head, const float* cos, const float* sin, int64_t n_pairs, float* copy) noexcept {
  std::copy(head, head + 2 * n_pairs, copy);
  for (int64_t j = 0; j < n_pairs; ++j) {
    head[j] = copy[j] * cos[j] - copy[2 * j + 1] * sin[j];
    head[j + n_pairs] = copy[j + n_pairs] * cos[j] + copy[2 * j] * sin[j];
  }
}

}  // namespace

RopeTable::RopeTable(int64_t block_size, int64_t head_dim, double theta)
    : block_size_(block_size), n_pairs_(head_dim / 2) {
  if (block_size < 1 || head_dim < 2 || head_dim > kMaxHeadDim || head_dim % 2 != 0)
    raise(ErrorCode::kInvalidShape,
          "[RopeTable] expected block_size >= 1 and an even head_dim from 2 to {}, got {} and {}",
          kMaxHeadDim, block_size, head_dim);
  if (!(theta > 0) || !std::isfinite(theta))
    raise(ErrorCode::kInvalidArgument, "[RopeTable] rope_theta: expected a positive number, got {}", theta);
  cos_.resize(static_cast<std::size_t>(block_size * n_pairs_));
  sin_.resize(cos_.size());
  for (int64_t j = 0; j < n_pairs_; ++j) {
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(head_dim));
    for (int64_t pos = 0; pos < block_size; ++pos) {
      const double angle = static_cast<double>(pos) * frequency;
      cos_[static_cast<std::size_t>(pos * n_pairs_ + j)] = static_cast<float>(std::cos(angle));
      sin_[static_cast<std::size_t>(pos * n_pairs_ + j)] = static_cast<float>(std::sin(angle));
    }
  }
}

void rope(Device& device, Rows x, const RopeTable& table, RopeLayout layout,
          std::span<const int64_t> positions) {
  check_count("rope", "positions", positions.size(), x.n_rows);
  const int64_t head_dim = table.head_dim();
  if (x.n_cols % head_dim != 0)
    raise(ErrorCode::kInvalidShape, "[rope] x: expected a multiple of head_dim {} columns, got {}", head_dim,
          x.n_cols);
  for (const int64_t pos : positions)
    if (pos < 0 || pos >= table.block_size())
      raise(ErrorCode::kInvalidArgument, "[rope] position: expected 0 to {}, got {}", table.block_size() - 1,
            pos);

  for_row_ranges(device, x.n_rows, 4 * x.n_cols, [&](int64_t row_begin, int64_t row_end) {
    std::array<float, RopeTable::kMaxHeadDim> copy;
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx) {
      const int64_t pos = positions[static_cast<std::size_t>(row_idx)];
      for (float* head = x.row(row_idx); head != x.row(row_idx) + x.n_cols; head += head_dim) {
        switch (layout) {
          case RopeLayout::kInterleaved:
            rotate_interleaved(head, table.cos(pos), table.sin(pos), head_dim / 2);
            break;
          case RopeLayout::kHalf:
            rotate_half(head, table.cos(pos), table.sin(pos), head_dim / 2);
            break;
          case RopeLayout::kOriginal:
            rotate_original(head, table.cos(pos), table.sin(pos), head_dim / 2, copy.data());
            break;
        }
      }
    }
  });
}

}  // namespace lille::ops
