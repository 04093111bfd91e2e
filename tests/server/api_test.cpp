#include "server/api.h"

#include "server/api_client.h"

namespace lille {
namespace {

using nlohmann::json;

class ApiTest : public test::ApiClient {};

TEST_F(ApiTest, ModelsAreListedAndFoundById) {
  const json list = json::parse(get("/v1/models").body);
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 1u);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_EQ(list["data"][0]["object"], "model");
  EXPECT_EQ(list["data"][0]["max_model_len"], 512);
  EXPECT_EQ(json::parse(get("/v1/models/tiny").body), list["data"][0]);
  const ApiReply other = get("/v1/models/gpt");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(json::parse(other.body)["error"]["code"], "model_not_found");
}

TEST_F(ApiTest, OtherPathsAndMethodsAreRefused) {
  EXPECT_EQ(get("/v2").status, 404);
  EXPECT_EQ(get("/v1").status, 404);
  const ApiReply wrong = get("/v1/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(header(wrong, "Allow"), "GET, POST");
  EXPECT_EQ(post("/health", "").status, 405);
  EXPECT_EQ(send({.method = "HEAD", .path = "/health"}).status, 200);
  EXPECT_EQ(send({.method = "DELETE", .path = "/v1/models/tiny"}).status, 405);
}

TEST_F(ApiTest, HealthIsGoodUntilTheServerIsAboutToEnd) {
  const ApiReply good = get("/health");
  EXPECT_EQ(good.status, 200);
  EXPECT_EQ(json::parse(good.body)["status"], "ok");
  api_->drain();
  const ApiReply draining = get("/health");
  EXPECT_EQ(draining.status, 503);
  EXPECT_EQ(json::parse(draining.body)["status"], "draining");
  EXPECT_EQ(header(draining, "Retry-After"), "");
  const ApiReply refused = get("/v1/models");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(header(refused, "Retry-After"), "1");
}

TEST_F(ApiTest, HealthTellsThatAPassDoesNotEnd) {
  start({.stuck_after = 1});
  test::Gate gate(0);
  const auto answers = test::block(*scheduler_, gate, {ids("Once"), sampled(1, 2)});
  json health;
  // The thread stands still until the gate opens; after a second that is what /health says.
  while (true) {
    const ApiReply reply = get("/health");
    health = json::parse(reply.body);
    if (reply.status != 200) break;
    std::this_thread::yield();
  }
  EXPECT_EQ(health["status"], "stuck");
  EXPECT_GT(health["step_seconds"], 1);
  gate.open();
  test::collect(*answers, 1);
}

TEST_F(ApiTest, MetricsCountWhatWasDone) {
  answer("/v1/completions", {{"prompt", "A glacier is made of ice that moves"}, {"max_tokens", 3}});
  answer("/v1/completions", {{"prompt", "A glacier is made of ice that moves"}, {"max_tokens", 3}});
  post("/v1/completions", "{}");
  const std::string text = get("/metrics").body;
  for (const std::string line :
       {"lille_requests_total{path=\"/v1/completions\",status=\"200\"} 2\n",
        "lille_requests_total{path=\"/v1/completions\",status=\"400\"} 1\n", "lille_prefix_lookups_total 2\n",
        "lille_prefix_hits_total 1\n", "lille_completion_tokens_total 6\n",
        "lille_generated_tokens_total 6\n", "lille_queue_length 0\n", "lille_first_token_seconds_count 2\n",
        "lille_request_seconds_bucket{le=\"+Inf\"} 3\n", "# TYPE lille_request_seconds histogram\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST_F(ApiTest, ARequestIsLoggedWithoutItsText) {
  ApiRequest request = {.method = "POST", .path = "/v1/completions", .client = "192.0.2.7"};
  request.headers["x-request-id"] = "mine-1";
  request.body = R"({"prompt": "Secretly, the river", "max_tokens": 2})";
  const ApiReply reply = send(request);
  EXPECT_EQ(header(reply, "X-Request-Id"), "mine-1");
  ASSERT_EQ(log().size(), 1u);
  const json line = json::parse(log().front());
  EXPECT_EQ(line["request_id"], "mine-1");
  EXPECT_EQ(line["client"], "192.0.2.7");
  EXPECT_EQ(line["path"], "/v1/completions");
  EXPECT_EQ(line["status"], 200);
  EXPECT_EQ(line["outcome"], "finished");
  EXPECT_EQ(line["completion_tokens"], 2);
  EXPECT_GT(line["first_token_ms"], 0);
  // Three digits behind the point at most.
  for (const char* name : {"ms", "first_token_ms"}) {
    const std::string text = line[name].dump();
    EXPECT_LE(text.size() - std::min(text.size(), text.find('.')), 4u) << text;
  }
  EXPECT_EQ(log().front().find("river"), std::string::npos);

  // An id that could break a line of the log is replaced.
  request.headers["x-request-id"] = "a\nb";
  EXPECT_EQ(header(send(request), "X-Request-Id").size(), 16u);
}

TEST_F(ApiTest, TheLogIsOfTheApiUnlessMoreOrNothingIsAskedFor) {
  const auto n_lines = [this](const std::string& access_log) {
    log_.clear();
    start({.access_log = access_log});
    for (const char* path : {"/", "/web/app.js", "/web/style.css", "/health", "/metrics"})
      EXPECT_EQ(get(path).status, 200) << path;
    // These have a line unless there is none at all.
    EXPECT_EQ(get("/v1/models").status, 200);
    EXPECT_EQ(post("/v1/tokenize", R"({"prompt": "x"})").status, 200);
    EXPECT_EQ(post("/health", "{}").status, 405);
    EXPECT_EQ(get("/web/nothing.js").status, 404);
    return log().size();
  };
  EXPECT_EQ(n_lines("api"), 4u);
  EXPECT_EQ(n_lines("all"), 9u);
  EXPECT_EQ(n_lines("off"), 0u);
}

TEST_F(ApiTest, AKeyIsAskedForEverywhereButAtHealth) {
  const test::TemporaryFolder folder;
  start({.api_key_file = folder.write("keys", "0123456789abcdef\n")});
  EXPECT_EQ(get("/health").status, 200);
  for (const std::string path : {"/v1/models", "/metrics", "/nothing"}) {
    const ApiReply refused = get(path);
    EXPECT_EQ(refused.status, 401) << path;
    EXPECT_EQ(header(refused, "WWW-Authenticate"), "Bearer");
    EXPECT_EQ(json::parse(refused.body)["error"]["code"], "invalid_api_key");
  }
  EXPECT_EQ(
      send({.method = "GET", .path = "/v1/models", .headers = {{"authorization", "Bearer 0123456789abcdef"}}})
          .status,
      200);
}

TEST_F(ApiTest, AllowedOriginsGetHeadersOnErrorsAndStreamsToo) {
  start({.cors_origin = {"https://a.example"}});
  const std::map<std::string, std::string> page = {{"origin", "https://a.example"}};
  for (ApiRequest request : {ApiRequest{.method = "GET", .path = "/v1/models", .headers = page},
                             ApiRequest{.method = "GET", .path = "/nothing", .headers = page},
                             ApiRequest{.method = "POST",
                             .path = "/v1/completions",
                             .headers = page,
                             .body = R"({"prompt": "x", "max_tokens": 1, "stream": true})"}})
    EXPECT_EQ(header(send(request), "Access-Control-Allow-Origin"), "https://a.example") << request.path;
  const ApiReply other =
      send({.method = "GET", .path = "/v1/models", .headers = {{"origin", "https://b.example"}}});
  EXPECT_EQ(other.status, 403);
  EXPECT_EQ(header(other, "Access-Control-Allow-Origin"), "");
}

TEST_F(ApiTest, ABrowserAsksWithoutAKey) {
  const test::TemporaryFolder folder;
  start({.api_key_file = folder.write("keys", "0123456789abcdef\n"), .cors_origin = {"*"}});
  const ApiReply reply =
      send({.method = "OPTIONS",
            .path = "/v1/chat/completions",
            .headers = {{"origin", "https://a.example"},
                        {"access-control-request-method", "POST"},
                        {"access-control-request-headers", "authorization, content-type"}}});
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(header(reply, "Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_EQ(header(reply, "Access-Control-Allow-Headers"), "authorization, content-type");
  EXPECT_EQ(header(reply, "Access-Control-Allow-Methods"), "GET, POST, OPTIONS");
}

TEST_F(ApiTest, RefuseHeadSaysWhatHandleWouldSay) {
  start();
  ApiRequest good = {.method = "POST", .path = "/v1/completions", .headers = {{"host", "localhost"}}};
  EXPECT_FALSE(api_->refuse_head(good));
  ApiRequest evil = {.method = "POST", .path = "/v1/completions", .headers = {{"host", "evil.example"}}};
  const std::optional<ApiReply> refused = api_->refuse_head(evil);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 403);
}

TEST_F(ApiTest, OptionsOutOfRangeAreRefused) {
  test::expect_error(ErrorCode::kInvalidArgument, "--max-queue", [&] { start({.max_queue = 0}); });
  test::expect_error(ErrorCode::kInvalidArgument, "--system-messages",
                     [&] { start({.system_messages = "x"}); });
}

}  // namespace
}  // namespace lille
