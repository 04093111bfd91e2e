#include "model/rope_choice.h"

#include "model/golden.h"
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
  const Model model = Model::load(folder.path());
  EXPECT_EQ(model.rope().layout, RopeLayout::kInterleaved);
  EXPECT_EQ(model.rope().source, RopeSource::kMeasured);
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
    const double best = model.rope().perplexities[static_cast<std::size_t>(layout)].perplexity;
    for (const RopePerplexity& measured : model.rope().perplexities)
      EXPECT_GE(measured.perplexity, best) << name;
  }
}

TEST(MeasureRopeLayout, RandomWeightsWinNothing) {
  const test::TemporaryFolder folder;
  copy_without_layout(test::source_path("models/lille-tiny-8bit"), folder.path());
  // All layouts give one and the same answer when queries and keys are nothing.
  const SafetensorsFile file(test::source_path("models/lille-tiny-8bit/model.safetensors"));
  std::vector<std::vector<std::byte>> zeros;
  std::vector<TensorToSave> tensors;
  for (const TensorView& view : file.tensors()) {
    zeros.emplace_back(view.bytes.size());
    const bool is_silenced = view.name.find("attention.qkv_proj.") != std::string::npos;
    tensors.push_back({view.name, view.dtype, view.shape,
                       is_silenced ? std::span<const std::byte>(zeros.back()) : view.bytes});
  }
  save_safetensors(folder.path() / "model.safetensors", tensors);
  const Model model = Model::load(folder.path());
  EXPECT_EQ(model.rope().layout, RopeLayout::kInterleaved);
  EXPECT_EQ(model.rope().source, RopeSource::kDefault);
  EXPECT_EQ(model.rope().n_tokens, 1024);
}

TEST(ChooseRope, TheFlagWinsOverTheKeyAndTheKeyOverMeasuring) {
  const std::filesystem::path folder = test::source_path("models/lille-tiny-8bit");
  EXPECT_EQ(test::load_model(folder).rope().source, RopeSource::kConfig);
  const Model asked = test::load_model(folder, RopeLayout::kHalf);
  EXPECT_EQ(asked.rope().source, RopeSource::kRequested);
  EXPECT_EQ(asked.rope().layout, RopeLayout::kHalf);
}

TEST(ChooseRope, AFolderWithoutATokenizerIsInterleaved) {
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  EXPECT_EQ(model.rope().layout, RopeLayout::kInterleaved);
  EXPECT_EQ(model.rope().source, RopeSource::kDefault);
  EXPECT_TRUE(model.rope().perplexities.empty());
}

}  // namespace
}  // namespace lille
