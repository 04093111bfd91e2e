#include "tokenizer/merges.h"

#include <gtest/gtest.h>

#include "support.h"
#include "tokenizer/toy_files.h"
#include "tokenizer/vocabulary_files.h"

namespace lille {
namespace {

TEST(Merges, OfTheToy) {
  const std::string text = test::toy_pickle();
  const std::vector<Merge> merges = merges_of(read_hastings_pickle({text, "toy.pkl"}));
  ASSERT_EQ(merges.size(), 3u);
  EXPECT_EQ(merges[0].left, 220);  // " " in GPT-2's order of bytes
  EXPECT_EQ(merges[0].right, 83);  // "t"
  EXPECT_EQ(merges[2].left, 256);
  EXPECT_EQ(merges[2].right, 257);
}

TEST(Merges, ATokenWithoutAMergeIsRefused) {
  // Without "he", nothing that is left makes " the" of two tokens.
  const std::string text =
      test::with_change(test::toy_pickle(), test::pickle_bytes("he"), test::pickle_bytes("xy"));
  const Vocabulary vocabulary = read_hastings_pickle({text, "toy.pkl"});
  test::expect_error(ErrorCode::kUnsupported, "token 258 \" the\": expected a merge of two tokens",
                     [&] { merges_of(vocabulary); });
}

}  // namespace
}  // namespace lille
