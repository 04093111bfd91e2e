// The forward pass against PyTorch (all three rotary layouts) and against the real MLX.

#include "model/lille.h"

#include "model/golden.h"

namespace lille {
namespace {

using test::expect_near;
using test::expected;

// Of ../shared/golden: 1e-4 for PyTorch; 3e-4 for MLX, whose own float32 is up to 6.5e-5 from exact.
constexpr double kTorchTolerance = 1e-4;
constexpr double kMlxTolerance = 3e-4;

void need(std::string_view relative) {
  if (std::filesystem::exists(test::golden_path(relative))) return;
  LILLE_NEED_SHARED();
}

class TorchGolden : public testing::TestWithParam<std::tuple<const char*, RopeLayout>> {};

TEST_P(TorchGolden, LogitsHiddenStatesAndIncrementalDecoding) {
  const auto [name, layout] = GetParam();
  const std::string folder = std::string("torch/") + name;
  need(folder);
  if (IsSkipped() || HasFatalFailure()) return;
  const Model model = test::load_model(test::golden_path(folder), layout);
  const SafetensorsFile file(test::golden_path(folder) /
                             ("expected_" + std::string(rope_layout_name(layout)) + ".safetensors"));
  const int64_t n_rows = file.at("ids").shape[0];
  const int64_t n_tokens = file.at("ids").shape[1];
  const std::vector<int32_t> ids = test::ids_of(file, "ids");
  Session session(model);
  for (int64_t row_idx = 0; row_idx < n_rows; ++row_idx) {
    const auto row = std::span(ids).subspan(static_cast<std::size_t>(row_idx * n_tokens),
                                            static_cast<std::size_t>(n_tokens));
    test::Recorder recorder;
    expect_near(test::all_logits(session, row, &recorder),
                expected(file, "logits").rows(row_idx * n_tokens, n_tokens), kTorchTolerance, "logits");
    for (int64_t hidden_idx = 0; hidden_idx <= model.args().n_layer; ++hidden_idx) {
      const std::string hidden = "hidden_" + std::to_string(hidden_idx);
      expect_near(recorder.hidden[static_cast<std::size_t>(hidden_idx)],
                  expected(file, hidden).rows(row_idx * n_tokens, n_tokens), kTorchTolerance, hidden);
    }
    const std::size_t chunks[] = {7};
    expect_near(test::chunked_logits(session, row, chunks),
                expected(file, "logits_incremental").rows(row_idx * n_tokens, n_tokens), kTorchTolerance,
                "incremental");
  }
}

INSTANTIATE_TEST_SUITE_P(All, TorchGolden,
                         testing::Combine(testing::Values("toy", "odd", "mha", "mqa"),
                                          testing::Values(RopeLayout::kInterleaved, RopeLayout::kHalf,
                                                          RopeLayout::kOriginal)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "_" +
                                  std::string(rope_layout_name(std::get<1>(test.param)));
                         });

class MlxGolden : public testing::TestWithParam<const char*> {};

TEST_P(MlxGolden, EverySequence) {
  const std::string folder = std::string("mlx/") + GetParam();
  need(folder);
  if (IsSkipped() || HasFatalFailure()) return;
  const Model model = test::load_model(test::golden_path(folder));
  EXPECT_EQ(model.rope().layout, RopeLayout::kInterleaved);
  const SafetensorsFile file(test::golden_path(folder) / "expected.safetensors");
  Session session(model);
  for (int sequence_idx = 0; sequence_idx < 4; ++sequence_idx) {
    const std::string sequence = "seq" + std::to_string(sequence_idx);
    const std::vector<int32_t> ids = test::ids_of(file, sequence + ".tokens");
    test::Recorder recorder;
    const std::vector<float> logits = test::all_logits(session, ids, &recorder);
    expect_near(logits, expected(file, sequence + ".logits").values, kMlxTolerance, sequence);
    expect_near(logits, expected(file, sequence + ".logits_ref64").values, kMlxTolerance,
                sequence + " exact");
    if (file.contains(sequence + ".hidden")) {
      const test::Expected hidden = expected(file, sequence + ".hidden");
      const auto n_tokens = static_cast<int64_t>(ids.size());
      ASSERT_EQ(static_cast<int64_t>(recorder.hidden.size()), hidden.shape[0]);
      for (int64_t hidden_idx = 0; hidden_idx < hidden.shape[0]; ++hidden_idx)
        expect_near(recorder.hidden[static_cast<std::size_t>(hidden_idx)],
                    hidden.rows(hidden_idx * n_tokens, n_tokens), kMlxTolerance,
                    sequence + " hidden " + std::to_string(hidden_idx));
    }
    if (file.contains(sequence + ".logits_incremental")) {
      const std::vector<std::size_t> chunks(sequence_idx == 2 ? 4 : 9, 5);
      expect_near(test::chunked_logits(session, ids, chunks),
                  expected(file, sequence + ".logits_incremental").values, kMlxTolerance,
                  sequence + " incremental");
    }
  }
}

TEST_P(MlxGolden, Batch) {
  const std::string folder = std::string("mlx/") + GetParam();
  need(folder);
  if (IsSkipped() || HasFatalFailure()) return;
  const Model model = test::load_model(test::golden_path(folder));
  const SafetensorsFile file(test::golden_path(folder) / "expected.safetensors");
  const std::vector<int32_t> ids = test::ids_of(file, "batch.tokens");
  const auto n_rows = static_cast<std::size_t>(file.at("batch.tokens").shape[0]);
  Session session(model);
  std::vector<PromptCache> caches;
  for (std::size_t row_idx = 0; row_idx < n_rows; ++row_idx) caches.push_back(make_prompt_cache(model));
  std::vector<BatchItem> batch;
  const std::size_t n_tokens = ids.size() / n_rows;
  for (std::size_t row_idx = 0; row_idx < n_rows; ++row_idx)
    batch.push_back(
        {std::span(ids).subspan(row_idx * n_tokens, n_tokens), &caches[row_idx], LogitsFor::kAll});
  expect_near(session.forward(batch).values, expected(file, "batch.logits").values, kMlxTolerance, "batch");
}

INSTANTIATE_TEST_SUITE_P(All, MlxGolden, testing::Values("toy", "odd"));

class MlxQuantised : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(MlxQuantised, EverySequence) {
  const auto [name, logits_name] = GetParam();
  const std::string folder = std::string("mlx/quant/") + name;
  need(folder);
  if (IsSkipped() || HasFatalFailure()) return;
  const Model model = test::load_model(test::golden_path(folder));
  const SafetensorsFile file(test::golden_path(folder) / "expected.safetensors");
  Session session(model, {.exact = true});
  for (const std::string sequence : {"seq0", "seq1"}) {
    const std::vector<float> logits = test::all_logits(session, test::ids_of(file, sequence + ".tokens"));
    expect_near(logits, expected(file, sequence + logits_name).values, kMlxTolerance, sequence + logits_name);
    expect_near(logits, expected(file, sequence + ".logits_ref64").values, kMlxTolerance,
                sequence + " exact");
  }
}

INSTANTIATE_TEST_SUITE_P(All, MlxQuantised,
                         testing::Values(std::tuple{"q2_g64", ".logits"}, std::tuple{"q3_g64", ".logits"},
                                         std::tuple{"q4_g32", ".logits"}, std::tuple{"q4_g64", ".logits"},
                                         std::tuple{"q4_g64_bf16", ".logits_upcast"},
                                         std::tuple{"q5_g64", ".logits"}, std::tuple{"q6_g64", ".logits"},
                                         std::tuple{"q8_g64", ".logits"}, std::tuple{"q8_g128", ".logits"},
                                         std::tuple{"q8_g64_bf16", ".logits_upcast"}),
                         [](const auto& test) { return std::string(std::get<0>(test.param)); });

TensorView view_of(std::string name, std::span<const float> values) {
  return {std::move(name),
          DType::kF32,
          {static_cast<int64_t>(values.size())},
          std::as_bytes(values),
          "model.safetensors"};
}

std::vector<std::string> names_of(std::span<const NamedTensor> tensors) {
  std::vector<std::string> names;
  for (const NamedTensor& tensor : tensors) names.push_back(tensor.name);
  return names;
}

TEST(Sanitize, StripsWrappersInAnyOrderAndAddsThePrefix) {
  const float values[] = {1};
  const TensorView tensors[] = {
      view_of("_orig_mod.module.norm.weight", values),
      view_of("module._orig_mod.transformer.layers.0.attention.norm.weight", values),
      view_of("transformer.tok_embeddings.weight", values)};
  EXPECT_EQ(names_of(sanitize(tensors, {})),
            (std::vector<std::string>{"transformer.norm.weight", "transformer.layers.0.attention.norm.weight",
                                      "transformer.tok_embeddings.weight"}));
}

TEST(Sanitize, RemovesRotaryTablesWhereverTheyStand) {
  const float values[] = {1};
  const TensorView tensors[] = {view_of("transformer.rotary_emb.inv_freq", values),
                                view_of("layers.1.attention.rotary_emb.cos_cached", values),
                                view_of("norm.weight", values)};
  EXPECT_EQ(names_of(sanitize(tensors, {})), std::vector<std::string>{"transformer.norm.weight"});
}

TEST(Sanitize, RemovesTheTiedHeadSilentlyWhenItIsTheEmbedding) {
  const float values[] = {1, 2};
  const float same[] = {1, 2};
  for (const std::string head :
       {"lm_head.weight", "transformer.lm_head.weight", "_orig_mod.lm_head.weight"}) {
    const TensorView tensors[] = {view_of(head, same), view_of("tok_embeddings.weight", values)};
    std::vector<std::string> warnings;
    EXPECT_EQ(names_of(sanitize(tensors, [&](std::string_view text) { warnings.emplace_back(text); })),
              std::vector<std::string>{"transformer.tok_embeddings.weight"});
    EXPECT_TRUE(warnings.empty()) << warnings.front();
  }
}

TEST(Sanitize, WarnsWhenTheHeadDiffersFromTheEmbedding) {
  const float values[] = {1, 2};
  const float other[] = {1, 3};
  const TensorView tensors[] = {view_of("lm_head.weight", other), view_of("tok_embeddings.weight", values)};
  std::vector<std::string> warnings;
  sanitize(tensors, [&](std::string_view text) { warnings.emplace_back(text); });
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("lm_head.weight differs from the token embedding"), std::string::npos)
      << warnings[0];
}

TEST(Sanitize, RefusesTwoTensorsThatEndUpWithOneName) {
  const float values[] = {1};
  const TensorView tensors[] = {view_of("norm.weight", values), view_of("module.norm.weight", values)};
  test::expect_error(ErrorCode::kCorruptFile,
                     "tensors norm.weight and module.norm.weight are both transformer.norm.weight",
                     [&] { sanitize(tensors, {}); });
}

}  // namespace
}  // namespace lille
