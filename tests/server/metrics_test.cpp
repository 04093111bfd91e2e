#include "server/metrics.h"

#include <gtest/gtest.h>

namespace lille {
namespace {

TEST(Metrics, ARecordCountsWhenItsLastOwnerLetsGo) {
  std::vector<std::string> log;
  Metrics metrics([&log](std::string_view line) { log.emplace_back(line); });
  auto record = metrics.open({.id = "a",
                              .client = "b\n",
                              .method = "GET",
                              .route = "/health",
                              .is_routine = false,
                              .status = 200,
                              .usage = {},
                              .first_token_s = 0.05});
  auto second = record;
  EXPECT_EQ(metrics.n_open(), 1);
  record.reset();
  EXPECT_TRUE(log.empty());
  second->usage = {7, 5, 3};
  second.reset();
  EXPECT_EQ(metrics.n_open(), 0);
  ASSERT_EQ(log.size(), 1u);
  const auto line = nlohmann::json::parse(log[0]);
  EXPECT_EQ(line["request_id"], "a");
  EXPECT_EQ(line["client"], "b\\x0a");
  EXPECT_EQ(line["cached_tokens"], 3);
  EXPECT_EQ(line["time"].get<std::string>().size(), std::string_view("2026-11-26T04:00:00.123Z").size());

  const std::string text = metrics.text({});
  for (const std::string part :
       {"lille_requests_total{path=\"/health\",status=\"200\"} 1\n", "lille_prompt_tokens_total 7\n",
        "lille_cached_prompt_tokens_total 3\n", "lille_first_token_seconds_bucket{le=\"0.025\"} 0\n",
        "lille_first_token_seconds_bucket{le=\"0.05\"} 1\n",
        "lille_first_token_seconds_bucket{le=\"+Inf\"} 1\n", "lille_first_token_seconds_sum 0.05\n",
        "lille_first_token_seconds_count 1\n", "lille_requests_open 0\n"})
    EXPECT_NE(text.find(part), std::string::npos) << part << text;
}

TEST(Metrics, WhatIsRoutineIsCountedAndLoggedIfItFails) {
  std::vector<int> log;
  Metrics metrics([&log](std::string_view line) { log.push_back(nlohmann::json::parse(line)["status"]); });
  for (const int status : {200, 304, 404, 503, 0})
    metrics.open({.id = "a",
                  .client = "b",
                  .method = "GET",
                  .route = "/health",
                  .is_routine = true,
                  .status = status,
                  .usage = {},
                  .first_token_s = {}});
  EXPECT_EQ(log, (std::vector<int>{404, 503, 0}));
  EXPECT_NE(metrics.text({}).find("lille_requests_total{path=\"/health\",status=\"304\"} 1\n"),
            std::string::npos);
}

TEST(Metrics, WhatTheSchedulerSaysIsTold) {
  Metrics metrics({});
  SchedulerStats stats;
  stats.n_waiting = 3;
  stats.prefix.n_bytes = 1000;
  const std::string text = metrics.text(stats);
  EXPECT_NE(text.find("# TYPE lille_queue_length gauge\nlille_queue_length 3\n"), std::string::npos) << text;
  EXPECT_NE(text.find("lille_prefix_bytes 1000\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace lille
