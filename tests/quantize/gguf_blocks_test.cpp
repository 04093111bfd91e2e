#include "quantize/gguf_blocks.h"

#include "quantize/quantize_cases.h"

namespace lille {
namespace {

using kernels::WeightKind;

constexpr WeightKind kBlockKinds[] = {WeightKind::kQ8_0, WeightKind::kQ4_0, WeightKind::kQ4_1,
                                      WeightKind::kQ5_0, WeightKind::kQ5_1, WeightKind::kQ4_K,
                                      WeightKind::kQ5_K, WeightKind::kQ6_K};

SafetensorsFile golden() {
  return SafetensorsFile(test::source_path("tests/golden/gguf/blocks.safetensors"));
}

TEST(GgufBlocks, KernelsReadThemAsGgml) {
  const SafetensorsFile file = golden();
  for (const WeightKind kind : kBlockKinds)
    for (const std::string prefix : {".", ".any_"}) {
      const std::string name = std::string(kernels::weight_kind_name(kind)) + prefix;
      const TensorView& blocks = file.at(name + "blocks");
      const std::vector<float> weights = test::dequantize(
          {.kind = kind, .data = blocks.bytes.data(), .n_out = blocks.shape[0], .n_in = 256});
      test::expect_same_bytes(std::as_bytes(std::span(weights)), file.at(name + "weights").bytes, name);
    }
}

TEST(GgufBlocks, Q8_0AndQ4_0AndQ5_0AreGgmlsBytes) {
  const SafetensorsFile file = golden();
  const std::vector<float> input = test::floats_of(file.at("input"));
  for (const WeightKind kind : {WeightKind::kQ8_0, WeightKind::kQ4_0, WeightKind::kQ5_0})
    for (const int64_t n_threads : {1, 3}) {
      ThreadPool pool(n_threads);
      const std::string name(kernels::weight_kind_name(kind));
      test::expect_same_bytes(quantize_blocks(test::f32_matrix(input, 256), kind, pool),
                              file.at(name + ".blocks").bytes, name);
    }
}

TEST(GgufBlocks, TinyAndZeroWeightsBecomeZero) {
  ThreadPool pool(1);
  for (const float tiny : {0.0f, 1e-40f, -1e-39f, 1e-12f})
    for (const WeightKind kind : kBlockKinds) {
      if (!can_quantize_to(kind)) continue;
      const std::vector<float> weights(256, tiny);
      const std::vector<std::byte> blocks = quantize_blocks(test::f32_matrix(weights, 256), kind, pool);
      for (const float weight :
           test::dequantize({.kind = kind, .data = blocks.data(), .n_out = 1, .n_in = 256}))
        EXPECT_NEAR(weight, tiny, 1e-7) << kernels::weight_kind_name(kind);
    }
}

TEST(GgufBlocks, RefusesWhatItCannotDo) {
  ThreadPool pool(1);
  std::vector<float> weights(2 * 640, 0.5f);
  const auto quantize = [&](WeightKind kind, int64_t n_in) {
    return [&, kind, n_in] { quantize_blocks(test::f32_matrix(weights, n_in), kind, pool); };
  };
  const ErrorCode code = ErrorCode::kInvalidArgument;
  test::expect_error(code,
                     "rows: expected a multiple of 256, the weights of a block of Q4_K, got 640. Hint: Q8_0,",
                     quantize(WeightKind::kQ4_K, 640));
  test::expect_error(
      code, "expected a multiple of 32, the weights of a block of Q8_0, got 80. Hint: no quantised type",
      quantize(WeightKind::kQ8_0, 80));
  test::expect_error(code, "kind: expected Q8_0, Q4_0, Q5_0, Q4_K or Q6_K, got Q5_1",
                     quantize(WeightKind::kQ5_1, 64));
  weights[700] = 1e9f;
  for (const WeightKind kind : {WeightKind::kQ8_0, WeightKind::kQ4_0, WeightKind::kQ5_0})
    test::expect_error(code, "scale of a block: expected at most 65504", quantize(kind, 640));
  weights[1279] = NAN;
  weights[700] = 0;
  test::expect_error(code, "[quantize] weight (1, 639): expected a finite number, got nan",
                     quantize(WeightKind::kQ4_0, 640));
}

}  // namespace
}  // namespace lille
