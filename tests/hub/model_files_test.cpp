#include "hub/model_files.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

TEST(SafeFileName, StaysInItsFolder) {
  for (const char* name : {"a", "config.json", "onnx/model.onnx", ".gitattributes", "a..b", "\xc3\xa4"})
    EXPECT_TRUE(is_safe_file_name(name)) << name;
  for (const char* name :
       {"", "/a", "a/", "..", ".", "../a", "a/../b", "a/..", "./a", "a//b", "a\\b", "..\\a", "a\nb", "\xff"})
    EXPECT_FALSE(is_safe_file_name(name)) << name;
  EXPECT_FALSE(is_safe_file_name(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_safe_file_name(std::string(1001, 'a')));
}

TEST(GgufName, StandsAtTheTop) {
  for (const char* name : {"a.gguf", "a b.Q8_0.gguf"}) EXPECT_TRUE(is_gguf_name(name)) << name;
  for (const char* name : {"", "a", "a.GGUF", "b/a.gguf", "../a.gguf", "a.gguf.txt"})
    EXPECT_FALSE(is_gguf_name(name)) << name;
}

TEST(FirstFiles, AreThoseThatAModelNeeds) {
  const std::vector<std::string> files = {
      "LICENSE",           "README.md",    "config.json",      "merges.txt",        "vocab.json",
      "pytorch_model.bin", "Hastings.pkl", "onnx/config.json", "model.safetensors", "generation_config.json"};
  EXPECT_EQ(first_files(files),
            (std::vector<std::string>{"config.json", "generation_config.json", "vocab.json", "merges.txt",
                                      "Hastings.pkl", "model.safetensors"}));
}

TEST(FirstFiles, AnIndexSaysWhatTheWeightsAre) {
  const std::vector<std::string> files = {"config.json", "model-00001-of-00002.safetensors",
                                          "model-00002-of-00002.safetensors", "model.safetensors.index.json"};
  EXPECT_EQ(first_files(files), (std::vector<std::string>{"config.json", "model.safetensors.index.json"}));
}

TEST(FirstFiles, AreNoneWithoutConfigOrWeights) {
  EXPECT_TRUE(first_files(std::vector<std::string>{"config.json", "model.gguf"}).empty());
  EXPECT_TRUE(first_files(std::vector<std::string>{"model.safetensors"}).empty());
  EXPECT_TRUE(first_files({}).empty());
}

}  // namespace
}  // namespace lille
