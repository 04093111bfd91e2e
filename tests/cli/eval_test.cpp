#include <cmath>
#include <sstream>

#include "cli/program.h"

namespace lille::test {
namespace {

using nlohmann::json;

class EvalCommand : public testing::Test {
 protected:
  std::string plain(const std::string& name, int n_items) const {
    std::string text;
    for (int idx = 0; idx < n_items; ++idx)
      text +=
          json{
              {"context", "The sun rises in the"}, {"choices", {"east.", "of"}}, {"answer", idx == 0 ? 1 : 0}}
              .dump() +
          "\n\n";
    return folder_.write(name, text).string();
  }

  TemporaryFolder folder_;
};

TEST_F(EvalCommand, EachFileIsATask) {
  const std::string few = plain("few.jsonl", 1);
  const std::string many = plain("many.jsonl", 4);
  const json result = json::parse(output_of({"eval", few, many, "--json"}));
  ASSERT_EQ(result["tasks"].size(), 2U);
  EXPECT_EQ(result["tasks"][0]["file"], few);
  EXPECT_EQ(result["tasks"][0]["acc"], 0.0);
  EXPECT_TRUE(result["tasks"][0]["acc_stderr"].is_null()) << "one item has no spread";
  EXPECT_EQ(result["tasks"][1]["n_items"], 4);
  EXPECT_EQ(result["tasks"][1]["acc"], 0.75);
  EXPECT_DOUBLE_EQ(result["tasks"][1]["acc_stderr"].get<double>(), 0.25);  // sqrt(4 * 3/16 / 3) / 2
  EXPECT_EQ(result["protocol"], (json{{"bos", false}, {"examples", 0}}));
  const std::string text = output_of({"eval", few, many});
  EXPECT_TRUE(text.starts_with("file ")) << text;
  EXPECT_NE(text.find(many + "      4  0.7500 +/- 0.2500"), std::string::npos) << text;
  EXPECT_NE(text.find("\nprotocol: no examples before a question, without <|startoftext|>; "),
            std::string::npos)
      << text;
}

TEST_F(EvalCommand, ScoresOfEachItemAreWritten) {
  const std::filesystem::path out = folder_.path() / "scores.jsonl";
  const std::string file =
      folder_.write("items.jsonl", R"({"goal": "a", "sol1": "b", "sol2": "caf\u00e9", "label": 0})").string();
  output_of({"eval", file, "--bos", "--output", out});
  const json line = json::parse(read_file(out));
  EXPECT_EQ(line["file"], file);
  EXPECT_EQ(line["item"], 1);
  EXPECT_EQ(line["context"], "Question: a\nAnswer:");
  EXPECT_EQ(line["answer"], 0);
  ASSERT_EQ(line["choices"].size(), 2U);
  EXPECT_EQ(line["choices"][1]["text"], "caf\u00e9");
  EXPECT_EQ(line["choices"][1]["n_characters"], 4);
  EXPECT_EQ(line["choices"][1]["n_bytes"], 5);
  EXPECT_LT(line["choices"][1]["log_likelihood"].get<double>(), 0);
  const double first = line["choices"][0]["log_likelihood"];
  const double second = line["choices"][1]["log_likelihood"];
  EXPECT_EQ(line["likeliest"], second > first ? 1 : 0);
  EXPECT_EQ(line["likeliest_norm"], second / 4 > first ? 1 : 0);
}

TEST_F(EvalCommand, TheTasksOfTheProjectAreWellFormed) {
  for (const char* name : {"facts", "grammar"}) {
    const std::string file = source_path(std::string("tasks/") + name + ".jsonl");
    const json result = json::parse(output_of({"eval", file, "--json"}))["tasks"][0];
    EXPECT_GE(result["n_items"], 24) << name;
    EXPECT_EQ(result["n_cut"], 0) << name;
  }
}

TEST_F(EvalCommand, FaultsAreToldBeforeAnythingIsWritten) {
  const std::filesystem::path out = folder_.path() / "scores.jsonl";
  const std::string bad =
      folder_.write("bad.jsonl", "{\"context\": \"a\", \"choices\": [\"b\"], \"answer\": 0}").string();
  expect_failure(kFailed, bad + ", line 1: choices: expected at least two texts, got 1",
                 {"eval", bad, "--output", out});
  std::string text;
  for (int word = 0; word < 600; ++word) text += "the ";
  const std::string large =
      folder_.write("large.jsonl", json{{"context", "a"}, {"choices", {"b", text}}, {"answer", 0}}.dump())
          .string();
  expect_failure(kWrongUsage, large + ": [score_choices] item 1: choices[1]: expected at most 512 tokens",
                 {"eval", large, "--output", out});
  EXPECT_FALSE(std::filesystem::exists(out));
  expect_failure(kFailed, "no such file", {"eval", "/no/such/file"});
  expect_failure(kWrongUsage, "file is required", {"eval"});
  expect_failure(kFailed, "tokenizer", {"eval", plain("few.jsonl", 1), "--model", toy_model()});
  expect_failure(kFailed, "no such folder",
                 {"eval", plain("few.jsonl", 1), "--output", (folder_.path() / "no" / "scores").string()});
}

// The interrupt comes while the questions are still being read, so that none is answered yet.
TEST_F(EvalCommand, AnInterruptEndsIt) {
  const std::string items = plain("items.jsonl", 2000);
  const std::string fifo = (folder_.path() / "fifo").string();
  RunOptions options;
  options.wrapper = {"/bin/sh", "-c",
                     "mkfifo '" + fifo + "'; \"$0\" \"$@\" & p=$!; exec 3> '" + fifo +
                         "'; kill -INT $p; cat '" + items + "' >&3; exec 3>&-; wait $p"};
  const Finished finished = run_lille({"eval", fifo, "--output", folder_.path() / "scores"}, options);
  EXPECT_EQ(finished.exit_code, kFailed);
  EXPECT_NE(finished.err.find("canceled"), std::string::npos) << finished.err;
  const std::filesystem::directory_iterator files(folder_.path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 2) << "the temporary is gone";
}

}  // namespace
}  // namespace lille::test
