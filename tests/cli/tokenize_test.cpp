#include "cli/program.h"

namespace lille::test {
namespace {

std::string ids_of_stdin(const std::string& bytes) {
  RunOptions options;
  options.stdin_text = bytes;
  return output_of({"tokenize", "-"}, options);
}

std::string text_of_stdin(const std::string& ids) {
  RunOptions options;
  options.stdin_text = ids;
  return output_of({"detokenize", "-"}, options);
}

// ../shared/checkpoints/expected.json has these ids of this text, after <|startoftext|>.
TEST(Tokenize, TextToIds) {
  EXPECT_EQ(output_of({"tokenize", "Once upon a time"}), "7454,2402,257,640\n");
  EXPECT_EQ(output_of({"tokenize", "Once upon a time", "--json"}), "[7454,2402,257,640]\n");
  EXPECT_EQ(output_of({"detokenize", "7454,2402,257,640"}), "Once upon a time");
  EXPECT_EQ(output_of({"detokenize", " 7454, 2402,\n257,640 "}), "Once upon a time");
}

TEST(Tokenize, EveryByteComesBackThroughStdin) {
  std::string bytes;
  for (int repeat = 0; repeat < 2; ++repeat)
    for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  EXPECT_EQ(text_of_stdin(ids_of_stdin(bytes)), bytes);
}

TEST(Tokenize, NulInvalidUtf8AndNewlinesComeBack) {
  for (const std::string& bytes :
       {std::string("\0", 1), std::string("a\0b\0", 4), std::string("\xff\xfe\xc3"), std::string("\r\n\n"),
        std::string("caf\xc3\xa9 \xf0\x9f\x98\x80"), std::string("\xed\xa0\x80 <|user|>"), std::string()})
    EXPECT_EQ(text_of_stdin(ids_of_stdin(bytes)), bytes);
}

TEST(Tokenize, SpecialNamesAreTextUnlessAskedFor) {
  EXPECT_EQ(output_of({"tokenize", "<|user|>", "--parse-special"}), "32766\n");
  EXPECT_EQ(output_of({"tokenize", "a<|endoftext|>b", "--parse-special"}), "64,32764,65\n");
  EXPECT_EQ(output_of({"tokenize", "<|user|>"}).find("32766"), std::string::npos);
  EXPECT_EQ(output_of({"detokenize", "32766"}), "<|user|>");
}

TEST(Tokenize, PrefixSpaceIsOffUnlessAskedFor) {
  const std::string with_space = output_of({"tokenize", " hello"});
  EXPECT_EQ(output_of({"tokenize", "hello", "--add-prefix-space"}), with_space);
  EXPECT_NE(output_of({"tokenize", "hello"}), with_space);
}

TEST(Tokenize, TextsThatLookLikeSyntaxAreText) {
  for (const char* text : {"[1,2]", "{}", "[]", "\"hi\"", "'hi'", "%%", "a=b", "generate", "- a"})
    EXPECT_EQ(output_of({"tokenize", text}), ids_of_stdin(text)) << text;
}

TEST(Tokenize, NoTokenizer) {
  expect_failure(kFailed, "expected vocab.json and merges.txt, or tokenizer.json, or Hastings.pkl",
                 {"tokenize", "hi", "--model", toy_model()});
  expect_failure(kFailed, "/no/such/folder", {"tokenize", "hi", "--model", "/no/such/folder"});
}

TEST(Detokenize, BadIds) {
  expect_failure(kWrongUsage, "token id: expected 0 to 32767, got 32768", {"detokenize", "1,32768"});
  expect_failure(kWrongUsage, "token id: expected 0 to 32767, got -1", {"detokenize", "-1"});
  expect_failure(kWrongUsage, "ids: expected token ids with commas between them, got \"x\"",
                 {"detokenize", "1,x"});
  expect_failure(kWrongUsage, "ids: expected token ids with commas between them, got \"\"",
                 {"detokenize", "1,,2"});
  expect_failure(kWrongUsage, "got \"99999999999\"", {"detokenize", "99999999999"});
}

}  // namespace
}  // namespace lille::test
