#include "quantize/rows.h"

#include <cmath>

#include "quantize/quantize_cases.h"

namespace lille {
namespace {

TEST(ForEachRow, GivesEveryRowOnceForAnyThreads) {
  const std::vector<float> values = test::normal_floats(37 * 10, 1, 1.0f);
  for (const int64_t n_threads : {1, 3}) {
    ThreadPool pool(n_threads);
    std::vector<float> seen(values.size());
    for_each_row(test::f32_matrix(values, 10), pool, [&](int64_t row_idx, std::span<const float> row) {
      for (std::size_t idx = 0; idx < row.size(); ++idx)
        seen[static_cast<std::size_t>(row_idx) * 10 + idx] += row[idx];
    });
    EXPECT_EQ(seen, values);
  }
}

TEST(ForEachRow, ThrowsTheErrorOfTheFirstRow) {
  const std::vector<float> values(50, 1.0f);
  ThreadPool pool(4);
  for (int repeat = 0; repeat < 20; ++repeat)
    test::expect_error(ErrorCode::kInvalidArgument, "row 3", [&] {
      for_each_row(test::f32_matrix(values, 2), pool, [](int64_t row_idx, std::span<const float>) {
        if (row_idx >= 3) throw Error(ErrorCode::kInvalidArgument, "row " + std::to_string(row_idx));
      });
    });
}

TEST(ForEachRow, CountsRowsInMessagesFromTheFirst) {
  std::vector<float> values(20, 1.0f);
  values[11] = NAN;
  ThreadPool pool(2);
  const auto use = [](int64_t row_idx, std::span<const float>) { EXPECT_LT(row_idx, 10); };
  const auto expect_row = [](std::string_view row, auto&& action) {
    test::expect_error(ErrorCode::kInvalidArgument, row, action);
  };
  const kernels::WeightMatrix matrix = test::f32_matrix(values, 2);
  expect_row("weight (5, 1): expected a finite number", [&] { for_each_row(matrix, pool, use); });
  expect_row("weight (105, 1): expected a finite number", [&] { for_each_row(matrix, pool, use, 100); });
  const auto read = [&](float* out, int64_t row_idx) {
    out[0] = 1;
    out[1] = row_idx == 3 ? NAN : 1;
  };
  expect_row("weight (10, 1): expected a finite number", [&] { for_each_row({10, 2, read, 7}, pool, use); });
}

}  // namespace
}  // namespace lille
