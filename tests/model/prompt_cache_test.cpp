#include "lille/prompt_cache.h"

#include <algorithm>
#include <functional>

#include "base/content_hash.h"
#include "model/golden.h"

namespace lille {
namespace {

/// A prompt cache file taken apart, to be changed and put together again.
struct Parts {
  explicit Parts(const std::filesystem::path& path) {
    const SafetensorsFile file(path);
    metadata = file.metadata();
    for (const TensorView& tensor : file.tensors()) {
      contents.emplace_back(tensor.bytes.begin(), tensor.bytes.end());
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape, {}});
    }
  }

  /// Also makes the checksum right, so that what was changed is judged by itself.
  void save(const std::filesystem::path& path) {
    ContentHash hash;
    for (std::size_t idx = 0; idx < tensors.size(); ++idx) {
      tensors[idx].bytes = contents[idx];
      hash.update(tensors[idx].bytes);
    }
    if (metadata.contains("checksum")) metadata["checksum"] = hash.digits();
    save_safetensors(path, tensors, metadata);
  }

  std::map<std::string, std::string> metadata;
  std::vector<std::vector<std::byte>> contents;
  std::vector<TensorToSave> tensors;
};

class PromptCacheFile : public testing::Test {
 protected:
  PromptCache filled(CacheType type = CacheType::kF32) {
    PromptCache cache = make_prompt_cache(model_, type);
    const BatchItem item = {ids_, &cache, LogitsFor::kNone};
    session_.forward(std::span(&item, 1));
    return cache;
  }

  std::vector<float> logits_after(PromptCache& cache, int32_t id) {
    const BatchItem item = {std::span(&id, 1), &cache};
    const Logits logits = session_.forward(std::span(&item, 1));
    return {logits.values.begin(), logits.values.end()};
  }

  /// Expects that the file, after `change`, is refused with this code and a message that has all parts.
  void expect_refused(ErrorCode code, std::vector<std::string> parts,
                      const std::function<void(Parts&)>& change) {
    save_prompt_cache(path_, filled());
    Parts file(path_);
    change(file);
    file.save(path_);
    expect_refused_as_it_is(code, std::move(parts));
  }
  void expect_refused_as_it_is(ErrorCode code, std::vector<std::string> parts,
                               const LoadPromptCacheOptions& options = {}) {
    parts.push_back(path_.string());
    parts.emplace_back("Hint: ");
    for (const std::string& part : parts)
      test::expect_error(code, part, [&] { load_prompt_cache(path_, model_, options); });
  }

  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "cache.safetensors";
  Model model_ = test::load_model(test::source_path("tests/golden/mlx/toy"));
  Session session_{model_, {1, ""}};
  std::vector<int32_t> ids_ = {5, 17, 300, 2, 511, 0, 44};
};

TEST_F(PromptCacheFile, GivesBackTheCacheThatWasSaved) {
  for (const CacheType type : kCacheTypes) {
    PromptCache cache = filled(type);
    save_prompt_cache(path_, cache);
    PromptCache loaded = load_prompt_cache(path_, model_);
    EXPECT_EQ(loaded.offset(), 7);
    EXPECT_TRUE(std::ranges::equal(loaded.tokens(), ids_));
    EXPECT_EQ(loaded.type(), type);
    EXPECT_EQ(loaded.kernels(), session_.kernels());
    EXPECT_EQ(logits_after(loaded, 9), logits_after(cache, 9));
    EXPECT_EQ(loaded.trim(5), 5);
    cache.trim(5);
    EXPECT_EQ(logits_after(loaded, 8), logits_after(cache, 8));
  }
}

TEST_F(PromptCacheFile, HoldsNoMoreThanTheTokensOfTheCache) {
  PromptCache cache = filled();
  cache.trim(3);
  save_prompt_cache(path_, cache);
  const SafetensorsFile file(path_);
  EXPECT_EQ(test::ids_of(file, "tokens"), (std::vector<int32_t>{5, 17, 300, 2}));
  EXPECT_EQ(file.at("layers.2.values").shape, (std::vector<int64_t>{2, 4, 32}));
  EXPECT_EQ(file.tensors().size(), 1u + 2 * 3);
}

TEST_F(PromptCacheFile, AnEmptyCacheIsOneToo) {
  save_prompt_cache(path_, make_prompt_cache(model_));
  PromptCache loaded = load_prompt_cache(path_, model_, {CacheType::kF32, std::string(session_.kernels())});
  EXPECT_EQ(loaded.offset(), 0);
  PromptCache cache = make_prompt_cache(model_);
  EXPECT_EQ(logits_after(loaded, 9), logits_after(cache, 9));
}

TEST_F(PromptCacheFile, AFileThatCannotBeWrittenIsNotThereAtAll) {
  test::expect_error(ErrorCode::kNotFound, "no such folder",
                     [&] { save_prompt_cache(folder_.path() / "none" / "cache", filled()); });
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
  test::expect_error(ErrorCode::kNotFound, "cache.safetensors", [&] { load_prompt_cache(path_, model_); });
}

TEST_F(PromptCacheFile, OtherWeightsAreRefused) {
  for (const char* name : {"config.json", "model.safetensors"})
    folder_.write(name, test::read_file(test::source_path("tests/golden/mlx/toy") / name));
  std::string bytes = test::read_file(folder_.path() / "model.safetensors");
  bytes[bytes.size() - 4] ^= 1;
  folder_.write("model.safetensors", bytes);
  save_prompt_cache(path_, filled());
  model_ = test::load_model(folder_.path());
  expect_refused_as_it_is(ErrorCode::kInvalidArgument,
                          {"model: expected ", "the fingerprint of the model's weights, got "});
}

TEST_F(PromptCacheFile, AnotherShapeLayoutTypeOrKernelTableIsRefused) {
  save_prompt_cache(path_, filled());
  expect_refused_as_it_is(ErrorCode::kInvalidArgument, {"cache_type: expected BF16, as asked for, got F32"},
                          {CacheType::kBF16, {}});
  expect_refused_as_it_is(
      ErrorCode::kInvalidArgument,
      {"cache_type: expected Q8_0, as asked for, got F32", "ask for kv_bits 32, or name another file"},
      {CacheType::kQ8_0, {}});
  expect_refused_as_it_is(ErrorCode::kInvalidArgument,
                          {"kernels: expected abacus, as this session has, got "}, {{}, "abacus"});
  const std::filesystem::path toy = model_.path();
  model_ = test::load_model(toy, RopeLayout::kHalf);
  expect_refused_as_it_is(ErrorCode::kInvalidArgument,
                          {"rope_layout: expected half, as the model was loaded, got interleaved"});
  model_ = test::load_model(test::source_path("models/lille-tiny-8bit"));
  expect_refused_as_it_is(ErrorCode::kInvalidArgument, {", as the model has, got 3"});
}

TEST_F(PromptCacheFile, ANewerFormatIsRefusedAndSaysWhatToDo) {
  expect_refused(ErrorCode::kUnsupported,
                 {"format_version: expected 2 or lower, got 3", "a newer version wrote it"},
                 [](Parts& file) { file.metadata["format_version"] = "3"; });
}

// Version 1 knew F32 and BF16 only, and is the same else.
TEST_F(PromptCacheFile, TheOlderFormatIsRead) {
  for (const CacheType type : {CacheType::kF32, CacheType::kBF16}) {
    PromptCache cache = filled(type);
    save_prompt_cache(path_, cache);
    Parts file(path_);
    EXPECT_EQ(file.metadata["format_version"], "2");
    file.metadata["format_version"] = "1";
    file.save(path_);
    PromptCache loaded = load_prompt_cache(path_, model_, {type, {}});
    EXPECT_EQ(logits_after(loaded, 9), logits_after(cache, 9));
  }
}

TEST_F(PromptCacheFile, EightBitsAreBlocksOfBytes) {
  save_prompt_cache(path_, filled(CacheType::kQ8_0));
  const SafetensorsFile file(path_);
  EXPECT_EQ(file.metadata().at("cache_type"), "Q8_0");
  EXPECT_EQ(file.at("layers.1.keys").dtype, DType::kU8);
  EXPECT_EQ(file.at("layers.1.keys").shape, (std::vector<int64_t>{2, 7, 34}));
}

TEST_F(PromptCacheFile, WhatIsNoPromptCacheIsRefused) {
  expect_refused(ErrorCode::kCorruptFile, {"format: expected lille-prompt-cache, got \"pt\""},
                 [](Parts& file) { file.metadata["format"] = "pt"; });
  expect_refused(ErrorCode::kCorruptFile, {"format: expected this field in the metadata, got none"},
                 [](Parts& file) { file.metadata.clear(); });
  folder_.write("cache.safetensors", "PK");
  expect_refused_as_it_is(ErrorCode::kCorruptFile, {"delete the file and fill the cache again"});
}

TEST_F(PromptCacheFile, EveryFieldIsNeededAndNumbersAreNumbers) {
  save_prompt_cache(path_, filled());
  for (const auto& [key, value] : Parts(path_).metadata)
    expect_refused(ErrorCode::kCorruptFile, {key + ": expected this field in the metadata, got none"},
                   [&key](Parts& file) { file.metadata.erase(key); });
  for (const char* text : {"", "-1", "7.0", " 7", "99999999999999999999", "7\n", "seven"})
    expect_refused(ErrorCode::kCorruptFile, {"offset: expected a whole number from 0, got \""},
                   [text](Parts& file) { file.metadata["offset"] = text; });
  expect_refused(ErrorCode::kCorruptFile, {"format_version: expected 1 or more, got 0"},
                 [](Parts& file) { file.metadata["format_version"] = "0"; });
  expect_refused(ErrorCode::kCorruptFile, {"cache_type: expected F32, BF16 or Q8_0, got \"I8\""},
                 [](Parts& file) { file.metadata["cache_type"] = "I8"; });
}

TEST_F(PromptCacheFile, AnOffsetThatTheTensorsOrTheContextContradictIsRefused) {
  expect_refused(ErrorCode::kCorruptFile, {"tokens: expected (6) of I32, got (7) of I32"},
                 [](Parts& file) { file.metadata["offset"] = "6"; });
  expect_refused(ErrorCode::kInvalidArgument,
                 {"offset: expected at most 64 tokens, the model's block_size, got 65"},
                 [](Parts& file) { file.metadata["offset"] = "65"; });
}

TEST_F(PromptCacheFile, WrongShapesDtypesAndTensorsAreRefused) {
  const auto tensor = [](Parts& file, std::string_view name) {
    return static_cast<std::size_t>(std::ranges::find(file.tensors, name, &TensorToSave::name) -
                                    file.tensors.begin());
  };
  expect_refused(ErrorCode::kCorruptFile,
                 {"layers.1.keys: expected (2, 7, 32) of F32, got (7, 2, 32) of F32"}, [&](Parts& file) {
                   file.tensors[tensor(file, "layers.1.keys")].shape = {7, 2, 32};
                 });
  expect_refused(ErrorCode::kCorruptFile,
                 {"layers.0.values: expected (2, 7, 32) of F32, got (2, 7, 32) of I32"},
                 [&](Parts& file) { file.tensors[tensor(file, "layers.0.values")].dtype = DType::kI32; });
  expect_refused(ErrorCode::kCorruptFile,
                 {"layers.0.keys: expected (2, 7, 32) of BF16, got (2, 7, 32) of F32"},
                 [](Parts& file) { file.metadata["cache_type"] = "BF16"; });
  expect_refused(ErrorCode::kCorruptFile, {"layers.0.keys: expected (2, 7, 34) of U8, got (2, 7, 32) of F32"},
                 [](Parts& file) { file.metadata["cache_type"] = "Q8_0"; });
  expect_refused(ErrorCode::kCorruptFile, {"tokens: expected (7) of I32, got (7) of F32"},
                 [&](Parts& file) { file.tensors[tensor(file, "tokens")].dtype = DType::kF32; });
  expect_refused(
      ErrorCode::kCorruptFile, {"layers.2.values: expected (2, 7, 32) of F32, got no such tensor"},
      [&](Parts& file) { file.tensors[tensor(file, "layers.2.values")].name = "layers.3.values"; });
  expect_refused(ErrorCode::kCorruptFile, {"tensors: expected 7, got 8"}, [](Parts& file) {
    file.tensors.push_back({"more", DType::kU8, {0}, {}});
    file.contents.emplace_back();
  });
}

TEST_F(PromptCacheFile, IdsOutsideTheVocabularyAreRefused) {
  for (const int32_t id : {512, -1})
    expect_refused(ErrorCode::kCorruptFile, {"tokens: expected ids from 0 to 511, got " + std::to_string(id)},
                   [id](Parts& file) { std::memcpy(file.contents[0].data() + 8, &id, sizeof(id)); });
}

TEST_F(PromptCacheFile, AFileCutAnywhereOrWithOneBitChangedIsRefused) {
  save_prompt_cache(path_, filled());
  const std::string whole = test::read_file(path_);
  for (std::size_t n_bytes = 0; n_bytes < whole.size(); n_bytes += whole.size() / 41) {
    folder_.write("cache.safetensors", whole.substr(0, n_bytes));
    expect_refused_as_it_is(ErrorCode::kCorruptFile, {"delete the file and fill the cache again"});
  }
  const std::size_t header_bytes = 8 + load_unaligned<uint64_t>(whole.data());
  for (std::size_t at = header_bytes; at < whole.size(); at += 997) {
    std::string damaged = whole;
    damaged[at] ^= 4;
    folder_.write("cache.safetensors", damaged);
    expect_refused_as_it_is(ErrorCode::kCorruptFile, {"checksum: expected ", "the file is damaged"});
  }
}

TEST(ReusablePrefix, IsWhatIsCommonAndNeverThePromptsLastToken) {
  const Model model = test::load_model(test::source_path("tests/golden/mlx/toy"));
  Session session(model, {1, ""});
  const std::vector<int32_t> ids = {1, 2, 3, 4};
  struct Case {
    std::vector<int32_t> prompt;
    int64_t n_reused;
  };
  for (const auto& [prompt, n_reused] :
       {Case{{1, 2, 3, 4}, 3}, Case{{1, 2, 3, 4, 5}, 4}, Case{{1, 2}, 1}, Case{{1, 2, 9, 4, 5}, 2},
        Case{{9, 2, 3, 4}, 0}, Case{{1}, 0}, Case{{}, 0}}) {
    PromptCache cache = make_prompt_cache(model);
    const BatchItem item = {ids, &cache, LogitsFor::kNone};
    session.forward(std::span(&item, 1));
    EXPECT_EQ(reusable_prefix(cache, prompt), n_reused);
    const std::span<const int32_t> rest = reuse_prefix(cache, prompt);
    EXPECT_EQ(cache.offset(), n_reused);
    EXPECT_EQ(cache.tokens().size(), static_cast<std::size_t>(n_reused));
    EXPECT_TRUE(std::ranges::equal(rest, std::span(prompt).subspan(static_cast<std::size_t>(n_reused))));
  }
}

}  // namespace
}  // namespace lille
