#include "model/rope_choice.h"

#include <random>

#include "model/golden.h"
#include "model/parameters.h"
#include "model/rope_text.h"

namespace lille {
namespace {

// The small model without the key that names its layout, which files in the wild never have.
void copy_without_layout(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const auto& entry : std::filesystem::directory_iterator(from))
    std::filesystem::copy_file(entry.path(), to / entry.path().filename());
  std::string config = test::read_file(to / "config.json");
  const auto key = config.find("\"rope_layout\"");
  if (key != std::string::npos) config.replace(key, std::string("\"rope_layout\"").size(), "\"unknown_key\"");
  std::ofstream(to / "config.json") << config;
}

TEST(MeasureRopeLayout, TextIsLongEnough) {
  const Tokenizer tokenizer = Tokenizer::load(test::source_path("models/lille-tiny-8bit"));
  EXPECT_GE(tokenizer.encode(kRopeText).size(), 1025u);
}

TEST(MeasureRopeLayout, FindsTheLayoutOfTheModelInTheRepository) {
  const test::TemporaryFolder folder;
  copy_without_layout(test::source_path("models/lille-tiny-8bit"), folder.path());
  std::vector<int64_t> progress;
  LoadOptions options;
  options.on_progress = [&progress](int64_t n_done, int64_t n_total) {
    progress.push_back(n_done);
    EXPECT_EQ(n_total, 3 * 1024 / 128) << "three layouts, 1024 tokens in passes of 128";
  };
  const Model model = Model::load(folder.path(), options);
  EXPECT_EQ(model.rope().layout, RopeLayout::kInterleaved);
  EXPECT_EQ(model.rope().source, RopeSource::kMeasured);
  ASSERT_EQ(static_cast<int64_t>(progress.size()), 3 * model.rope().n_tokens / 128);
  for (std::size_t idx = 0; idx < progress.size(); ++idx)
    EXPECT_EQ(progress[idx], static_cast<int64_t>(idx) + 1);
  EXPECT_LE(model.rope().n_tokens, 256) << "a trained model is decided early";
  ASSERT_EQ(model.rope().perplexities.size(), 3u);
}

TEST(MeasureRopeLayout, FindsTheLayoutOfEveryTrainedCheckpoint) {
  LILLE_NEED_SHARED();
  const std::pair<const char*, RopeLayout> cases[] = {{"lille-tiny", RopeLayout::kInterleaved},
                                                      {"lille-tiny-8bit", RopeLayout::kInterleaved},
                                                      {"lille-tiny-original", RopeLayout::kOriginal}};
  for (const auto& [name, layout] : cases) {
    const Model model = Model::load(test::shared_path("checkpoints") / name);
    EXPECT_EQ(model.rope().source, RopeSource::kMeasured) << name;
    EXPECT_EQ(rope_layout_name(model.rope().layout), rope_layout_name(layout)) << name;
    // lille-tiny-original is weakly trained on purpose and may need more of the text.
    EXPECT_LE(model.rope().n_tokens, layout == RopeLayout::kOriginal ? 1024 : 256) << name;
    const double best = model.rope().perplexities[static_cast<std::size_t>(layout)].perplexity;
    for (const RopePerplexity& measured : model.rope().perplexities)
      EXPECT_GE(measured.perplexity, best) << name;
  }
}

// A small untrained model with the real tokenizer.
void write_random_model(const std::filesystem::path& folder, uint32_t seed) {
  for (const char* file : {"vocab.json", "merges.txt"})
    std::filesystem::copy_file(test::source_path("models/lille-tiny-8bit") / file, folder / file,
                               std::filesystem::copy_options::overwrite_existing);
  std::ofstream(folder / "config.json")
      << R"({"model_type": "lille-130m", "block_size": 512, "layer_norm_eps": 1e-5, "n_embd": 128, "n_head": 4,
             "n_kv_heads": 2, "n_layer": 2, "rope_theta": 10000, "vocab_size": 32768})";
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.05F);
  std::vector<std::vector<float>> storage;
  std::vector<TensorToSave> tensors;
  const std::vector<ParameterSpec> table = parameter_table(ModelArgs::load(folder / "config.json"));
  storage.reserve(table.size());
  for (const ParameterSpec& spec : table) {
    auto& values = storage.emplace_back(static_cast<std::size_t>(spec.n_parameters()), 1.0F);
    if (spec.kind == ParameterKind::kMatrix)
      for (float& value : values) value = normal(random);
    tensors.push_back({spec.name + ".weight", DType::kF32, spec.shape, std::as_bytes(std::span(values))});
  }
  save_safetensors(folder / "model.safetensors", tensors);
}

TEST(MeasureRopeLayout, RandomWeightsWinNothing) {
  for (const uint32_t seed : {1U, 2U, 3U}) {
    const test::TemporaryFolder folder;
    write_random_model(folder.path(), seed);
    const Model model = Model::load(folder.path());
    EXPECT_EQ(model.rope().layout, RopeLayout::kInterleaved) << seed;
    EXPECT_EQ(model.rope().source, RopeSource::kDefault) << seed;
    EXPECT_EQ(model.rope().n_tokens, 1024) << seed;
  }
}

TEST(ChooseRope, TheFlagWinsOverTheKeyAndTheKeyOverMeasuring) {
  const std::filesystem::path folder = test::source_path("models/lille-tiny-8bit");
  EXPECT_EQ(test::load_model(folder).rope().source, RopeSource::kConfig);
  const Model asked = test::load_model(folder, RopeLayout::kHalf);
  EXPECT_EQ(asked.rope().source, RopeSource::kRequested);
  EXPECT_EQ(asked.rope().layout, RopeLayout::kHalf);
}

TEST(ChooseRope, ATokenizerThatIsNotHastingsIsNoErrorOfTheModel) {
  const test::TemporaryFolder folder;
  for (const char* file : {"config.json", "model.safetensors"})
    std::filesystem::copy_file(test::source_path("tests/golden/mlx/toy") / file, folder.path() / file);
  folder.write("tokenizer.json", R"({"model": {"type": "Unigram", "vocab": []}})");
  LoadOptions options;
  std::vector<std::string> warnings;
  options.on_warning = [&](std::string_view text) { warnings.emplace_back(text); };
  const Model model = Model::load(folder.path(), options);
  EXPECT_EQ(model.rope().layout, RopeLayout::kInterleaved);
  EXPECT_EQ(model.rope().source, RopeSource::kDefault);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("tokenizer.json"), std::string::npos) << warnings[0];
}

TEST(ChooseRope, AFolderWithoutATokenizerIsInterleaved) {
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  EXPECT_EQ(model.rope().layout, RopeLayout::kInterleaved);
  EXPECT_EQ(model.rope().source, RopeSource::kDefault);
  EXPECT_TRUE(model.rope().perplexities.empty());
}

}  // namespace
}  // namespace lille
