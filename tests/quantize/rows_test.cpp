#include "quantize/rows.h"

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

}  // namespace
}  // namespace lille
