#include "model/golden.h"
#include "model/rope_choice.h"

namespace lille {
namespace {

const RopeChoice kChoice = {
    RopeLayout::kOriginal,
    RopeSource::kMeasured,
    {{RopeLayout::kInterleaved, 132.5}, {RopeLayout::kHalf, 113.25}, {RopeLayout::kOriginal, 106.0}},
    256};

class RopeMemoryTest : public testing::Test {
 protected:
  test::TemporaryFolder folder_;
  std::filesystem::path cache_ = folder_.path() / "cache" / "lille";
  std::filesystem::path weights_ = folder_.write("model.safetensors", "weights");
  std::filesystem::path config_ = folder_.write("config.json", "{}");
  std::vector<std::filesystem::path> files_ = {weights_, config_};
};

TEST_F(RopeMemoryTest, RemembersInAFolderItMakes) {
  const RopeMemory memory(cache_);
  EXPECT_FALSE(memory.recall(files_));
  memory.remember(files_, kChoice);
  const std::optional<RopeChoice> recalled = RopeMemory(cache_).recall(files_);
  ASSERT_TRUE(recalled);
  EXPECT_EQ(recalled->layout, RopeLayout::kOriginal);
  EXPECT_EQ(recalled->source, RopeSource::kRemembered);
  EXPECT_EQ(recalled->n_tokens, 256);
  ASSERT_EQ(recalled->perplexities.size(), 3u);
  EXPECT_EQ(recalled->perplexities[1].perplexity, 113.25);
}

TEST_F(RopeMemoryTest, AChangedFileIsAnotherFile) {
  const RopeMemory memory(cache_);
  memory.remember(files_, kChoice);
  folder_.write("model.safetensors", "other weights");
  EXPECT_FALSE(memory.recall(files_)) << "another size";
  folder_.write("model.safetensors", "weights");
  std::filesystem::last_write_time(weights_,
                                   std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_FALSE(memory.recall(files_)) << "another time";
  memory.remember(files_, kChoice);
  EXPECT_TRUE(memory.recall(files_));
  folder_.write("config.json", "{\"rope_theta\": 500}");
  EXPECT_FALSE(memory.recall(files_)) << "another config";
}

TEST_F(RopeMemoryTest, KeepsSeveralFilesApart) {
  const std::vector<std::filesystem::path> other = {folder_.write("other.safetensors", "weights")};
  const RopeMemory memory(cache_);
  memory.remember(files_, kChoice);
  RopeChoice half = kChoice;
  half.layout = RopeLayout::kHalf;
  memory.remember(other, half);
  memory.remember(other, half);
  EXPECT_EQ(memory.recall(files_)->layout, RopeLayout::kOriginal);
  EXPECT_EQ(memory.recall(other)->layout, RopeLayout::kHalf);
}

TEST_F(RopeMemoryTest, KeepsThatNothingWonAndWhatIsNoNumber) {
  RopeChoice none = kChoice;
  none.source = RopeSource::kDefault;
  none.perplexities[1].perplexity = NAN;
  RopeMemory(cache_).remember(files_, none);
  const std::optional<RopeChoice> recalled = RopeMemory(cache_).recall(files_);
  ASSERT_TRUE(recalled);
  EXPECT_EQ(recalled->source, RopeSource::kDefault);
  EXPECT_TRUE(std::isnan(recalled->perplexities[1].perplexity));
}

TEST_F(RopeMemoryTest, DamageCountsAsEmpty) {
  std::filesystem::create_directories(cache_);
  const RopeMemory memory(cache_);
  for (const char* text : {"", "{", "[1, null, {\"files\": 3}]", "{\"files\": {}}", "\xff"}) {
    std::ofstream(cache_ / "rope_layouts.json") << text;
    EXPECT_FALSE(memory.recall(files_)) << text;
    memory.remember(files_, kChoice);
    EXPECT_TRUE(memory.recall(files_)) << text;
  }
}

TEST_F(RopeMemoryTest, NoFolderMeansNoMemoryAndNoError) {
  RopeMemory("").remember(files_, kChoice);
  EXPECT_FALSE(RopeMemory("").recall(files_));
  // A file where the folder should be: nothing can be written.
  const RopeMemory blocked(folder_.write("file", "") / "lille");
  blocked.remember(files_, kChoice);
  EXPECT_FALSE(blocked.recall(files_));
}

TEST_F(RopeMemoryTest, OnlyTheFirstLoadMeasures) {
  const test::TemporaryFolder model;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_path("models/lille-tiny-8bit")))
    std::filesystem::copy_file(entry.path(), model.path() / entry.path().filename());
  std::string config = test::read_file(model.path() / "config.json");
  config.replace(config.find("rope_layout"), std::string("rope_layout").size(), "unknown_key");
  std::ofstream(model.path() / "config.json") << config;
  LoadOptions options;
  options.cache_folder = cache_;
  EXPECT_EQ(Model::load(model.path(), options).rope().source, RopeSource::kMeasured);
  const Model again = Model::load(model.path(), options);
  EXPECT_EQ(again.rope().source, RopeSource::kRemembered);
  EXPECT_EQ(again.rope().layout, RopeLayout::kInterleaved);
}

}  // namespace
}  // namespace lille
