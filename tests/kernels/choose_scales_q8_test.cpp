#include "kernels/choose_scales_q8.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/q8_cases.h"

namespace lille::kernels {
namespace {

OwnedQ8Rows quantize_closely(const KernelTable& table, const std::vector<float>& x, int64_t n_in,
                             int64_t group_size) {
  OwnedQ8Rows rows = quantize(table, x, n_in, group_size);
  for (int64_t row = 0; row * n_in < static_cast<int64_t>(x.size()); ++row)
    choose_scales_q8(rows.view.from(row), x.data() + row * n_in, n_in, group_size);
  return rows;
}

/// Sum of squared errors of a block of the only row.
double error_of(const OwnedQ8Rows& rows, const std::vector<float>& x, std::size_t block) {
  double error = 0;
  for (std::size_t idx = 32 * block; idx < 32 * block + 32; ++idx) {
    const double rest = double{x[idx]} - double{rows.scales[block]} * rows.codes[idx];
    error += rest * rest;
  }
  return error;
}

/// The least that any of the tried codes of the largest leaves with the best scale there is, in double.
double least_error(const std::vector<float>& x, std::size_t block) {
  double largest = 0;
  for (std::size_t idx = 32 * block; idx < 32 * block + 32; ++idx)
    largest = std::max(largest, std::abs(double{x[idx]}));
  double least = std::numeric_limits<double>::infinity();
  for (int code_of_largest = 127; code_of_largest > 127 - kScaleTriesQ8; --code_of_largest) {
    double squares = 0, products = 0, codes = 0;
    for (std::size_t idx = 32 * block; idx < 32 * block + 32; ++idx) {
      const double code = std::nearbyint(double{x[idx]} / largest * code_of_largest);
      squares += double{x[idx]} * double{x[idx]};
      products += double{x[idx]} * code;
      codes += code * code;
    }
    least = std::min(least, squares - products * products / codes);
  }
  return least;
}

using ChooseScalesQ8 = EveryTable;

TEST_P(ChooseScalesQ8, ErrorsAreTheLeastOfAllTriesAndNeverMoreThanBefore) {
  for (const float size : {1e-25f, 1.0f, 1e30f}) {
    std::vector<float> x = random_floats(64 * 32, 11);
    for (std::size_t idx = 0; idx < x.size(); ++idx) {
      x[idx] *= size;
      if (idx % 64 == 40) x[idx] *= 50.0f;
    }
    const OwnedQ8Rows before = quantize(table(), x, 64 * 32, 64);
    const OwnedQ8Rows rows = quantize_closely(table(), x, 64 * 32, 64);
    double sum = 0;
    double sum_before = 0;
    for (std::size_t block = 0; block < 64; ++block) {
      const double error = error_of(rows, x, block);
      const double error_before = error_of(before, x, block);
      // Steps of up to 127 have an error of 2^-17 each in float32.
      EXPECT_LE(error, error_before * (1 + 1e-4)) << size << " block " << block;
      EXPECT_NEAR(error, least_error(x, block), 1e-3 * error_before) << size << " block " << block;
      if (block % 2 != 0) continue;  // An outlier's: it lets the codes of the others change little.
      sum += error;
      sum_before += error_before;
    }
    // 32 squares of errors that lie evenly over a step have a mean of 32 / 12 and a deviation of sqrt(32 /
    // 180) steps: the least of four independent sums would be 0.84 of one, in steps that are up to 3 %
    // longer.
    EXPECT_LT(sum, 0.9 * sum_before) << size;
  }
}

TEST_P(ChooseScalesQ8, SumsAndScalesBelongToTheCodes) {
  const std::vector<float> x = random_floats(3 * 160, 12);
  const OwnedQ8Rows rows = quantize_closely(table(), x, 160, 32);
  EXPECT_NE(rows.scales, quantize(table(), x, 160, 32).scales);
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t block = 0; block < 5; ++block) {
      int sum = 0;
      for (std::size_t idx = 0; idx < 32; ++idx) {
        const int code = rows.codes[row * 192 + 32 * block + idx];
        const float scale = rows.scales[3 * block + row];
        EXPECT_LE(std::abs(code), 127);
        // Half a step, and what the scale changed by for the largest code: less than half of a step, too.
        EXPECT_NEAR(static_cast<float>(code) * scale, x[row * 160 + 32 * block + idx], scale);
        sum += code;
      }
      EXPECT_EQ(rows.sums[3 * block + row], sum);
      EXPECT_EQ(rows.group_sums[3 * block + row], static_cast<float>(sum) * rows.scales[3 * block + row]);
    }
}

TEST_P(ChooseScalesQ8, ZerosAndWhatIsNoNumberStayAsTheyWere) {
  std::vector<float> x = random_floats(5 * 32, 13);
  for (std::size_t idx = 0; idx < 32; ++idx) {
    x[idx] = idx % 2 == 0 ? 0.0f : -0.0f;
    x[32 + idx] = std::numeric_limits<float>::denorm_min();
  }
  x[64 + 3] = -std::numeric_limits<float>::infinity();
  x[96 + 3] = std::nanf("");
  const OwnedQ8Rows before = quantize(table(), x, 160, 32);
  const OwnedQ8Rows rows = quantize_closely(table(), x, 160, 32);
  for (std::size_t block = 0; block < 4; ++block) {
    expect_same_bits({rows.scales[block]}, {before.scales[block]}, fmt::format("scale {}", block));
    expect_same_bits({rows.group_sums[block]}, {before.group_sums[block]}, fmt::format("sum {}", block));
    for (std::size_t idx = 32 * block; idx < 32 * block + 32; ++idx) EXPECT_EQ(rows.codes[idx], 0);
  }
  EXPECT_TRUE(std::isnan(rows.group_sums[3]));
}

TEST_P(ChooseScalesQ8, TheLargestAndLeastNumbersHaveFiniteScales) {
  for (const float size : {kQ8Smallest, std::numeric_limits<float>::max()}) {
    std::vector<float> x = random_floats(32, 14);
    const float largest = std::abs(*std::ranges::max_element(x, {}, [](float v) { return std::abs(v); }));
    for (float& value : x) value = value / largest * size;
    const OwnedQ8Rows rows = quantize_closely(table(), x, 32, 32);
    EXPECT_GT(rows.scales[0], 0);
    EXPECT_NEAR(rows.scales[0] / size * 127, 1, 0.1);
  }
}

TEST_P(ChooseScalesQ8, GivesTheReferencesBits) {
  for (const int64_t group_size : {32, 64, 128})
    for (const int64_t n_in : {128, 640, 1792}) {
      if (n_in % group_size != 0) continue;
      const std::vector<float> x =
          random_floats(static_cast<std::size_t>(3 * n_in), static_cast<uint32_t>(n_in));
      expect_same_rows(quantize_closely(table(), x, n_in, group_size),
                       quantize_closely(reference_table(), x, n_in, group_size),
                       fmt::format("n_in {} group {}", n_in, group_size));
    }
}

LILLE_FOR_EVERY_TABLE(ChooseScalesQ8);

}  // namespace
}  // namespace lille::kernels
