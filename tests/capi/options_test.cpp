#include <cmath>
#include <set>

#include "capi/capi.h"
#include "capi/handles.h"

namespace lille::test {
namespace {

lille_status set(lille_options* options, const char* name, const char* value, lille_error* error = nullptr) {
  return lille_options_set(options, name, value, error);
}

TEST(CapiOptions, SetsWhatTheTableNames) {
  const auto options = options_with({{"temperature", "0.7"},
                                     {"top-p", "0.25"},
                                     {"top_k", "12"},
                                     {"seed", "18446744073709551615"},
                                     {"stop", "one"},
                                     {"stop", "5"},
                                     {"logit_bias", "262:-2,11:-inf"},
                                     {"bos", "false"},
                                     {"overflow", "truncate-left"},
                                     {"exact", "true"},
                                     {"kv_bits", "8"},
                                     {"rope", "half"},
                                     {"draft", "lookup"}});
  EXPECT_EQ(options->generation.temperature, 0.7F);
  EXPECT_EQ(options->generation.top_p, 0.25F);
  EXPECT_EQ(options->generation.top_k, 12);
  EXPECT_EQ(options->generation.seed, UINT64_MAX);
  EXPECT_EQ(options->generation.stop, (std::vector<std::string>{"one", "5"}));
  EXPECT_EQ(options->generation.logits_processors.logit_bias.at(262), -2);
  EXPECT_EQ(options->generation.bos, false);
  EXPECT_EQ(options->generation.overflow, "truncate-left");
  EXPECT_TRUE(options->compute.exact);
  EXPECT_EQ(options->compute.kv_bits, 8);
  EXPECT_EQ(options->model.rope, "half");
  EXPECT_EQ(options->draft.draft, "lookup");
  EXPECT_EQ(set(options.get(), "temp", "1"), LILLE_OK);
  EXPECT_EQ(options->generation.temperature, 1.0F);
}

TEST(CapiOptions, TypedSettersTakeNumbers) {
  const auto options = options_with();
  EXPECT_EQ(lille_options_set_int(options.get(), "max_tokens", 9, nullptr), LILLE_OK);
  EXPECT_EQ(options->generation.max_tokens, 9);
  EXPECT_EQ(lille_options_set_double(options.get(), "temperature", 0.1, nullptr), LILLE_OK);
  EXPECT_EQ(options->generation.temperature, 0.1F);
  for (const double value : std::vector<double>{NAN, INFINITY, -INFINITY, 1e300, -1})
    expect_status(LILLE_INVALID_ARGUMENT, "temperature: expected a number from 0 to",
                  [&](lille_error* error) {
                    return lille_options_set_double(options.get(), "temperature", value, error);
                  });
  for (const int64_t value : {int64_t{-1}, kLowest, kHuge})
    expect_status(LILLE_INVALID_ARGUMENT, std::to_string(value), [&](lille_error* error) {
      return lille_options_set_int(options.get(), "max_tokens", value, error);
    });
  expect_status(LILLE_INVALID_ARGUMENT, "whole number", [&](lille_error* error) {
    return lille_options_set_double(options.get(), "max_tokens", 1.5, error);
  });
  EXPECT_EQ(options->generation.temperature, 0.1F);
  EXPECT_EQ(options->generation.max_tokens, 9);
}

TEST(CapiOptions, TypedSettersRefuseWhatIsNoNumber) {
  const auto options = options_with();
  const std::vector<std::pair<const char*, const char*>> wrong = {
      {"stop", "stop: expected text, got the number 5"},
      {"overflow", "overflow: expected text"},
      {"rope", "rope: expected text"},
      {"grammar", "grammar: expected text"},
      {"logit-bias", "logit_bias: expected text"},
      {"exact", "exact: expected \"true\" or \"false\", got the number 5"},
      {"bos", "bos: expected \"true\" or \"false\""}};
  for (const auto& [name, part] : wrong) {
    expect_status(LILLE_INVALID_ARGUMENT, part,
                  [&](lille_error* error) { return lille_options_set_int(options.get(), name, 5, error); });
    expect_status(LILLE_INVALID_ARGUMENT, part, [&](lille_error* error) {
      return lille_options_set_double(options.get(), name, 5, error);
    });
  }
  EXPECT_TRUE(options->generation.stop.empty());
  for (const char* name :
       {"temperature", "seed", "top_k", "threads", "num_draft_tokens", "repetition_penalty"})
    EXPECT_EQ(lille_options_set_int(options.get(), name, 1, nullptr), LILLE_OK) << name;
}

TEST(CapiOptions, RefusesOtherValuesByName) {
  const auto options = options_with();
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"temperature", "0,7"}, {"temperature", ""},       {"temperature", "nan"},
      {"temperature", " 1"},  {"top_p", "1.1"},          {"seed", "-1"},
      {"max_tokens", "x"},    {"max_tokens", "1e3"},     {"max_tokens", "99999999999999999999"},
      {"exact", "yes"},       {"overflow", "sometimes"}, {"rope", "quarter"},
      {"rope", ""},           {"num_draft_tokens", "0"}, {"bos", "1"},
      {"kv_bits", "12"}};
  for (const auto& [name, value] : wrong)
    expect_status(LILLE_INVALID_ARGUMENT, name + ": expected",
                  [&](lille_error* error) { return set(options.get(), name.c_str(), value.c_str(), error); });
  expect_status(LILLE_INVALID_ARGUMENT, "\"1\"",
                [&](lille_error* error) { return set(options.get(), "logit_bias", "1", error); });
  for (const char* name : {"", "temperatur", "model", "TOP_P"})
    expect_status(LILLE_INVALID_ARGUMENT, "name of an option",
                  [&](lille_error* error) { return set(options.get(), name, "1", error); });
}

TEST(CapiOptions, RefusesNull) {
  const auto options = options_with();
  lille_options* handle = options.get();
  expect_status(LILLE_INVALID_ARGUMENT, "options",
                [](lille_error* error) { return lille_options_create(nullptr, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "options",
                [](lille_error* error) { return set(nullptr, "top_k", "1", error); });
  expect_status(LILLE_INVALID_ARGUMENT, "name",
                [&](lille_error* error) { return set(handle, nullptr, "1", error); });
  expect_status(LILLE_INVALID_ARGUMENT, "value",
                [&](lille_error* error) { return set(handle, "top_k", nullptr, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "options",
                [](lille_error* error) { return lille_options_set_int(nullptr, "top_k", 1, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "name",
                [&](lille_error* error) { return lille_options_set_int(handle, nullptr, 1, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "options",
                [](lille_error* error) { return lille_options_set_double(nullptr, "top_p", 1, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "name",
                [&](lille_error* error) { return lille_options_set_double(handle, nullptr, 1, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "options",
                [](lille_error* error) { return lille_options_set_cache_folder(nullptr, "x", error); });
  expect_status(LILLE_INVALID_ARGUMENT, "folder",
                [&](lille_error* error) { return lille_options_set_cache_folder(handle, nullptr, error); });
  expect_status(LILLE_INVALID_ARGUMENT, "options", [](lille_error* error) {
    return lille_options_set_warning_callback(nullptr, nullptr, nullptr, error);
  });
  lille_options_free(nullptr);
}

TEST(CapiOptions, ListsItsNames) {
  std::set<std::string> names;
  int64_t idx = 0;
  for (; lille_option_name(idx) != nullptr; ++idx) {
    const char* name = lille_option_name(idx);
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_GT(std::string_view(lille_option_help(name)).size(), 10U) << name;
  }
  for (const char* name : {"temperature", "max_tokens", "rope", "threads", "exact", "draft", "stop"})
    EXPECT_TRUE(names.contains(name)) << name;
  EXPECT_FALSE(names.contains("model"));
  for (const int64_t outside : {idx, kHuge, int64_t{-1}, kLowest})
    EXPECT_EQ(lille_option_name(outside), nullptr);
  EXPECT_EQ(lille_option_help("nothing"), nullptr);
  EXPECT_EQ(lille_option_help(nullptr), nullptr);
}

}  // namespace
}  // namespace lille::test
