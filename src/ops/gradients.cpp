#include "ops/gradients.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/float_kind.h"
#include "ops/parallel.h"
#include "ops/shape.h"

namespace lille::ops {

void rms_norm_gradient(Device& device, Rows d_x, Rows d_y, Rows x, const NormWeight& weight, float eps) {
  check_rows("rms_norm_gradient", "d_x", d_x, x.n_rows, weight.n);
  check_rows("rms_norm_gradient", "d_y", d_y, x.n_rows, weight.n);
  check_rows("rms_norm_gradient", "x", x, x.n_rows, weight.n);
  const auto n = static_cast<double>(weight.n);
  for_row_ranges(device, x.n_rows, 4 * x.n_cols, [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx) {
      const float* const x_row = x.row(row_idx);
      const float* const d_y_row = d_y.row(row_idx);
      double squares = 0, with_x = 0;
      for (int64_t idx = 0; idx < weight.n; ++idx) {
        squares += double{x_row[idx]} * x_row[idx];
        with_x += double{d_y_row[idx]} * kernels::load_float(weight.data, weight.kind, idx) * x_row[idx];
      }
      const double r = 1 / std::sqrt(squares / n + eps);
      const double share = r * r * r * with_x / n;
      float* const to = d_x.row(row_idx);
      for (int64_t idx = 0; idx < weight.n; ++idx)
        to[idx] += static_cast<float>(r * d_y_row[idx] * kernels::load_float(weight.data, weight.kind, idx) -
                                      share * x_row[idx]);
    }
  });
}

void swiglu_gradient(Device& device, Rows d_gate, Rows d_up, Rows d_y, Rows gate, Rows up) {
  for (const Rows& rows : {d_gate, d_up, d_y, up})
    check_rows("swiglu_gradient", "rows", rows, gate.n_rows, gate.n_cols);
  for_row_ranges(device, gate.n_rows, 16 * gate.n_cols, [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx)
      for (int64_t idx = 0; idx < gate.n_cols; ++idx) {
        const float slope = d_y.row(row_idx)[idx];
        const float of_gate = gate.row(row_idx)[idx];
        const float s = 1 / (1 + std::exp(-of_gate));
        d_gate.row(row_idx)[idx] = slope * up.row(row_idx)[idx] * s * (1 + of_gate * (1 - s));
        d_up.row(row_idx)[idx] = slope * of_gate * s;
      }
  });
}

void rope_gradient(Device& device, Rows d_x, const RopeTable& table, RopeLayout layout) {
  const int64_t head_dim = table.head_dim();
  const int64_t n_pairs = head_dim / 2;
  if (d_x.n_cols % head_dim != 0 || d_x.n_rows > table.block_size())
    raise(ErrorCode::kInvalidShape,
          "[rope_gradient] d_x: expected at most {} rows of whole heads of {}, got ({}, {})",
          table.block_size(), head_dim, d_x.n_rows, d_x.n_cols);
  for_row_ranges(device, d_x.n_rows, 4 * d_x.n_cols, [&](int64_t row_begin, int64_t row_end) {
    std::array<float, RopeTable::kMaxHeadDim> copy;
    for (int64_t pos = row_begin; pos < row_end; ++pos) {
      const float* const cos = table.cos(pos);
      const float* const sin = table.sin(pos);
      for (float* head = d_x.row(pos); head != d_x.row(pos) + d_x.n_cols; head += head_dim) {
        std::copy_n(head, head_dim, copy.data());
        for (int64_t j = 0; j < n_pairs; ++j) {
          const bool is_interleaved = layout == RopeLayout::kInterleaved;
          const float first = copy[static_cast<std::size_t>(is_interleaved ? 2 * j : j)];
          const float second = copy[static_cast<std::size_t>(is_interleaved ? 2 * j + 1 : j + n_pairs)];
          switch (layout) {
            case RopeLayout::kInterleaved:
              head[2 * j] = first * cos[j] + second * sin[j];
              head[2 * j + 1] = second * cos[j] - first * sin[j];
              break;
            case RopeLayout::kHalf:
              head[j] = first * cos[j] + second * sin[j];
              head[j + n_pairs] = second * cos[j] - first * sin[j];
              break;
            case RopeLayout::kOriginal:
              // The cosine of elements half a head apart; the sine of neighbours comes on top.
              head[j] = first * cos[j];
              head[j + n_pairs] = second * cos[j];
              break;
          }
        }
        if (layout != RopeLayout::kOriginal) continue;
        for (int64_t j = 0; j < n_pairs; ++j) {
          head[2 * j] += copy[static_cast<std::size_t>(j + n_pairs)] * sin[j];
          head[2 * j + 1] -= copy[static_cast<std::size_t>(j)] * sin[j];
        }
      }
    }
  });
}

void causal_softmax_gradient(Device& device, Rows d_y, Rows weights, float scale) {
  check_rows("causal_softmax_gradient", "weights", weights, weights.n_rows, weights.n_rows);
  check_rows("causal_softmax_gradient", "d_y", d_y, weights.n_rows, weights.n_rows);
  for_row_ranges(device, d_y.n_rows, 4 * d_y.n_cols, [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx) {
      float* const slopes = d_y.row(row_idx);
      const float* const shares = weights.row(row_idx);
      double mean = 0;
      for (int64_t col = 0; col <= row_idx; ++col) mean += double{slopes[col]} * shares[col];
      for (int64_t col = 0; col < d_y.n_cols; ++col)
        slopes[col] = col <= row_idx ? scale * shares[col] * (slopes[col] - static_cast<float>(mean)) : 0;
    }
  });
}

void causal_softmax(Device& device, Rows scores, float scale) {
  check_rows("causal_softmax", "scores", scores, scores.n_rows, scores.n_rows);
  for_row_ranges(device, scores.n_rows, 16 * scores.n_cols, [&](int64_t row_begin, int64_t row_end) {
    for (int64_t row_idx = row_begin; row_idx < row_end; ++row_idx) {
      float* const row = scores.row(row_idx);
      const float most = *std::max_element(row, row + row_idx + 1);
      double sum = 0;
      for (int64_t col = 0; col < scores.n_cols; ++col) {
        row[col] = col <= row_idx ? std::exp(scale * (row[col] - most)) : 0;
        sum += row[col];
      }
      for (int64_t col = 0; col <= row_idx; ++col) row[col] = static_cast<float>(row[col] / sum);
    }
  });
}

}  // namespace lille::ops
