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

TEST(Check, NamesTheBrokenInvariant) {
  test::expect_error(ErrorCode::kInternal, "broken invariant: 1 + 1 == 3", [] { LILLE_CHECK(1 + 1 == 3); });
  EXPECT_NO_THROW(LILLE_CHECK(1 + 1 == 2));
}

}  // namespace
}  // namespace lille
