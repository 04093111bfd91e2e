#include "grammar/expression.h"

#include <gtest/gtest.h>

#include "grammar/utf8_ranges.h"

namespace lille {
namespace {

bool contains(const std::vector<CharacterRange>& ranges, uint32_t code_point) {
  for (const CharacterRange& range : ranges)
    if (range.first <= code_point && code_point <= range.last) return true;
  return false;
}

TEST(Expression, AComplementHasWhatTheRangesHaveNot) {
  const std::vector<std::vector<CharacterRange>> cases = {{},
                                                          {{0, 0}},
                                                          {{0, kMaxCodePoint}},
                                                          {{'a', 'z'}, {'A', 'Z'}},
                                                          {{'b', 'y'}, {'a', 'c'}, {'z', 'z'}},
                                                          {{kMaxCodePoint, kMaxCodePoint}, {'x', 'x'}}};
  for (const auto& ranges : cases) {
    const std::vector<CharacterRange> complement = complement_of(ranges);
    for (uint32_t code_point = 0; code_point <= kMaxCodePoint; ++code_point)
      ASSERT_NE(contains(ranges, code_point), contains(complement, code_point)) << code_point;
  }
}

TEST(Expression, OnePartStandsForItself) {
  EXPECT_EQ(sequence_of({bytes_of("a")}).kind, Expression::Kind::kBytes);
  EXPECT_EQ(choice_of({bytes_of("a")}).bytes, "a");
  EXPECT_EQ(sequence_of({}).kind, Expression::Kind::kSequence);
}

}  // namespace
}  // namespace lille
