#include "base/error_name.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace lille {
namespace {

TEST(ErrorName, EachCodeHasAWordOfItsOwn) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::kInternal); ++code) {
    const std::string_view name = error_code_name(static_cast<ErrorCode>(code));
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos) << name;
    EXPECT_EQ(name.data()[name.size()], '\0');
  }
  EXPECT_EQ(error_code_name(ErrorCode::kCorruptFile), "corrupt_file");
  EXPECT_EQ(error_code_name(ErrorCode::kInternal), "internal");
}

}  // namespace
}  // namespace lille
