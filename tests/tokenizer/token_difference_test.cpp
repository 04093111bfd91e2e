#include "tokenizer/token_difference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support.h"

namespace lille {
namespace {

class TokenDifference : public testing::Test {
 protected:
  nlohmann::json file() const {
    Tokenizer::load(test::source_path("models/lille-tiny-8bit")).save(folder_.path());
    return nlohmann::json::parse(test::read_file(folder_.path() / "tokenizer.json"));
  }
  Tokenizer from(const nlohmann::json& json) const {
    return Tokenizer::from_tokenizer_json(folder_.write("tokenizer.json", json.dump()));
  }

  test::TemporaryFolder folder_;
};

TEST_F(TokenDifference, IsEmptyForTheSame) {
  EXPECT_EQ(token_difference(from(file()), "a", from(file()), "b"), "");
}

TEST_F(TokenDifference, NamesTheTokenAndWhoHasWhat) {
  nlohmann::json changed = file();
  auto& vocabulary = changed["model"]["vocab"];
  const int id_a = vocabulary["A"];
  const int id_b = vocabulary["B"];
  vocabulary["A"] = id_b;
  vocabulary["B"] = id_a;
  EXPECT_EQ(token_difference(from(file()), "x", from(changed), "y"),
            "token " + std::to_string(std::min(id_a, id_b)) + " is \"" + (id_a < id_b ? "A" : "B") +
                "\" in x, \"" + (id_a < id_b ? "B" : "A") + "\" in y");
}

}  // namespace
}  // namespace lille
