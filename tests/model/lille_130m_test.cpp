// The full Lille-130M shape against the real MLX, its weights from a formula.

#include "model/formula.h"
#include "model/golden.h"

namespace lille {
namespace {

void compare(const std::filesystem::path& folder, const char* expected_name) {
  const Model model = Model::load(folder);
  const SafetensorsFile file(test::shared_path("golden/mlx/lille") / expected_name);
  Session session(model, {.exact = true});
  for (const std::string sequence : {"seq0", "seq1"}) {
    const std::vector<int32_t> ids = test::ids_of(file, sequence + ".tokens");
    const auto n_tokens = static_cast<int64_t>(ids.size());
    test::Recorder recorder;
    const test::Expected logits = {{n_tokens, 32768}, test::all_logits(session, ids, &recorder)};
    const test::Expected chosen = test::expected(file, sequence + ".logits");
    const std::vector<int32_t> positions = test::ids_of(file, sequence + ".positions");
    for (std::size_t idx = 0; idx < positions.size(); ++idx)
      test::expect_near(logits.rows(positions[idx], 1), chosen.rows(static_cast<int64_t>(idx), 1), 1e-3,
                        sequence);
    const std::vector<int32_t> top_ids = test::ids_of(file, sequence + ".top10_ids");
    std::vector<float> top_values;
    for (std::size_t idx = 0; idx < top_ids.size(); ++idx)
      top_values.push_back(logits.values[idx / 10 * 32768 + static_cast<std::size_t>(top_ids[idx])]);
    test::expect_near(top_values, test::expected(file, sequence + ".top10_values").values, 1e-3,
                      sequence + " top 10");
    test::expect_near(top_values, test::expected(file, sequence + ".top10_values_ref64").values, 1e-3,
                      sequence + " exact");
    const test::Expected hidden = test::expected(file, sequence + ".hidden_last");
    ASSERT_EQ(recorder.hidden.size(), 26u);
    for (std::size_t hidden_idx = 0; hidden_idx < 26; ++hidden_idx)
      test::expect_near(std::span(recorder.hidden[hidden_idx]).last(640),
                        hidden.rows(static_cast<int64_t>(hidden_idx), 1), 2e-3,
                        sequence + " hidden " + std::to_string(hidden_idx));
  }
}

TEST(Lille130M, TheFormulaGivesTheStatedWeights) {
  // weights.json: the first and the last value of two tensors.
  EXPECT_EQ(test::Formula("transformer.tok_embeddings.weight")(0), 0.1028134673833847F);
  EXPECT_EQ(test::Formula("transformer.tok_embeddings.weight")(32768 * 640 - 1), -0.05270017683506012F);
  EXPECT_EQ(test::Formula("transformer.norm.weight")(1), 1.1267868280410767F);
}

TEST(Lille130M, Float32EqualsMlx) {
  LILLE_NEED_SHARED();
  const test::TemporaryFolder folder;
  std::filesystem::copy_file(test::shared_path("golden/mlx/lille/config.json"),
                             folder.path() / "config.json");
  test::write_formula_weights<float>(folder.path(), DType::kF32, test::keep_f32);
  compare(folder.path(), "expected_f32.safetensors");
}

TEST(Lille130M, BfloatWeightsEqualMlx) {
  LILLE_NEED_SHARED();
  const test::TemporaryFolder folder;
  std::filesystem::copy_file(test::shared_path("golden/mlx/lille/config.json"),
                             folder.path() / "config.json");
  test::write_formula_weights<uint16_t>(folder.path(), DType::kBF16, f32_to_bf16);
  compare(folder.path(), "expected_bf16_weights.safetensors");
}

}  // namespace
}  // namespace lille
