#include "grammar/number_texts.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

TEST(NumberTexts, AreThoseOfTheDocument) {
  const std::string text =
      R"({"b":[1.10,{"a":0.1234567890123456789}],"a":1e-3,"n":7,"x":"2.5","z":[[-0.0],18446744073709551616]})";
  const OrderedJson root = OrderedJson::parse(text);
  const std::map<const OrderedJson*, std::string> texts = number_texts(root, text);
  EXPECT_EQ(texts.size(), 5U);
  EXPECT_EQ(texts.at(&root["b"][0]), "1.10");
  EXPECT_EQ(texts.at(&root["b"][1]["a"]), "0.1234567890123456789");
  EXPECT_EQ(texts.at(&root["a"]), "1e-3");
  EXPECT_EQ(texts.at(&root["z"][0][0]), "-0.0");
  EXPECT_EQ(texts.at(&root["z"][1]), "18446744073709551616");
}

}  // namespace
}  // namespace lille
