#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lille.h"
#include "support.h"

namespace lille::test {

inline constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
inline constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();

/// Expects that a call fails with this status, and that its message contains `part`.
template <typename Call>
void expect_status(lille_status wanted, std::string_view part, Call&& call) {
  lille_error error;
  const lille_status status = call(&error);
  EXPECT_EQ(status, wanted) << error.message;
  EXPECT_EQ(error.status, status);
  EXPECT_NE(std::string_view(error.message).find(part), std::string_view::npos)
      << "expected \"" << part << "\" in: " << error.message;
  EXPECT_EQ(call(nullptr), wanted) << "without an error to write to";
}

/// Expects that a call succeeds.
template <typename Call>
void expect_ok(Call&& call) {
  lille_error error;
  EXPECT_EQ(call(&error), LILLE_OK) << error.message;
  EXPECT_EQ(error.status, LILLE_OK);
  EXPECT_STREQ(error.message, "");
}

/// What frees a handle.
struct Free {
  void operator()(lille_options* handle) const { lille_options_free(handle); }
  void operator()(lille_model* handle) const { lille_model_free(handle); }
  void operator()(lille_tokenizer* handle) const { lille_tokenizer_free(handle); }
  void operator()(lille_session* handle) const { lille_session_free(handle); }
};

template <typename Type>
using Handle = std::unique_ptr<Type, Free>;

inline Handle<lille_options> options_with(
    const std::vector<std::pair<std::string, std::string>>& values = {}) {
  lille_options* options = nullptr;
  expect_ok([&](lille_error* error) { return lille_options_create(&options, error); });
  for (const auto& [name, value] : values)
    expect_ok(
        [&](lille_error* error) { return lille_options_set(options, name.c_str(), value.c_str(), error); });
  return Handle<lille_options>(options);
}

inline Handle<lille_model> model_at(const std::filesystem::path& path,
                                    const lille_options* options = nullptr) {
  lille_model* model = nullptr;
  expect_ok([&](lille_error* error) { return lille_model_load(path.c_str(), options, &model, error); });
  return Handle<lille_model>(model);
}

inline Handle<lille_session> session_of(const lille_model* model, const lille_options* options = nullptr) {
  lille_session* session = nullptr;
  expect_ok([&](lille_error* error) { return lille_session_create(model, options, &session, error); });
  return Handle<lille_session>(session);
}

inline Handle<lille_tokenizer> tokenizer_of(const lille_model* model) {
  lille_tokenizer* tokenizer = nullptr;
  expect_ok([&](lille_error* error) { return lille_tokenizer_of_model(model, &tokenizer, error); });
  return Handle<lille_tokenizer>(tokenizer);
}

/// Takes over an array of the library's.
template <typename Element>
std::vector<Element> taken(Element* elements, int64_t n_elements) {
  EXPECT_NE(elements, nullptr);
  const std::vector<Element> copy(elements, elements + n_elements);
  lille_free(elements);
  return copy;
}

/// The small model of the repository, on one thread.
class TinyCapi : public testing::Test {
 protected:
  std::filesystem::path path_ = source_path("models/lille-tiny-8bit");
  Handle<lille_options> options_ = options_with({{"threads", "1"}});
  Handle<lille_model> model_ = model_at(path_, options_.get());
  Handle<lille_session> session_ = session_of(model_.get(), options_.get());

  std::vector<int32_t> prompt(std::string_view text) const {
    int32_t* tokens = nullptr;
    int64_t n_tokens = 0;
    expect_ok([&](lille_error* error) {
      return lille_encode_prompt(model_.get(), nullptr, text.data(), static_cast<int64_t>(text.size()),
                                 &tokens, &n_tokens, error);
    });
    return taken(tokens, n_tokens);
  }
};

}  // namespace lille::test
