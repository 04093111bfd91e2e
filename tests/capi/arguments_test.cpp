#include "capi/arguments.h"

#include "capi/capi.h"

namespace lille::capi {
namespace {

TEST(CapiArguments, RefusesNull) {
  const int32_t* none = nullptr;
  const char* no_text = nullptr;
  test::expect_error(ErrorCode::kInvalidArgument, "[f: x] expected a pointer", [&] { needed(none, "f: x"); });
  test::expect_error(ErrorCode::kInvalidArgument, "[f: x]", [&] { array_of(none, 0, "f: x"); });
  test::expect_error(ErrorCode::kInvalidArgument, "[f: x]", [&] { text_of(no_text, 0, "f: x"); });
  test::expect_error(ErrorCode::kInvalidArgument, "[f: x]", [&] { text_of(no_text, "f: x"); });
}

TEST(CapiArguments, RefusesSizesThatNothingHas) {
  const int32_t one = 1;
  for (const int64_t n : {int64_t{-1}, test::kLowest, test::kHuge, kMaxCount + 1})
    test::expect_error(ErrorCode::kInvalidArgument, std::to_string(n), [&] { array_of(&one, n, "f: x"); });
  for (const int64_t n : {int64_t{-1}, test::kLowest, test::kHuge, kMaxTextBytes + 1})
    test::expect_error(ErrorCode::kInvalidArgument, std::to_string(n), [&] { text_of("x", n, "f: x"); });
  EXPECT_EQ(array_of(&one, 1, "f: x").size(), 1U);
  EXPECT_EQ(text_of("a\0b", 3, "f: x").size(), 3U);
}

TEST(CapiArguments, ResultsAreNothingUntilTheyAreThere) {
  int value = 7;
  int* result = &value;
  int64_t n_result = 7;
  clear(&result, static_cast<char**>(nullptr), &n_result);
  EXPECT_EQ(result, nullptr);
  EXPECT_EQ(n_result, 0);
}

TEST(CapiArguments, CopiesEndInAZero) {
  const std::string text = "abc";
  char* copy = allocated_copy(std::span<const char>(text));
  EXPECT_STREQ(copy, "abc");
  lille_free(copy);
  int32_t* nothing = allocated_copy(std::span<const int32_t>());
  EXPECT_NE(nothing, nullptr);
  lille_free(nothing);
  lille_free(nullptr);
}

}  // namespace
}  // namespace lille::capi
