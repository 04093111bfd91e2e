#include "base/check.h"

#include <gtest/gtest.h>

#include "support.h"

namespace lille {
namespace {

TEST(Check, RaiseFormatsItsMessage) {
  test::expect_error(ErrorCode::kInvalidShape, "[linear] weight: expected 3, got 4", [] {
    raise(ErrorCode::kInvalidShape, "[{}] weight: expected {}, got {}", "linear", 3, 4);
  });
}

TEST(Check, RaiseFieldCarriesTheField) {
  try {
    raise_field("top_p", "--top-p: expected {}, got {}", 1, 2);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.field(), "top_p");
    EXPECT_STREQ(error.what(), "--top-p: expected 1, got 2");
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ErrorCode::kInvalidArgument));
  }
  EXPECT_EQ(Error(ErrorCode::kIo, "x").field(), "");
}

TEST(Check, NamesTheBrokenInvariant) {
  test::expect_error(ErrorCode::kInternal, "broken invariant: 1 + 1 == 3", [] { LILLE_CHECK(1 + 1 == 3); });
  EXPECT_NO_THROW(LILLE_CHECK(1 + 1 == 2));
}

}  // namespace
}  // namespace lille
