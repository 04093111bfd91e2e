#include "quantize/k_blocks.h"

#include "quantize/gguf_blocks.h"
#include "quantize/quantize_cases.h"

namespace lille {
namespace {

using kernels::WeightKind;

double squared_error(std::span<const float> a, std::span<const float> b) {
  double error = 0;
  for (std::size_t idx = 0; idx < a.size(); ++idx)
    error += (double{a[idx]} - double{b[idx]}) * (double{a[idx]} - double{b[idx]});
  return error;
}

std::vector<float> round_trip(const std::vector<float>& weights, WeightKind kind) {
  ThreadPool pool(1);
  const std::vector<std::byte> blocks = quantize_blocks(test::f32_matrix(weights, 256), kind, pool);
  return test::dequantize({.kind = kind,
                           .data = blocks.data(),
                           .n_out = static_cast<int64_t>(weights.size()) / 256,
                           .n_in = 256});
}

TEST(KBlocks, AreNoFartherFromTheWeightsThanGgmls) {
  const SafetensorsFile file(test::source_path("tests/golden/gguf/blocks.safetensors"));
  const std::vector<float> input = test::floats_of(file.at("input"));
  for (const WeightKind kind : {WeightKind::kQ4_K, WeightKind::kQ6_K}) {
    const std::string name(kernels::weight_kind_name(kind));
    const std::vector<float> ours = round_trip(input, kind);
    const std::vector<float> ggmls = test::floats_of(file.at(name + ".weights"));
    for (std::size_t row = 0; row < 4; ++row) {
      const auto row_of = [&](const std::vector<float>& values) {
        return std::span(values).subspan(row * 256, 256);
      };
      EXPECT_LE(squared_error(row_of(ours), row_of(input)), squared_error(row_of(ggmls), row_of(input)))
          << name << " row " << row;
    }
  }
}

TEST(KBlocks, ValuesOfTheFormatAreKept) {
  // Multiples of a power of two that fill the codes of every sub-block.
  std::vector<float> weights(256);
  for (std::size_t idx = 0; idx < 256; ++idx) weights[idx] = (static_cast<float>(idx % 16) - 8.0f) * 0.25f;
  EXPECT_LE(squared_error(round_trip(weights, WeightKind::kQ4_K), weights), 256 * 1e-6);
  for (std::size_t idx = 0; idx < 256; ++idx)
    weights[idx] = (static_cast<float>(idx % 16) * 4.0f - 32.0f) * 0.125f;
  EXPECT_LE(squared_error(round_trip(weights, WeightKind::kQ6_K), weights), 256 * 1e-6);
}

TEST(KBlocks, OneSignOutliersAndLargeScales) {
  for (const float scale : {1e-3f, 1.0f, 1e4f})
    for (const float shift : {0.0f, 3.0f, -3.0f}) {
      std::vector<float> weights = test::normal_floats(512, 3, 1.0f);
      double squares = 0;
      for (float& weight : weights) {
        weight = (weight + shift) * scale;
        squares += double{weight} * double{weight};
      }
      // The step of 4 bits over 6 deviations and more is 0.2 to 0.4 of one; 6 bits have a quarter of that.
      EXPECT_LE(squared_error(round_trip(weights, WeightKind::kQ4_K), weights), 0.02 * squares)
          << scale << shift;
      EXPECT_LE(squared_error(round_trip(weights, WeightKind::kQ6_K), weights), 0.001 * squares)
          << scale << shift;
    }
}

}  // namespace
}  // namespace lille
