#include "ops/swiglu.h"

#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

using Swiglu = EveryTable;

TEST_P(Swiglu, EqualsMlx) {
  OwnDevice own(table());
  std::vector<float> gate = floats_of(golden_ops().at("swiglu.gate"));
  std::vector<float> up = floats_of(golden_ops().at("swiglu.up"));
  std::vector<float> out(gate.size());
  swiglu(own.device, rows_of(out, 1, 64), rows_of(gate, 1, 64), rows_of(up, 1, 64));
  expect_near(out, floats_of(golden_ops().at("swiglu.out")), 1e-5, 1e-5, "swiglu");
  std::vector<float> ones(gate.size(), 1.0f);
  swiglu(own.device, rows_of(out, 1, 64), rows_of(gate, 1, 64), rows_of(ones, 1, 64));
  expect_near(out, floats_of(golden_ops().at("silu.out")), 1e-5, 1e-5, "silu");
}

TEST_P(Swiglu, WorksInPlaceWithAnyThreads) {
  const std::vector<float> gate = random_floats(60 * 1793, 1);
  std::vector<float> up = random_floats(60 * 1793, 2);
  expect_same_for_any_threads(table(), [&](Device& device) {
    std::vector<float> values = gate;
    swiglu(device, rows_of(values, 60, 1793), rows_of(values, 60, 1793), rows_of(up, 60, 1793));
    return values;
  });
}

LILLE_FOR_EVERY_TABLE(Swiglu);

TEST(SwigluShapes, AreChecked) {
  OwnDevice own(best_table());
  std::vector<float> values(64);
  test::expect_error(ErrorCode::kInvalidShape, "[swiglu] up: expected (2, 8), got (2, 7)", [&] {
    swiglu(own.device, rows_of(values, 2, 8), rows_of(values, 2, 8), rows_of(values, 2, 7));
  });
  test::expect_error(ErrorCode::kInvalidShape, "[swiglu] out: expected (2, 8), got (1, 8)", [&] {
    swiglu(own.device, rows_of(values, 1, 8), rows_of(values, 2, 8), rows_of(values, 2, 8));
  });
}

}  // namespace
}  // namespace lille::ops
