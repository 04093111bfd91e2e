#include "cli/program.h"

namespace lille::test {
namespace {

std::string report_of_one_run() { return output_of({"bench", "--runs", "1", "--threads", "1", "--json"}); }

TEST(Bench, JsonNamesEveryFigureWithItsUnit) {
  const auto report = nlohmann::json::parse(report_of_one_run());
  EXPECT_TRUE(report["program"].get<std::string>().starts_with("lille "));
  ASSERT_EQ(report["results"].size(), 5U);
  for (const auto& result : report["results"]) {
    EXPECT_EQ(result["threads"], 1);
    EXPECT_EQ(result["runs"], 1);
    EXPECT_GT(result["median"], 0);
    EXPECT_EQ(result.contains("bytes_per_token"), result["work"].get<std::string>().starts_with("decode"));
  }
}

// Against a run that was four times as fast, and one that took four times as long to start.
TEST(Bench, ComparesWithAnEarlierRun) {
  const TemporaryFolder folder;
  nlohmann::json old = {{"program", "another 1.0"}, {"results", nlohmann::json::array()}};
  old["results"].push_back({{"work", "decode 1"}, {"threads", 1}, {"unit", "tokens/s"}, {"median", 1e-3}});
  old["results"].push_back({{"work", "start"}, {"threads", 1}, {"unit", "s"}, {"median", 1e6}});
  old["results"].push_back({{"work", "decode 8"}, {"threads", 7}, {"unit", "tokens/s"}, {"median", 1}});
  const std::string text = output_of(
      {"bench", "--runs", "1", "--threads", "1", "--compare", folder.write("old.json", old.dump())});
  EXPECT_NE(text.find("another 1.0"), std::string::npos) << text;
  EXPECT_NE(text.find(" x 0.0010"), std::string::npos) << text;
  EXPECT_NE(text.find(" x 1000000"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), 'x') -
                std::count(text.begin(), text.begin() + text.find('\n'), 'x'),
            2)
      << text;
}

TEST(Bench, BadInputIsNamed) {
  const TemporaryFolder folder;
  expect_failure(1, "--compare", {"bench", "--compare", folder.write("bad.json", "{\"results\": 1}")});
  expect_failure(1, "absent.json", {"bench", "--compare", (folder.path() / "absent.json").string()});
  expect_failure(2, "runs", {"bench", "--runs", "0"});
}

}  // namespace
}  // namespace lille::test
