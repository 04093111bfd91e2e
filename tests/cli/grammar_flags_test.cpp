// `lille generate --grammar FILE` and `--json-schema FILE`, and the same in lines of `lille batch`.

#include "cli/program.h"

namespace lille::test {
namespace {

class GrammarFlags : public testing::Test {
 protected:
  std::vector<std::string> arguments(const std::string& flag, const std::string& text) const {
    return {"generate",
            "The answer is",
            "--temperature",
            "1.2",
            "--seed",
            "3",
            "--max-tokens",
            "40",
            flag,
            folder_.write("held_to", text).string()};
  }
  void expect_refused(const std::string& flag, const std::string& text, const std::string& part) const {
    const Finished finished = run_lille(arguments(flag, text));
    EXPECT_NE(finished.exit_code, 0);
    EXPECT_NE(finished.err.find(part), std::string::npos) << part << " in " << finished.err;
  }

  TemporaryFolder folder_;
};

TEST_F(GrammarFlags, AnswersAreOfTheGrammar) {
  const std::string text = output_of(arguments("--grammar", "root ::= \"cat\" | \"dog\" # or\n"));
  EXPECT_TRUE(text == "cat\n" || text == "dog\n") << text;
  const std::string object = output_of(arguments(
      "--json-schema", R"({"type":"object","properties":{"yes":{"type":"boolean"},"n":{"type":"integer",
      "maximum":9,"minimum":0}},"required":["yes","n"]})"));
  const nlohmann::json answer = nlohmann::json::parse(object);
  EXPECT_TRUE(answer["yes"].is_boolean() && answer["n"] >= 0 && answer["n"] <= 9) << object;
  EXPECT_TRUE(object.starts_with("{\"yes\"")) << object;
}

TEST_F(GrammarFlags, ADraftChangesNothing) {
  std::vector<std::string> words = arguments("--grammar", "root ::= (\"so\" \" \"){8}");
  const std::string text = output_of(words);
  words.insert(words.end(), {"--draft", "lookup", "--no-adaptive-draft"});
  EXPECT_EQ(output_of(words), text);
  EXPECT_TRUE(text.starts_with("so so so so ")) << text;
}

TEST_F(GrammarFlags, RefusalsNameTheFlagOrThePlace) {
  const std::string file = (folder_.path() / "held_to").string();
  expect_refused("--grammar", "root ::= x",
                 "--grammar " + file + ": grammar: line 1: expected a rule that is defined, got x");
  expect_refused("--grammar", "", "--grammar: expected a text in ");
  expect_refused("--json-schema", R"({"type":"string","pattern":"a\\b"})",
                 "--json-schema " + file + ": json_schema.pattern: character 2: bounds of words are not");
  expect_refused("--json-schema", R"({"$ref":"#/$defs/a","$defs":{"a":{"type":"array","uniqueItems":true}}})",
                 "--json-schema " + file + ": json_schema.$defs.a.uniqueItems: not understood");
  expect_refused("--json-schema", "{", "--json-schema " + file + ": json_schema: expected JSON");
  std::vector<std::string> both = arguments("--grammar", "root ::= \"a\"");
  both.insert(both.end(), {"--json-schema", folder_.write("schema", "{}").string()});
  EXPECT_NE(run_lille(both).err.find("--grammar: expected none beside --json-schema"), std::string::npos);
  const Finished missing = run_lille({"generate", "x", "--grammar", "no-such-file"});
  EXPECT_NE(missing.err.find("--grammar: "), std::string::npos) << missing.err;
  EXPECT_NE(missing.err.find("no-such-file"), std::string::npos) << missing.err;
}

TEST_F(GrammarFlags, LinesOfABatchHaveTheirOwn) {
  RunOptions options;
  options.stdin_text = R"({"prompt": "a", "grammar": "root ::= \"yes\""})"
                       "\n"
                       R"({"prompt": "a", "json_schema": {"const": [1]}})"
                       "\n"
                       R"({"prompt": "a", "json_schema": {"const": {"b": [], "a": {"d": 1, "c": 2}}}})"
                       "\n"
                       R"({"prompt": "a", "grammar": "root"})"
                       "\n";
  const Finished finished = run_lille({"batch", "-"}, options);
  EXPECT_NE(finished.out.find("\"text\":\"yes\""), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("\"text\":\"[1]\""), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find(R"("text":"{\"b\":[],\"a\":{\"d\":1,\"c\":2}}")"), std::string::npos)
      << finished.out;
  EXPECT_NE(finished.out.find("grammar: line 1: expected NAME ::="), std::string::npos) << finished.out;
}

}  // namespace
}  // namespace lille::test
