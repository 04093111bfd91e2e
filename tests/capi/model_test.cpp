#include "lille/model.h"

#include <cstddef>
#include <cstring>

#include "capi/capi.h"

namespace lille::test {
namespace {

TEST_F(TinyCapi, TellsWhatTheModelIs) {
  const Model model = Model::load(path_);
  lille_model_info info;
  expect_ok(
      [&](lille_error* error) { return lille_model_get_info(model_.get(), &info, sizeof info, error); });
  EXPECT_EQ(info.block_size, model.args().block_size);
  EXPECT_EQ(info.vocab_size, 32768);
  EXPECT_EQ(info.n_embd, model.args().n_embd);
  EXPECT_EQ(info.n_head, model.args().n_head);
  EXPECT_EQ(info.n_kv_heads, model.args().n_kv_heads);
  EXPECT_EQ(info.n_layer, model.args().n_layer);
  EXPECT_EQ(info.hidden_dim, model.args().hidden_dim());
  EXPECT_EQ(info.rope_theta, model.args().rope_theta);
  EXPECT_EQ(info.layer_norm_eps, static_cast<double>(model.args().layer_norm_eps));
  EXPECT_GT(info.n_parameters, 10'000'000);
  EXPECT_GT(info.n_bytes, info.n_parameters);
  EXPECT_EQ(info.has_tokenizer, 1);
  EXPECT_EQ(info.rope_layout, rope_layout_name(model.rope().layout));
  EXPECT_EQ(info.form, model.form());
}

TEST_F(TinyCapi, InfoOfAnotherVersionIsFilledAsFarAsItGoes) {
  struct {
    lille_model_info known;
    int64_t later;
  } longer;
  std::memset(&longer, 0x55, sizeof longer);
  expect_ok([&](lille_error* error) {
    return lille_model_get_info(model_.get(), &longer.known, sizeof longer, error);
  });
  EXPECT_EQ(longer.known.vocab_size, 32768);
  EXPECT_EQ(longer.later, 0);

  lille_model_info info;
  for (const int64_t n : {int64_t{-1}, kLowest, int64_t{0}, int64_t{8}, kHuge})
    expect_status(LILLE_INVALID_ARGUMENT, std::to_string(n),
                  [&](lille_error* error) { return lille_model_get_info(model_.get(), &info, n, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "model", [&](lille_error* error) {
    std::memset(&info, 0x55, sizeof info);
    const lille_status status = lille_model_get_info(nullptr, &info, sizeof info, error);
    EXPECT_EQ(info.block_size, 0);
    EXPECT_EQ(info.form, nullptr);
    return status;
  });
  expect_status(LILLE_INVALID_ARGUMENT, "info", [&](lille_error* error) {
    return lille_model_get_info(model_.get(), nullptr, sizeof info, error);
  });
}

TEST(CapiModel, RefusesWhatIsNoModel) {
  lille_model* model = nullptr;
  const auto load = [&model](const char* path) {
    return [&model, path](lille_error* error) {
      model = reinterpret_cast<lille_model*>(1);
      const lille_status status = lille_model_load(path, nullptr, &model, error);
      EXPECT_EQ(model, nullptr);
      return status;
    };
  };
  expect_status(LILLE_NOT_FOUND, "no-such-model", load("no-such-model"));
  expect_status(LILLE_NOT_FOUND, "", load(""));
  expect_status(LILLE_INVALID_ARGUMENT, "path", load(nullptr));
  expect_status(LILLE_INVALID_ARGUMENT, "model", [](lille_error* error) {
    return lille_model_load("no-such-model", nullptr, nullptr, error);
  });
  const TemporaryFolder folder;
  const std::string broken = folder.write("config.json", "{").parent_path().string();
  expect_status(LILLE_CORRUPT_FILE, "config.json", load(broken.c_str()));
  lille_model_free(nullptr);
}

class CapiHub : public testing::Test {
 protected:
  // The cache of Python's huggingface_hub with one revision of a model, whose files lie elsewhere.
  void SetUp() override {
    const std::string commit(40, 'a');
    const std::filesystem::path model = folder_.path() / "models--owner--tiny";
    std::filesystem::create_directories(model / "refs");
    std::filesystem::create_directories(model / "snapshots" / commit);
    for (const auto& file : std::filesystem::directory_iterator(source_path("models/lille-tiny-8bit")))
      std::filesystem::create_symlink(file.path(), model / "snapshots" / commit / file.path().filename());
    folder_.write("models--owner--tiny/refs/main", commit);
  }

  lille_status set_hub(const char* cache_folder, int32_t offline, lille_error* error) {
    return lille_options_set_hub(options_.get(), cache_folder, nullptr, nullptr, offline, error);
  }

  TemporaryFolder folder_;
  Handle<lille_options> options_ = options_with({{"threads", "1"}});
};

TEST_F(CapiHub, NamesAreThoseOfTheHubOnceItIsSet) {
  lille_model* model = nullptr;
  const auto load = [&](lille_error* error) {
    return lille_model_load("owner/tiny", options_.get(), &model, error);
  };
  expect_status(LILLE_NOT_FOUND, "owner/tiny", load);
  const std::string cache = folder_.path().string();
  expect_ok([&](lille_error* error) { return set_hub(cache.c_str(), 1, error); });
  expect_ok(load);
  const Handle<lille_model> owner(model);
  lille_model_info info;
  expect_ok([&](lille_error* error) { return lille_model_get_info(model, &info, sizeof info, error); });
  EXPECT_EQ(info.has_tokenizer, 1);
  // A path is still one, and a draft model has a name, too.
  const auto by_path = model_at(source_path("models/lille-tiny-8bit"), options_.get());
  expect_ok(
      [&](lille_error* error) { return lille_options_set(options_.get(), "draft", "owner/tiny", error); });
  session_of(model, options_.get());
  expect_status(LILLE_NOT_FOUND, "owner/large", [&](lille_error* error) {
    return lille_model_load("owner/large", options_.get(), &model, error);
  });
  EXPECT_EQ(model, nullptr);
}

TEST_F(CapiHub, WhatCannotBeReachedIsAnError) {
  const std::string cache = folder_.path().string();
  expect_ok([&](lille_error* error) {
    return lille_options_set_hub(options_.get(), cache.c_str(), "ftp://nowhere", "token", 0, error);
  });
  lille_model* model = nullptr;
  lille_error error;
  EXPECT_NE(lille_model_load("owner/large", options_.get(), &model, &error), LILLE_OK);
  EXPECT_EQ(model, nullptr);
  expect_status(LILLE_INVALID_ARGUMENT, "options", [&](lille_error* told) {
    return lille_options_set_hub(nullptr, cache.c_str(), nullptr, nullptr, 0, told);
  });
  expect_status(LILLE_INVALID_ARGUMENT, "cache_folder",
                [&](lille_error* told) { return set_hub(nullptr, 0, told); });
  expect_status(LILLE_INVALID_ARGUMENT, "cache_folder",
                [&](lille_error* told) { return set_hub("", 0, told); });
}

TEST(CapiModel, WithoutATokenizerItIsAModelOfIds) {
  const auto model = model_at(source_path("tests/golden/mlx/toy"));
  lille_model_info info;
  expect_ok([&](lille_error* error) { return lille_model_get_info(model.get(), &info, sizeof info, error); });
  ASSERT_EQ(info.has_tokenizer, 0);
  lille_tokenizer* tokenizer = nullptr;
  expect_status(LILLE_NOT_FOUND, "tokenizer",
                [&](lille_error* error) { return lille_tokenizer_of_model(model.get(), &tokenizer, error); });
  const auto session = session_of(model.get());
  const std::vector<int32_t> tokens = {1, 2};
  std::vector<float> logits(static_cast<std::size_t>(info.vocab_size));
  expect_ok([&](lille_error* error) {
    return lille_logits(session.get(), tokens.data(), 2, LILLE_LOGITS_LAST, logits.data(), info.vocab_size,
                        error);
  });
  expect_status(LILLE_NOT_FOUND, "tokenizer", [&](lille_error* error) {
    return lille_generate(session.get(), tokens.data(), 2, nullptr, nullptr, nullptr, nullptr, nullptr,
                          error);
  });
}

}  // namespace
}  // namespace lille::test
