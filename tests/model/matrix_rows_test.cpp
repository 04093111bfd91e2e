#include "model/matrix_rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support.h"

namespace lille {
namespace {

kernels::WeightMatrix matrix_of(const std::vector<float>& values, int64_t n_in) {
  return {kernels::WeightKind::kF32, values.data(), static_cast<int64_t>(values.size()) / n_in, n_in};
}

std::vector<float> floats(const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(MatrixRows, TakesAnyOrderToAnyOther) {
  // Two heads of four rows, then a part of its own.
  const std::vector<float> own = {0, 1, 2, 3, 10, 11, 12, 13};
  const std::vector<float> permuted = {0, 2, 1, 3, 10, 12, 11, 13};
  const std::vector<float> values = {20, 21};
  for (const bool is_permuted : {false, true}) {
    Linear linear;
    linear.parts = {{matrix_of(is_permuted ? permuted : own, 1), is_permuted ? 4 : 0},
                    {matrix_of(values, 1), 0}};
    EXPECT_EQ(floats(copy_rows(linear, 0, 8, 0).data), own);
    EXPECT_EQ(floats(copy_rows(linear, 0, 8, 4).data), permuted);
    EXPECT_EQ(floats(copy_rows(linear, 4, 4, 0).data), (std::vector<float>{10, 11, 12, 13}));
    EXPECT_EQ(floats(copy_rows(linear, 8, 2, 0).data), values);
    EXPECT_THROW(copy_rows(linear, 4, 5, 0), Error) << "rows of two parts";
  }
}

TEST(MatrixRows, DequantisesARowOfAnyPart) {
  const std::vector<float> permuted = {0, 2, 1, 3, 10, 12, 11, 13};
  const std::vector<float> values = {20, 21};
  const LinearPart parts[] = {{matrix_of(permuted, 1), 4}, {matrix_of(values, 1), 0}};
  const std::vector<float> expected = {0, 1, 2, 3, 10, 11, 12, 13, 20, 21};
  for (std::size_t row = 0; row < expected.size(); ++row) {
    float value = -1;
    dequantize_row(&value, parts, static_cast<int64_t>(row), kernels::select_kernel_table({}));
    EXPECT_EQ(value, expected[row]) << row;
  }
}

TEST(MatrixRows, ConvertsExactlyWhatTheTypeHolds) {
  ThreadPool pool(2);
  const std::vector<float> values = {1, -0.5F, 0.25F, 1024};
  const kernels::WeightMatrix matrix = matrix_of(values, 2);
  EXPECT_EQ(floats(encode_matrix(matrix, DType::kF32, "w", pool)), values);
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const std::vector<std::byte> bytes = encode_matrix(matrix, dtype, "w", pool);
    ASSERT_EQ(bytes.size(), 8u);
    for (std::size_t idx = 0; idx < 4; ++idx) {
      const auto bits = load_unaligned<uint16_t>(bytes.data() + 2 * idx);
      EXPECT_EQ(dtype == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits), values[idx]);
    }
  }
}

TEST(MatrixRows, PartsBecomeOneMatrixInTheModelsOrder) {
  ThreadPool pool(2);
  const std::vector<float> permuted = {0, 2, 1, 3, 10, 12, 11, NAN};
  const std::vector<float> values = {20, 21};
  const std::vector<float> expected = {0, 1, 2, 3, 10, 11, 12, NAN, 20, 21};
  std::vector<LinearPart> parts = {{matrix_of(permuted, 1), 4}, {matrix_of(values, 1), 0}};
  const std::vector<std::byte> same = encode_floats(parts, DType::kF32, "w", pool);
  ASSERT_EQ(same.size(), expected.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(same.data(), expected.data(), same.size()), 0) << "a NaN is copied as it is";
  test::expect_error(ErrorCode::kInvalidArgument,
                     "[convert] w: weight (7, 0): expected a finite number, got nan",
                     [&] { encode_floats(parts, DType::kBF16, "w", pool); });
  parts[0].weight = matrix_of(expected, 1);
  parts[0].weight.n_out = 4;
  parts[0].permuted_head_dim = 0;
  const std::vector<std::byte> halves = encode_floats(parts, DType::kBF16, "w", pool);
  ASSERT_EQ(halves.size(), 12u);
  EXPECT_EQ(bf16_to_f32(load_unaligned<uint16_t>(halves.data() + 6)), 3);
  EXPECT_EQ(bf16_to_f32(load_unaligned<uint16_t>(halves.data() + 8)), 20);
}

TEST(MatrixRows, RefusesWhatTheTypeCannotHold) {
  ThreadPool pool(1);
  const std::vector<float> large = {1, 70000};
  test::expect_error(ErrorCode::kInvalidArgument,
                     "[convert] out_proj: weight (0, 1): expected a number that float16 holds, got 70000",
                     [&] { encode_matrix(matrix_of(large, 2), DType::kF16, "out_proj", pool); });
  const std::vector<float> nan = {1, NAN};
  test::expect_error(ErrorCode::kInvalidArgument,
                     "[convert] out_proj: weight (0, 1): expected a finite number",
                     [&] { encode_matrix(matrix_of(nan, 2), DType::kBF16, "out_proj", pool); });
}

}  // namespace
}  // namespace lille
