#include "ops/add.h"

#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

using Add = EveryTable;

TEST_P(Add, AddsEveryElementAndNothingBetweenRows) {
  OwnDevice own(table());
  for (const int64_t n_rows : {1, 3, 200}) {
    std::vector<float> x(static_cast<std::size_t>(n_rows * 650), 1.0f);
    std::vector<float> y = random_floats(n_rows * 650, 3);
    std::vector<float> expected = x;
    for (int64_t row = 0; row < n_rows; ++row)
      for (int64_t col = 0; col < 640; ++col) {
        const auto at = static_cast<std::size_t>(row * 650 + col);
        expected[at] = 1.0f + y[at];
      }
    add(own.device, rows_of(x, n_rows, 650).columns(0, 640), rows_of(y, n_rows, 650).columns(0, 640));
    EXPECT_EQ(x, expected);
  }
}

LILLE_FOR_EVERY_TABLE(Add);

TEST(AddShapes, AreChecked) {
  OwnDevice own(best_table());
  std::vector<float> values(64);
  test::expect_error(ErrorCode::kInvalidShape, "[add] y: expected (2, 8), got (2, 7)",
                     [&] { add(own.device, rows_of(values, 2, 8), rows_of(values, 2, 7)); });
}

}  // namespace
}  // namespace lille::ops
