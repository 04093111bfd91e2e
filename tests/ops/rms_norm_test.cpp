#include "ops/rms_norm.h"

#include "ops/ops_cases.h"

namespace lille::ops {
namespace {

using RmsNorm = EveryTable;

TEST_P(RmsNorm, EqualsMlx) {
  OwnDevice own(table());
  std::vector<float> x = floats_of(golden_ops().at("rms_norm.x"));
  const TensorView& weight = golden_ops().at("rms_norm.weight");
  for (const auto& [name, eps] :
       {std::pair{"rms_norm.out_eps1e-5", 1e-5f}, {"rms_norm.out_eps1e-6", 1e-6f}}) {
    std::vector<float> out(x.size());
    rms_norm(own.device, rows_of(out, 6, 128), rows_of(x, 6, 128),
             {weight.bytes.data(), kernels::FloatKind::kF32, 128}, eps);
    expect_near(out, floats_of(golden_ops().at(name)), 1e-5, 0, name);
  }
}

TEST_P(RmsNorm, TakesABfloat16Weight) {
  OwnDevice own(table());
  std::vector<float> x = floats_of(golden_ops().at("rms_norm.x_bf16"));
  const TensorView& weight = golden_ops().at("rms_norm.weight_bf16");
  std::vector<float> out(x.size());
  rms_norm(own.device, rows_of(out, 6, 128), rows_of(x, 6, 128),
           {weight.bytes.data(), kernels::FloatKind::kBF16, 128}, 1e-5f);
  // MLX rounds twice to bfloat16 on the way.
  expect_near(out, floats_of(golden_ops().at("rms_norm.out_eps1e-5_bf16")), 4e-2, 0.01, "bfloat16");
}

TEST_P(RmsNorm, WorksInPlaceWithAnyThreads) {
  const std::vector<float> x = random_floats(300 * 640, 1);
  const std::vector<float> weight = random_floats(640, 2);
  expect_same_for_any_threads(table(), [&](Device& device) {
    std::vector<float> values = x;
    rms_norm(device, rows_of(values, 300, 640), rows_of(values, 300, 640),
             {weight.data(), kernels::FloatKind::kF32, 640}, 1e-5f);
    return values;
  });
}

LILLE_FOR_EVERY_TABLE(RmsNorm);

TEST(RmsNormShapes, AreChecked) {
  OwnDevice own(best_table());
  std::vector<float> values(64);
  const NormWeight weight = {values.data(), kernels::FloatKind::kF32, 8};
  test::expect_error(ErrorCode::kInvalidShape, "[rms_norm] x: expected (2, 8), got (2, 9)", [&] {
    rms_norm(own.device, rows_of(values, 2, 9), rows_of(values, 2, 9), weight, 1e-5f);
  });
  test::expect_error(ErrorCode::kInvalidShape, "[rms_norm] out: expected (2, 8), got (3, 8)", [&] {
    rms_norm(own.device, rows_of(values, 3, 8), rows_of(values, 2, 8), weight, 1e-5f);
  });
}

}  // namespace
}  // namespace lille::ops
