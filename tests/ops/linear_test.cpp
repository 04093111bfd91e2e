#include "ops/linear.h"

#include <initializer_list>

#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

kernels::WeightMatrix f32_matrix(const std::vector<float>& values, int64_t n_out, int64_t n_in) {
  return {.kind = kernels::WeightKind::kF32, .data = values.data(), .n_out = n_out, .n_in = n_in};
}

using Linear = EveryTable;

TEST_P(Linear, IsXTimesTheTransposedWeight) {
  OwnDevice own(table());
  const std::vector<float> weight = {1, 2, 3, -1, 0, 1};
  std::vector<float> x = {1, 10, 100, 2, 0, -2};
  std::vector<float> out(4);
  linear(own.device, rows_of(out, 2, 2), rows_of(x, 2, 3), f32_matrix(weight, 2, 3));
  EXPECT_EQ(out, (std::vector<float>{321, 99, -4, -4}));
}

TEST_P(Linear, EveryOutputIsComputedWhateverTheThreads) {
  for (const auto& [n_rows, n_out] : {std::pair<int64_t, int64_t>{1, 2000}, {3, 333}, {40, 777}}) {
    const int64_t n_in = 129;
    const std::vector<float> weight = random_floats(n_out * n_in, 1);
    std::vector<float> x = random_floats(n_rows * n_in, 2);
    expect_same_for_any_threads(table(), [&](Device& device) {
      std::vector<float> out(static_cast<std::size_t>(n_rows * n_out), -77.0f);
      linear(device, rows_of(out, n_rows, n_out), rows_of(x, n_rows, n_in), f32_matrix(weight, n_out, n_in));
      for (const float value : out) EXPECT_NE(value, -77.0f);
      return out;
    });
  }
}

/// 50 rows at once, on any number of threads, and one by one give the same bits, exactly and rounded; no two
/// roundings that differ for the matrix give the same answers.
void expect_rows_alone_as_together(const kernels::KernelTable& table, const kernels::WeightMatrix& weight,
                                   std::initializer_list<Rounding> roundings) {
  std::vector<float> x = random_floats(50 * weight.n_in, 4);
  std::vector<std::vector<float>> answers;
  const auto add_answers = [&](bool exact, Rounding rounding) {
    const std::vector<float> together = expect_same_for_any_threads(table, [&](Device& device) {
      device.exact = exact;
      std::vector<float> out(static_cast<std::size_t>(50 * weight.n_out));
      linear(device, rows_of(out, 50, weight.n_out), rows_of(x, 50, weight.n_in), weight, rounding);
      return out;
    });
    OwnDevice own(table);
    own.device.exact = exact;
    std::vector<float> alone(together.size());
    for (int64_t row = 0; row < 50; ++row)
      linear(own.device, rows_of(alone, 50, weight.n_out).rows(row, 1),
             rows_of(x, 50, weight.n_in).rows(row, 1), weight, rounding);
    expect_same_bits(alone, together, "row by row");
    for (const std::vector<float>& other : answers) EXPECT_NE(together, other) << "rounded otherwise";
    answers.push_back(together);
  };
  add_answers(true, Rounding::kPlain);
  for (const Rounding rounding : roundings) add_answers(false, rounding);
}

TEST_P(Linear, ARowsAnswerDoesNotDependOnTheOthers) {
  const int64_t n_in = 96;
  const int64_t n_out = 150;
  std::vector<std::byte> codes(static_cast<std::size_t>(n_out * n_in));
  for (std::size_t idx = 0; idx < codes.size(); ++idx) codes[idx] = static_cast<std::byte>(idx * 37 % 251);
  const std::vector<float> scales = random_floats(n_out * n_in / 32, 3);
  expect_rows_alone_as_together(table(),
                                {.kind = kernels::WeightKind::kAffine,
                                 .data = codes.data(),
                                 .n_out = n_out,
                                 .n_in = n_in,
                                 .bits = 8,
                                 .scales = scales.data(),
                                 .biases = scales.data(),
                                 .scale_kind = kernels::FloatKind::kF32,
                                 .group_size = 32},
                                {Rounding::kPlain, Rounding::kClose});
}

TEST_P(Linear, ARowsAnswerDoesNotDependOnTheOthersInBfloat16) {
  // Rows that fill no whole vectors, and more than one block of rows.
  for (const int64_t n_in : {37, 96, 1792}) {
    const int64_t n_out = 150;
    std::vector<uint16_t> bits;
    for (const float value : random_floats(n_out * n_in, 3)) bits.push_back(f32_to_bf16(value));
    expect_rows_alone_as_together(
        table(), {.kind = kernels::WeightKind::kBF16, .data = bits.data(), .n_out = n_out, .n_in = n_in},
        {Rounding::kPlain});
  }
}

TEST_P(Linear, ProductsTogetherAreThoseAlone) {
  const int64_t n_in = 96;
  std::vector<std::byte> codes(static_cast<std::size_t>(150 * n_in));
  for (std::size_t idx = 0; idx < codes.size(); ++idx) codes[idx] = static_cast<std::byte>(idx * 37 % 251);
  const std::vector<float> floats = random_floats(150 * n_in, 3);
  const auto coded = [&](int64_t n_out, int64_t group_size) {
    return kernels::WeightMatrix{.kind = kernels::WeightKind::kAffine,
                                 .data = codes.data(),
                                 .n_out = n_out,
                                 .n_in = n_in,
                                 .bits = 8,
                                 .scales = floats.data(),
                                 .biases = floats.data(),
                                 .scale_kind = kernels::FloatKind::kF32,
                                 .group_size = group_size};
  };
  // Two that share rounded rows, one with other groups, one of floats; none fills whole tasks.
  const std::vector<kernels::WeightMatrix> weights = {coded(150, 32), coded(17, 32), coded(33, 96),
                                                      f32_matrix(floats, 21, n_in)};
  std::vector<float> x = random_floats(3 * n_in, 4);
  const auto of_all = [&](Device& device, bool together) {
    device.exact = false;
    std::vector<std::vector<float>> outs;
    for (const kernels::WeightMatrix& weight : weights)
      outs.emplace_back(static_cast<std::size_t>(3 * weight.n_out));
    std::vector<Product> products;
    for (std::size_t idx = 0; idx < weights.size(); ++idx)
      products.push_back({rows_of(outs[idx], 3, weights[idx].n_out), &weights[idx]});
    if (together) linear(device, products, rows_of(x, 3, n_in));
    for (const Product& product : products)
      if (!together) linear(device, product.out, rows_of(x, 3, n_in), *product.weight);
    std::vector<float> joined;
    for (const std::vector<float>& out : outs) joined.insert(joined.end(), out.begin(), out.end());
    return joined;
  };
  const std::vector<float> together =
      expect_same_for_any_threads(table(), [&](Device& device) { return of_all(device, true); });
  OwnDevice own(table());
  expect_same_bits(of_all(own.device, false), together, "one by one");
}

LILLE_FOR_EVERY_TABLE(Linear);

TEST_P(Linear, NoOutputsAreNoWork) {
  OwnDevice own(table());
  std::vector<float> x = {1, 2, 3}, out;
  linear(own.device, rows_of(out, 1, 0), rows_of(x, 1, 3), f32_matrix({}, 0, 3));
}

TEST(LinearShapes, AreChecked) {
  OwnDevice own(best_table());
  const std::vector<float> weight(12);
  std::vector<float> values(64);
  const kernels::WeightMatrix matrix = f32_matrix(weight, 4, 3);
  const auto with = [&](Rows out, Rows x) { return [&, out, x] { linear(own.device, out, x, matrix); }; };
  test::expect_error(ErrorCode::kInvalidShape, "[linear] x: expected (2, 3), got (2, 4)",
                     with(rows_of(values, 2, 4), rows_of(values, 2, 4)));
  test::expect_error(ErrorCode::kInvalidShape, "[linear] out: expected (2, 4), got (2, 3)",
                     with(rows_of(values, 2, 3), rows_of(values, 2, 3)));
  test::expect_error(ErrorCode::kInvalidShape, "[linear] out: expected (2, 4), got (1, 4)",
                     with(rows_of(values, 1, 4), rows_of(values, 2, 3)));
  EXPECT_NO_THROW(linear(own.device, rows_of(values, 0, 4), rows_of(values, 0, 3), matrix));
}

}  // namespace
}  // namespace lille::ops
