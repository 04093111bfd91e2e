#include "ops/embedding.h"

#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

using Embedding = EveryTable;

TEST_P(Embedding, GathersRows) {
  OwnDevice own(table());
  const std::vector<float> values = random_floats(50 * 33, 1);
  const kernels::WeightMatrix matrix = {
      .kind = kernels::WeightKind::kF32, .data = values.data(), .n_out = 50, .n_in = 33};
  const std::vector<int32_t> ids = {49, 0, 7, 7};
  std::vector<float> out(4 * 33);
  embedding(own.device, rows_of(out, 4, 33), matrix, ids);
  for (std::size_t row = 0; row < ids.size(); ++row)
    for (std::size_t col = 0; col < 33; ++col)
      EXPECT_EQ(out[row * 33 + col], values[static_cast<std::size_t>(ids[row]) * 33 + col]);
}

LILLE_FOR_EVERY_TABLE(Embedding);

TEST(EmbeddingInput, IsChecked) {
  OwnDevice own(best_table());
  const std::vector<float> values(50 * 4);
  const kernels::WeightMatrix matrix = {
      .kind = kernels::WeightKind::kF32, .data = values.data(), .n_out = 50, .n_in = 4};
  std::vector<float> out(64);
  const auto with = [&](std::vector<int32_t> ids, int64_t n_cols) {
    return [&, ids, n_cols] { embedding(own.device, rows_of(out, 2, n_cols), matrix, ids); };
  };
  test::expect_error(ErrorCode::kInvalidArgument, "expected 0 to 49, got 50", with({0, 50}, 4));
  test::expect_error(ErrorCode::kInvalidArgument, "expected 0 to 49, got -1", with({-1, 0}, 4));
  test::expect_error(ErrorCode::kInvalidShape, "expected (1, 4), got (2, 4)", with({0}, 4));
  test::expect_error(ErrorCode::kInvalidShape, "expected (2, 4), got (2, 5)", with({0, 1}, 5));
}

}  // namespace
}  // namespace lille::ops
