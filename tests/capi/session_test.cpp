#include <numeric>

#include "capi/capi.h"
#include "model/golden.h"

namespace lille::test {
namespace {

class CapiSession : public TinyCapi {
 protected:
  int64_t vocab_size_ = 32768;
  std::vector<int32_t> tokens_ = prompt("A cat sat on the mat.");
  int64_t n_tokens_ = static_cast<int64_t>(tokens_.size());
  std::vector<float> room_ = std::vector<float>(static_cast<std::size_t>(n_tokens_ * vocab_size_), 7.0F);

  lille_status logits(const std::vector<int32_t>& tokens, int32_t logits_for, int64_t n_logits,
                      lille_error* error) {
    return lille_logits(session_.get(), tokens.data(), static_cast<int64_t>(tokens.size()), logits_for,
                        room_.data(), n_logits, error);
  }
};

TEST_F(CapiSession, LogitsAreThoseOfAPass) {
  Session session(Model::load(path_), {1, ""});
  const std::vector<float> wanted = all_logits(session, tokens_);
  expect_ok(
      [&](lille_error* error) { return logits(tokens_, LILLE_LOGITS_ALL, n_tokens_ * vocab_size_, error); });
  EXPECT_TRUE(room_ == wanted);
  expect_ok([&](lille_error* error) { return logits(tokens_, LILLE_LOGITS_LAST, vocab_size_, error); });
  EXPECT_TRUE(std::equal(room_.begin(), room_.begin() + vocab_size_, wanted.end() - vocab_size_));
  EXPECT_EQ(lille_session_kernels(session_.get()), session.kernels());
}

TEST_F(CapiSession, LogitsOfTheToyAreMlxs) {
  // What golden/README.md derives for MLX: 3e-4.
  const SafetensorsFile golden(source_path("tests/golden/mlx/toy/expected.safetensors"));
  const std::vector<int32_t> tokens = ids_of(golden, "seq0.tokens");
  const auto n_tokens = static_cast<int64_t>(tokens.size());
  const auto options = options_with({{"rope", "interleaved"}, {"exact", "true"}});
  const auto model = model_at(source_path("tests/golden/mlx/toy"), options.get());
  const auto session = session_of(model.get(), options.get());
  std::vector<float> values(tokens.size() * 512);
  expect_ok([&](lille_error* error) {
    return lille_logits(session.get(), tokens.data(), n_tokens, LILLE_LOGITS_ALL, values.data(),
                        n_tokens * 512, error);
  });
  expect_near(values, expected(golden, "seq0.logits").values, 3e-4, "logits");
}

TEST_F(CapiSession, EmbeddingsAreTheMeanOfTheLastHiddenStates) {
  Session session(Model::load(path_), {1, ""});
  Recorder recorder;
  all_logits(session, tokens_, &recorder);
  const auto n_embd = static_cast<std::size_t>(session.model().args().n_embd);
  std::vector<float> values(n_embd);
  expect_ok([&](lille_error* error) {
    return lille_embed(session_.get(), tokens_.data(), n_tokens_, values.data(), static_cast<int64_t>(n_embd),
                       error);
  });
  for (std::size_t column = 0; column < n_embd; ++column) {
    double sum = 0;
    for (std::size_t row = 0; row < tokens_.size(); ++row)
      sum += recorder.hidden.back()[row * n_embd + column];
    EXPECT_EQ(values[column], static_cast<float>(sum / static_cast<double>(tokens_.size())));
  }
}

TEST_F(CapiSession, RefusesBuffersOfAnotherSizeAndWritesNothing) {
  for (const int64_t n : {int64_t{0}, vocab_size_ - 1, vocab_size_ + 1})
    expect_status(LILLE_INVALID_SHAPE, std::to_string(vocab_size_),
                  [&](lille_error* error) { return logits(tokens_, LILLE_LOGITS_LAST, n, error); });
  expect_status(LILLE_INVALID_SHAPE, std::to_string(n_tokens_ * vocab_size_),
                [&](lille_error* error) { return logits(tokens_, LILLE_LOGITS_ALL, vocab_size_, error); });
  for (const int64_t n : {int64_t{-1}, kLowest, kHuge})
    expect_status(LILLE_INVALID_ARGUMENT, "logits",
                  [&](lille_error* error) { return logits(tokens_, LILLE_LOGITS_LAST, n, error); });
  expect_status(LILLE_INVALID_SHAPE, "values", [&](lille_error* error) {
    return lille_embed(session_.get(), tokens_.data(), n_tokens_, room_.data(), 3, error);
  });
  for (const int64_t n : {int64_t{-1}, kLowest, kHuge})
    expect_status(LILLE_INVALID_ARGUMENT, "values", [&](lille_error* error) {
      return lille_embed(session_.get(), tokens_.data(), n_tokens_, room_.data(), n, error);
    });
  EXPECT_EQ(room_, std::vector<float>(room_.size(), 7.0F));
}

TEST_F(CapiSession, RefusesTokensThatNoPassCanRead) {
  for (const int32_t id : {-1, 32768, INT32_MAX, INT32_MIN})
    expect_status(LILLE_INVALID_ARGUMENT, std::to_string(id), [&](lille_error* error) {
      return logits({1, id}, LILLE_LOGITS_LAST, vocab_size_, error);
    });
  const std::vector<int32_t> long_prompt(100'000, 1);
  expect_status(LILLE_INVALID_ARGUMENT, "block_size", [&](lille_error* error) {
    return logits(long_prompt, LILLE_LOGITS_LAST, vocab_size_, error);
  });
  for (const int64_t n : {int64_t{0}, int64_t{-1}, kLowest, kHuge}) {
    expect_status(LILLE_INVALID_ARGUMENT, "tokens", [&](lille_error* error) {
      return lille_logits(session_.get(), tokens_.data(), n, LILLE_LOGITS_LAST, room_.data(), vocab_size_,
                          error);
    });
    expect_status(LILLE_INVALID_ARGUMENT, "tokens", [&](lille_error* error) {
      return lille_embed(session_.get(), tokens_.data(), n, room_.data(), 1, error);
    });
  }
  for (const int32_t logits_for : {-1, 2, INT32_MAX, INT32_MIN})
    expect_status(LILLE_INVALID_ARGUMENT, "logits_for",
                  [&](lille_error* error) { return logits(tokens_, logits_for, vocab_size_, error); });
  EXPECT_EQ(room_, std::vector<float>(room_.size(), 7.0F));
}

TEST_F(CapiSession, RefusesNull) {
  lille_session* session = nullptr;
  const int32_t* tokens = tokens_.data();
  expect_status(LILLE_INVALID_ARGUMENT, "model",
                [&](lille_error* error) { return lille_session_create(nullptr, nullptr, &session, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "session", [&](lille_error* error) {
    return lille_session_create(model_.get(), nullptr, nullptr, error);
  });
  expect_status(LILLE_INVALID_ARGUMENT, "session", [&](lille_error* error) {
    return lille_logits(nullptr, tokens, 1, LILLE_LOGITS_LAST, room_.data(), vocab_size_, error);
  });
  expect_status(LILLE_INVALID_ARGUMENT, "tokens", [&](lille_error* error) {
    return lille_logits(session_.get(), nullptr, 1, LILLE_LOGITS_LAST, room_.data(), vocab_size_, error);
  });
  expect_status(LILLE_INVALID_ARGUMENT, "logits", [&](lille_error* error) {
    return lille_logits(session_.get(), tokens, 1, LILLE_LOGITS_LAST, nullptr, vocab_size_, error);
  });
  expect_status(LILLE_INVALID_ARGUMENT, "session",
                [&](lille_error* error) { return lille_embed(nullptr, tokens, 1, room_.data(), 1, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "tokens", [&](lille_error* error) {
    return lille_embed(session_.get(), nullptr, 1, room_.data(), 1, error);
  });
  expect_status(LILLE_INVALID_ARGUMENT, "values", [&](lille_error* error) {
    return lille_embed(session_.get(), tokens, 1, nullptr, 1, error);
  });
  EXPECT_EQ(lille_session_kernels(nullptr), nullptr);
  lille_session_cancel(nullptr);
  lille_session_cancel(session_.get());
  lille_session_free(nullptr);
}

TEST_F(CapiSession, RefusesADraftModelThatIsNone) {
  lille_session* session = nullptr;
  const auto missing = options_with({{"draft", "no-such-model"}});
  expect_status(LILLE_NOT_FOUND, "no-such-model", [&](lille_error* error) {
    return lille_session_create(model_.get(), missing.get(), &session, error);
  });
  EXPECT_EQ(session, nullptr);
}

// The tokens that were reused, and all of the answer.
struct Answered {
  int64_t n_cached = 0;
  std::string text;
};

Answered answered(lille_session* session, const std::vector<int32_t>& tokens) {
  const auto options = options_with({{"max_tokens", "6"}, {"temperature", "0"}});
  Answered answer;
  char* text = nullptr;
  const auto note = [](const lille_response* response, void* answer_of) {
    static_cast<Answered*>(answer_of)->n_cached = response->n_cached_tokens;
    return 0;
  };
  expect_ok([&](lille_error* error) {
    return lille_generate(session, tokens.data(), static_cast<int64_t>(tokens.size()), options.get(), note,
                          &answer, &text, nullptr, error);
  });
  answer.text = text;
  lille_free(text);
  return answer;
}

TEST_F(CapiSession, WhatItReadGoesToAFileAndBack) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "cache").string();
  const auto save = [&](lille_error* error) {
    return lille_save_prompt_cache(session_.get(), path.c_str(), error);
  };
  const Answered cold = answered(session_.get(), tokens_);
  EXPECT_EQ(cold.n_cached, 0);
  expect_ok(save);
  const auto other = session_of(model_.get(), options_.get());
  const auto load = [&](lille_error* error) {
    return lille_load_prompt_cache(other.get(), path.c_str(), error);
  };
  expect_ok(load);
  const Answered warm = answered(other.get(), tokens_);
  EXPECT_EQ(warm.n_cached, n_tokens_ - 1);
  EXPECT_EQ(warm.text, cold.text);

  folder.write("cache", "no cache");
  expect_status(LILLE_CORRUPT_FILE, "cache", load);
  EXPECT_EQ(answered(other.get(), tokens_).n_cached, n_tokens_ - 1) << "it remembers what it did";
  std::filesystem::remove(path);
  expect_status(LILLE_NOT_FOUND, "cache", load);
}

TEST_F(CapiSession, CachesOfAnotherKindAreRefused) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "cache").string();
  answered(session_.get(), tokens_);
  expect_ok([&](lille_error* error) { return lille_save_prompt_cache(session_.get(), path.c_str(), error); });
  const auto narrow = options_with({{"threads", "1"}, {"kv_bits", "8"}});
  const auto other = session_of(model_.get(), narrow.get());
  expect_status(LILLE_INVALID_ARGUMENT, "cache_type", [&](lille_error* error) {
    return lille_load_prompt_cache(other.get(), path.c_str(), error);
  });
  const std::string nowhere = (folder.path() / "none" / "cache").string();
  expect_status(LILLE_NOT_FOUND, "none", [&](lille_error* error) {
    return lille_save_prompt_cache(session_.get(), nowhere.c_str(), error);
  });
  for (const auto call : {lille_save_prompt_cache, lille_load_prompt_cache}) {
    expect_status(LILLE_INVALID_ARGUMENT, "session",
                  [&](lille_error* error) { return call(nullptr, path.c_str(), error); });
    expect_status(LILLE_INVALID_ARGUMENT, "path",
                  [&](lille_error* error) { return call(session_.get(), nullptr, error); });
  }
}

}  // namespace
}  // namespace lille::test
