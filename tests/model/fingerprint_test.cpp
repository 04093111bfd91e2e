#include "model/fingerprint.h"

#include "model/access.h"
#include "model/golden.h"

namespace lille {
namespace {

class FingerprintTest : public testing::Test {
 protected:
  FingerprintTest() {
    for (const char* name : {"config.json", "model.safetensors"}) folder_.write(name, content_of(name));
  }

  static std::string content_of(std::string_view name) {
    return test::read_file(test::source_path("tests/golden/mlx/toy") / name);
  }
  std::string now(std::optional<RopeLayout> layout = std::nullopt) const {
    return fingerprint(Access::parts(test::load_model(folder_.path(), layout)));
  }
  void replace_in_config(std::string_view from, std::string_view to) const {
    std::string config = content_of("config.json");
    const std::size_t at = config.find(from);
    ASSERT_NE(at, std::string::npos) << config;
    config.replace(at, from.size(), to);
    folder_.write("config.json", config);
  }

  test::TemporaryFolder folder_;
};

TEST_F(FingerprintTest, IsOfTheContentAndNotOfThePlaceOrTheLayout) {
  const std::string wanted =
      fingerprint(Access::parts(test::load_model(test::source_path("tests/golden/mlx/toy"))));
  EXPECT_EQ(wanted.size(), 32u);
  EXPECT_EQ(now(), wanted);
  EXPECT_EQ(now(RopeLayout::kHalf), wanted);
}

TEST_F(FingerprintTest, EveryByteOfEveryTensorCounts) {
  const std::string before = now();
  std::string bytes = content_of("model.safetensors");
  const std::size_t header_bytes = 8 + load_unaligned<uint64_t>(bytes.data());
  // The lowest bit of a number, near both ends and in between.
  for (const std::size_t at : {header_bytes, (header_bytes + bytes.size()) / 8 * 4, bytes.size() - 4}) {
    bytes[at] ^= 1;
    folder_.write("model.safetensors", bytes);
    EXPECT_NE(now(), before) << "byte " << at;
    bytes[at] ^= 1;
  }
  folder_.write("model.safetensors", bytes);
  EXPECT_EQ(now(), before);
}

TEST_F(FingerprintTest, ConstantsOfTheComputationCountAndTheContextDoesNot) {
  const std::string before = now();
  replace_in_config("\"rope_theta\": 10000", "\"rope_theta\": 20000");
  EXPECT_NE(now(), before);
  replace_in_config("\"block_size\": 64", "\"block_size\": 128");
  EXPECT_EQ(now(), before);
}

}  // namespace
}  // namespace lille
