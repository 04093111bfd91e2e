#include "generate/options.h"

#include <gtest/gtest.h>

#include <set>

#include "support.h"

namespace lille {
namespace {

TEST(Options, FlagsAreTheNamesWithDashes) { EXPECT_EQ(flag_of("top_p"), "--top-p"); }

TEST(Options, EveryOptionHasAHelpAndANameOfItsOwn) {
  std::set<std::string_view> names;
  const auto check = [&](const OptionSpec& spec, const auto&) {
    EXPECT_FALSE(spec.help.empty()) << spec.name;
    EXPECT_FALSE(spec.value_name.empty()) << spec.name;
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    const bool is_new = spec.alias.empty() || names.insert(spec.alias).second;
    EXPECT_TRUE(is_new) << spec.alias;
  };
  GenerationOptions generation;
  visit_options(generation, check);
  ModelOptions model;
  visit_options(model, check);
  EXPECT_EQ(names.size(), 8u);
}

template <typename Edit>
void expect_out_of_range(std::string_view part, Edit edit) {
  GenerationOptions options;
  edit(options);
  test::expect_error(ErrorCode::kInvalidArgument, part, [&] { check_ranges(options); });
}

TEST(Options, ValuesOutOfRangeNameTheFlag) {
  expect_out_of_range("--temperature: expected a number from 0", [](auto& o) { o.temperature = -1.0F; });
  expect_out_of_range("--temperature: expected", [](auto& o) { o.temperature = NAN; });
  expect_out_of_range("--temperature: expected", [](auto& o) { o.temperature = INFINITY; });
  expect_out_of_range("--top-p: expected a number from 0 to 1, got 2", [](auto& o) { o.top_p = 2.0F; });
  expect_out_of_range("--top-p: expected", [](auto& o) { o.top_p = NAN; });
  expect_out_of_range("--top-p: expected", [](auto& o) { o.top_p = -0.1F; });
  expect_out_of_range("--max-tokens: expected", [](auto& o) { o.max_tokens = -1; });
  ModelOptions model;
  model.threads = 5000;
  test::expect_error(ErrorCode::kInvalidArgument, "--threads: expected a number from 0 to 1024, got 5000",
                     [&] { check_ranges(model); });
}

TEST(Options, WhatIsInRangePasses) {
  GenerationOptions options;
  check_ranges(options);
  options.temperature = -0.0F;
  options.top_p = 1.0F;
  options.seed = ~uint64_t{0};
  options.max_tokens = 0;
  check_ranges(options);
}

TEST(Options, TheFoldersDefaultsFillWhatIsAbsent) {
  const GenerationDefaults defaults = {0, 0.5F, true};
  EXPECT_TRUE(make_sampler(GenerationOptions{}, defaults, 10).is_greedy());
  GenerationOptions options;
  options.temperature = 1.0F;
  EXPECT_FALSE(make_sampler(options, defaults, 10).is_greedy());
}

}  // namespace
}  // namespace lille
