#include "hub/hub_name.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

TEST(HubName, IsReadWithAndWithoutRevision) {
  const auto plain = parse_hub_name("Nikity/lille-130m-instruct");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->owner, "Nikity");
  EXPECT_EQ(plain->name, "lille-130m-instruct");
  EXPECT_EQ(plain->revision, "main");
  EXPECT_EQ(plain->text(), "Nikity/lille-130m-instruct");
  const auto branch = parse_hub_name("a/b@refs/pr/1");
  ASSERT_TRUE(branch);
  EXPECT_EQ(branch->repo(), "a/b");
  EXPECT_EQ(branch->revision, "refs/pr/1");
  EXPECT_EQ(branch->text(), "a/b@refs/pr/1");
  EXPECT_TRUE(parse_hub_name("a_1/b.c-d@v1.0+x"));
}

TEST(HubName, MayNameAGgufFile) {
  const auto named = parse_hub_name("a/b@v1:c d-Q8_0.gguf");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->revision, "v1");
  EXPECT_EQ(named->file, "c d-Q8_0.gguf");
  EXPECT_EQ(named->text(), "a/b@v1:c d-Q8_0.gguf");
  EXPECT_EQ(parse_hub_name("a/b:c.gguf")->text(), "a/b:c.gguf");
  for (const char* text :
       {"a/b:", "a/b:c", "a/b:c.safetensors", "a/b:../c.gguf", "a/b:d/c.gguf", "a/b:.\n.gguf"})
    EXPECT_FALSE(parse_hub_name(text)) << text;
}

TEST(HubName, ACommitInCapitalsIsTheCommit) {
  const auto pinned = parse_hub_name("a/b@0123456789ABCDEF0123456789abcdef01234567");
  ASSERT_TRUE(pinned);
  EXPECT_EQ(pinned->revision, "0123456789abcdef0123456789abcdef01234567");
  EXPECT_EQ(parse_hub_name("a/b@0123456789ABCDEF")->revision, "0123456789ABCDEF");
}

TEST(HubName, RefusesWhatTheHubRefusesAndWhatLeadsElsewhere) {
  for (const char* text : {"",         "a",      "a/",       "/b",       "a/b/c",      "../b",   "a/..",
                           "a/.b",     "a/b.",   "-a/b",     "a/b-",     "a/b--c",     "a/b..c", "a /b",
                           "a/b\n",    "a/b@",   "a/b@..",   "a/b@../x", "a/b@x/../y", "a/b@/x", "a/b@x/",
                           "a/b@x//y", "a/b@.x", "a/b@x\\y", "a/b@x y",  "a/b@x@y",    "a\\b/c", "a:b/c"})
    EXPECT_FALSE(parse_hub_name(text)) << text;
  EXPECT_FALSE(parse_hub_name(std::string_view("a/b\0c", 5)));
  EXPECT_TRUE(parse_hub_name("a/" + std::string(94, 'b')));
  EXPECT_FALSE(parse_hub_name("a/" + std::string(95, 'b')));
  EXPECT_FALSE(parse_hub_name("a/b@" + std::string(201, 'c')));
}

TEST(Commit, IsFortyHexadecimalDigits) {
  EXPECT_TRUE(is_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789ABCDEF0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789abcdef0123456789abcdef0123456"));
  EXPECT_FALSE(is_commit("main"));
}

}  // namespace
}  // namespace lille
