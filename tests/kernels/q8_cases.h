#pragma once

#include <string>
#include <vector>

#include "kernels/kernel_cases.h"

namespace lille::kernels {

/// What no kernel writes.
inline constexpr float kUntouched = -12345.0f;

/// Rows of 8-bit activations and the memory they view.
struct OwnedQ8Rows {
  std::vector<int8_t> codes;
  std::vector<int16_t> words;
  std::vector<float> scales;
  std::vector<int32_t> sums;
  std::vector<float> group_sums;
  Q8Rows view;
};

inline OwnedQ8Rows quantize(const KernelTable& table, const std::vector<float>& x, int64_t n_in,
                            int64_t group_size) {
  const int64_t n_rows = static_cast<int64_t>(x.size()) / n_in;
  const int64_t stride = (n_in + kQ8Padding - 1) / kQ8Padding * kQ8Padding;
  OwnedQ8Rows rows;
  rows.codes.assign(static_cast<std::size_t>(n_rows * stride), 99);
  if (table.q8_words) rows.words.assign(rows.codes.size(), 99);
  rows.scales.assign(static_cast<std::size_t>(n_rows * (n_in / kQ8Block)), kUntouched);
  rows.sums.assign(rows.scales.size(), 99);
  rows.group_sums.assign(static_cast<std::size_t>(n_rows * (n_in / group_size)), kUntouched);
  rows.view = {.codes = rows.codes.data(),
               .words = rows.words.data(),
               .code_stride = stride,
               .block_stride = n_rows,
               .scales = rows.scales.data(),
               .sums = rows.sums.data(),
               .group_sums = rows.group_sums.data()};
  for (int64_t row = 0; row < n_rows; ++row)
    table.quantize_q8(rows.view.from(row), x.data() + row * n_in, n_in, group_size);
  return rows;
}

inline void expect_same_rows(const OwnedQ8Rows& actual, const OwnedQ8Rows& expected,
                             const std::string& what) {
  EXPECT_EQ(actual.codes, expected.codes) << what;
  constexpr std::size_t kOrder[] = {0, 2, 1, 3};
  for (std::size_t idx = 0; idx < actual.words.size(); ++idx)
    ASSERT_EQ(actual.words[idx], actual.codes[idx / 4 * 4 + kOrder[idx % 4]]) << what << " at " << idx;
  EXPECT_EQ(actual.sums, expected.sums) << what;
  expect_same_bits(actual.scales, expected.scales, what);
  expect_same_bits(actual.group_sums, expected.group_sums, what);
}

}  // namespace lille::kernels
