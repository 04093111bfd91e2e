#include "hub/client.h"

#include <gtest/gtest.h>

#include <chrono>

#include "hub/fake_hub.h"

namespace lille {
namespace {

using test::expect_error;
using test::FakeHub;
using test::kFirstCommit;
using test::kSecondCommit;
using test::Reply;
using test::repo_of;
using test::Request;
using test::TestServer;

const HubName kName{.owner = "owner", .name = "name"};

HubOptions options_for(const std::string& endpoint) {
  HubOptions options;
  options.endpoint = endpoint;
  options.first_wait_s = 0.01;
  options.n_attempts = 3;
  options.timeout_s = 120;  // of silence: a machine may have other things to do
  return options;
}

HubListing list(const HubOptions& options, const HubName& name = kName) {
  return HubClient(options, options.n_attempts).list(name);
}

HubFile look_up(const HubOptions& options, const std::string& file) {
  return HubClient(options, options.n_attempts).look_up(kName, kFirstCommit, file);
}

/// A hub whose listing is answered like this.
FakeHub hub_that_says(Reply reply) {
  return FakeHub(repo_of(), [reply](const Request&, const Reply&) { return reply; });
}

void expect_list_error(ErrorCode code, std::string_view part, const Reply& reply) {
  SCOPED_TRACE(part);
  const FakeHub hub(repo_of(), [&](const Request&, const Reply&) { return reply; });
  expect_error(code, part, [&] { list(options_for(hub.endpoint())); });
}

TEST(HubClient, ListsACommitAndItsFiles) {
  const FakeHub hub;
  const HubListing listing = list(options_for(hub.endpoint()));
  EXPECT_EQ(listing.commit, kFirstCommit);
  EXPECT_EQ(listing.files, (std::vector<std::string>{"README.md", "config.json", "merges.txt",
                                                     "model.safetensors", "vocab.json"}));
  EXPECT_EQ(hub.server().requests().at(0).target, "/api/models/owner/name/revision/main");
}

TEST(HubClient, APinnedCommitIsTheOneThatIsAnswered) {
  const auto pinned = [](const char* commit) {
    return HubName{.owner = "owner", .name = "name", .revision = commit};
  };
  const FakeHub honest;
  EXPECT_EQ(list(options_for(honest.endpoint()), pinned(kFirstCommit)).commit, kFirstCommit);
  const FakeHub hub(repo_of(), [](const Request&, const Reply&) {
    return Reply{.body = std::string("{\"siblings\": [], \"sha\": \"") + kSecondCommit + "\"}"};
  });
  EXPECT_EQ(list(options_for(hub.endpoint())).commit, kSecondCommit);
  expect_error(ErrorCode::kCorruptFile,
               std::string("expected the commit that was asked for, got ") + kSecondCommit,
               [&] { list(options_for(hub.endpoint()), pinned(kFirstCommit)); });
}

TEST(HubClient, EscapesARevision) {
  const FakeHub hub;
  expect_error(
      ErrorCode::kNotFound, "owner/name@refs/pr/1: " + hub.endpoint() + " has no such revision", [&] {
        list(options_for(hub.endpoint()), {.owner = "owner", .name = "name", .revision = "refs/pr/1"});
      });
  EXPECT_EQ(hub.server().requests().at(0).target, "/api/models/owner/name/revision/refs%2Fpr%2F1");
}

TEST(HubClient, KnowsAnEndpointWithAPath) {
  const FakeHub hub(repo_of(), {}, "/mirror/hf");
  EXPECT_EQ(list(options_for(hub.endpoint())).commit, kFirstCommit);
  EXPECT_EQ(list(options_for(hub.endpoint() + "//")).commit, kFirstCommit);
  EXPECT_EQ(look_up(options_for(hub.endpoint()), "config.json").n_bytes, 28);
}

TEST(HubClient, LooksUpLargeAndSmallFiles) {
  const FakeHub hub;
  const HubFile large = look_up(options_for(hub.endpoint()), "model.safetensors");
  EXPECT_EQ(large.n_bytes, 300'003);
  EXPECT_EQ(large.etag, FakeHub::etag_of("model.safetensors", repo_of().files.at("model.safetensors")));
  EXPECT_EQ(large.etag.size(), 64u);
  const HubFile small = look_up(options_for(hub.endpoint()), "vocab.json");
  EXPECT_EQ(small.n_bytes, 2);
  EXPECT_EQ(small.etag, FakeHub::etag_of("vocab.json", "{}"));
}

TEST(HubClient, AWeakEtagIsTakenWithoutItsMark) {
  const FakeHub hub(repo_of(), [](const Request&, const Reply&) {
    return Reply{.headers = {{"ETag", "W/\"abc\""}}, .body = "12345"};
  });
  const HubFile file = look_up(options_for(hub.endpoint()), "vocab.json");
  EXPECT_EQ(file.etag, "abc");
  EXPECT_EQ(file.n_bytes, 5);
}

TEST(HubClient, FollowsARedirectionWithinTheHubAndKeepsWhatTheFirstAnswerSaid) {
  const FakeHub hub(repo_of(), [](const Request& request, const Reply& usual) -> std::optional<Reply> {
    if (request.target.find("/resolve/") == std::string::npos) return std::nullopt;
    if (request.method == "HEAD" && request.target.find("moved") == std::string::npos)
      return Reply{.status = 307,
                   .headers = {{"Location", "/moved/x"},
                               {"X-Repo-Commit", kFirstCommit},
                               {"X-Linked-Etag", "\"etag\""},
                               {"X-Linked-Size", "77"}}};
    return usual;
  });
  HubOptions options = options_for(hub.endpoint());
  options.token = "hf_secret";
  expect_error(ErrorCode::kNotFound, "no such file", [&] { look_up(options, "vocab.json"); });
  EXPECT_EQ(hub.server().requests().at(1).target, "/moved/x");
  EXPECT_EQ(hub.server().requests().at(1).header("authorization"), "Bearer hf_secret");
}

TEST(HubClient, LooksUpWithoutFollowingToAnotherHost) {
  const TestServer other([](const Request&) { return Reply{}; }, "127.0.0.2");
  const FakeHub hub(repo_of(), [&](const Request&, const Reply&) {
    return Reply{.status = 302,
                 .headers = {{"Location", other.url() + "/signed"},
                             {"X-Linked-Etag", "\"etag\""},
                             {"X-Linked-Size", "77"}},
                 .body = "moved"};
  });
  const HubFile file = look_up(options_for(hub.endpoint()), "model.safetensors");
  EXPECT_EQ(file.etag, "etag");
  EXPECT_EQ(file.n_bytes, 77);
  EXPECT_EQ(other.requests().size(), 0u);
}

/// The tokens that the servers of a chain of redirections got: hub, `stations`, each once.
std::vector<std::string> tokens_along(const std::vector<std::string>& stations, const FakeHub& hub,
                                      const std::vector<const TestServer*>& others) {
  HubOptions options = options_for(hub.endpoint());
  options.token = "hf_secret";
  HubClient client(options, 1);
  client.get(kName, kFirstCommit, "vocab.json", 0, [](const HttpResponse&, std::span<const std::byte>) {});
  std::vector<std::string> tokens;
  for (const Request& request : hub.server().requests()) tokens.push_back(request.header("authorization"));
  for (const TestServer* other : others)
    for (const Request& request : other->requests()) tokens.push_back(request.header("authorization"));
  EXPECT_EQ(tokens.size(), stations.size() + 1);
  return tokens;
}

FakeHub::Misbehave leads_to(std::function<std::string()> url) {
  return [url](const Request& request, const Reply& usual) -> std::optional<Reply> {
    if (request.target.find("/resolve/") == std::string::npos) return usual;
    return Reply{.status = 302, .headers = {{"Location", url()}}};
  };
}

TEST(Token, StaysWithinTheHub) {
  const FakeHub hub(repo_of(), leads_to([] { return std::string("/elsewhere"); }));
  EXPECT_EQ(tokens_along({"same"}, hub, {}),
            (std::vector<std::string>{"Bearer hf_secret", "Bearer hf_secret"}));
}

TEST(Token, DoesNotReachAnotherHost) {
  const TestServer other([](const Request&) { return Reply{.body = "x"}; }, "127.0.0.2");
  const FakeHub hub(repo_of(), leads_to([&] { return other.url() + "/x"; }));
  EXPECT_EQ(tokens_along({"other"}, hub, {&other}), (std::vector<std::string>{"Bearer hf_secret", ""}));
}

TEST(Token, DoesNotReachAnotherNameOfTheHost) {
  const TestServer other([](const Request&) { return Reply{.body = "x"}; });
  const FakeHub hub(repo_of(), leads_to([&] { return other.url("localhost") + "/x"; }));
  EXPECT_EQ(tokens_along({"other"}, hub, {&other}), (std::vector<std::string>{"Bearer hf_secret", ""}));
}

TEST(Token, DoesNotReachAnotherPort) {
  const TestServer other([](const Request&) { return Reply{.body = "x"}; });
  const FakeHub hub(repo_of(), leads_to([&] { return other.url() + "/x"; }));
  EXPECT_EQ(tokens_along({"other"}, hub, {&other}), (std::vector<std::string>{"Bearer hf_secret", ""}));
}

TEST(Token, IsNotSentAgainWhereAnotherHostLeadsBack) {
  std::string back;
  const TestServer other(
      [&](const Request&) {
        return Reply{.status = 302, .headers = {{"Location", back}}};
      },
      "127.0.0.2");
  const FakeHub hub(repo_of(), leads_to([&] { return other.url() + "/x"; }));
  back = hub.endpoint() + "/back";
  EXPECT_EQ(tokens_along({"other", "back"}, hub, {&other}),
            (std::vector<std::string>{"Bearer hf_secret", "", ""}));
}

TEST(HubClient, EndsALoopOfRedirections) {
  const FakeHub hub(repo_of(), [](const Request& request, const Reply&) {
    return Reply{.status = 302, .headers = {{"Location", request.target}}};
  });
  expect_error(ErrorCode::kIo, "at most 10 redirections", [&] { list(options_for(hub.endpoint())); });
  EXPECT_EQ(hub.server().requests().size(), 11u);
}

TEST(HubClient, RefusesARedirectionToAFile) {
  expect_list_error(ErrorCode::kIo, "file", {.status = 302, .headers = {{"Location", "file:///etc/passwd"}}});
}

TEST(HubClient, SaysWhatToDoWhenAccessIsRefused) {
  expect_list_error(ErrorCode::kNotFound, "shows no such model (401)", {.status = 401});
  expect_list_error(ErrorCode::kNotFound, "set HF_TOKEN to a token", {.status = 401});
  expect_list_error(ErrorCode::kIo, "ask for access at http://127.0.0.1:", {.status = 403});
  expect_list_error(
      ErrorCode::kIo, "(Access to it is \\x1brestricted)",
      {.status = 401,
       .headers = {{"X-Error-Code", "GatedRepo"}, {"X-Error-Message", "Access to it is \x1brestricted"}}});
}

TEST(HubClient, NeverShowsTheToken) {
  const FakeHub hub = hub_that_says({.status = 401});
  HubOptions options = options_for(hub.endpoint());
  options.token = "hf_secret";
  try {
    list(options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string_view(error.what()).find("hf_secret"), std::string_view::npos);
    EXPECT_NE(std::string_view(error.what()).find("the token that was sent"), std::string_view::npos);
  }
}

TEST(HubClient, SaysWhatIsMissing) {
  expect_list_error(ErrorCode::kNotFound, "has no such model or revision", {.status = 404});
  const FakeHub hub;
  expect_error(ErrorCode::kNotFound, "owner/name: tokenizer.json: " + hub.endpoint() + " has no such file",
               [&] { look_up(options_for(hub.endpoint()), "tokenizer.json"); });
}

TEST(HubClient, TriesAgainWhatMayPass) {
  for (const int status : {500, 502, 503, 504, 429, 408}) {
    std::atomic<int> n_requests = 0;
    const FakeHub hub(repo_of(), [&](const Request&, const Reply&) -> std::optional<Reply> {
      if (++n_requests < 3) return Reply{.status = status};
      return std::nullopt;
    });
    EXPECT_EQ(list(options_for(hub.endpoint())).commit, kFirstCommit) << status;
    EXPECT_EQ(n_requests, 3);
  }
}

TEST(HubClient, GivesUpAfterSomeAttempts) {
  const FakeHub hub = hub_that_says({.status = 503});
  expect_error(ErrorCode::kIo, "got the status 503", [&] { list(options_for(hub.endpoint())); });
  EXPECT_EQ(hub.server().requests().size(), 3u);
}

TEST(HubClient, TriesARefusalOnce) {
  for (const int status : {400, 401, 403, 404, 501}) {
    const FakeHub hub = hub_that_says({.status = status});
    EXPECT_THROW(list(options_for(hub.endpoint())), Error);
    EXPECT_EQ(hub.server().requests().size(), 1u) << status;
  }
}

TEST(HubClient, WaitsAsLongAsTheHubAsks) {
  std::atomic<int> n_requests = 0;
  const FakeHub hub(repo_of(), [&](const Request&, const Reply&) -> std::optional<Reply> {
    if (++n_requests == 1) return Reply{.status = 429, .headers = {{"Retry-After", "2"}}};
    return std::nullopt;
  });
  std::string notes;
  HubOptions options = options_for(hub.endpoint());
  options.on_note = [&notes](std::string_view message) { notes += message; };
  const auto start = std::chrono::steady_clock::now();
  list(options);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_NE(notes.find("status 429; trying again in 2 s"), std::string::npos) << notes;
}

TEST(HubClient, DoesNotWaitForHours) {
  const FakeHub hub = hub_that_says({.status = 429, .headers = {{"Retry-After", "3600"}}});
  expect_error(ErrorCode::kIo, "try again in 3600 s", [&] { list(options_for(hub.endpoint())); });
  EXPECT_EQ(hub.server().requests().size(), 1u);
}

TEST(HubClient, AWaitThatTheHubAsksForIsToldAsItSays) {
  for (const auto& [seconds, expected] :
       {std::pair("7", "try again in 7 s"), std::pair("0", "again later")}) {
    const FakeHub hub = hub_that_says({.status = 429, .headers = {{"Retry-After", seconds}}});
    HubOptions options = options_for(hub.endpoint());
    options.n_attempts = 1;
    expect_error(ErrorCode::kIo, expected, [&] { list(options); });
  }
}

TEST(HubClient, AWaitIsCanceled) {
  const FakeHub hub = hub_that_says({.status = 503});
  std::stop_source source;
  HubOptions options = options_for(hub.endpoint());
  options.first_wait_s = 50;
  options.cancel = source.get_token();
  options.on_note = [&source](std::string_view) { source.request_stop(); };
  expect_error(ErrorCode::kCanceled, "canceled", [&] { list(options); });
}

TEST(HubClient, SaysThatTheHubCannotBeReached) {
  expect_error(ErrorCode::kIo, "HF_HUB_OFFLINE=1", [] { list(options_for("http://127.0.0.1:1")); });
}

TEST(HubClient, RefusesAnswersThatMakeNoSense) {
  const std::string sha = std::string(R"("sha": ")") + kFirstCommit + "\"";
  for (const std::string& body :
       {std::string("<html>log in</html>"), std::string("[]"), std::string("{}"), "{" + sha + "}",
        std::string(R"({"sha": "main", "siblings": []})"), "{" + sha + R"(, "siblings": {}})",
        "{" + sha + R"(, "siblings": [1]})", "{" + sha + R"(, "siblings": [{"rfilename": 1}]})",
        "{" + sha + R"(, "siblings": [{"rfilename": "../../x"}]})",
        "{" + sha + R"(, "siblings": [{"rfilename": "/etc/x"}]})",
        "{" + sha + R"(, "siblings": [{"rfilename": "a\\b"}]})",
        "{" + sha + R"(, "siblings": [{"rfilename": "a\u0000b"}]})"})
    expect_list_error(ErrorCode::kCorruptFile, "expected", {.body = body});
}

TEST(HubClient, RefusesAnEndlessListing) {
  expect_list_error(ErrorCode::kCorruptFile, "at most 16777216 bytes", {.body = std::string(17 << 20, ' ')});
}

TEST(HubClient, RefusesUnusableAnnouncements) {
  const auto expect_refused = [](std::vector<std::pair<std::string, std::string>> headers) {
    const FakeHub hub(repo_of(), [&](const Request&, const Reply&) { return Reply{.headers = headers}; });
    expect_error(ErrorCode::kCorruptFile, "expected",
                 [&] { look_up(options_for(hub.endpoint()), "config.json"); });
  };
  expect_refused({});
  expect_refused({{"ETag", "\"../../x\""}});
  expect_refused({{"ETag", "\"\""}});
  expect_refused({{"ETag", "\".hidden\""}});
  expect_refused({{"ETag", "\"a.incomplete\""}});
  expect_refused({{"ETag", "\"a b\""}});
  expect_refused({{"ETag", "\"" + std::string(300, 'a') + "\""}});
  expect_refused({{"ETag", "\"a\""}, {"X-Linked-Size", "-1"}});
  expect_refused({{"ETag", "\"a\""}, {"X-Linked-Size", "99999999999999999999"}});
  expect_refused({{"ETag", "\"a\""}, {"X-Linked-Size", "9000000000000000"}});
  expect_refused({{"ETag", "\"a\""}, {"X-Linked-Size", "12x"}});
  expect_refused({{"ETag", "\"a\""}, {"X-Repo-Commit", kSecondCommit}});
}

TEST(HubClient, RefusesAnEndpointThatIsNone) {
  for (const char* endpoint :
       {"", "huggingface.co", "ftp://x", "https://user:word@x", "http://x?y", "http://x#y"})
    expect_error(ErrorCode::kInvalidArgument, "HF_ENDPOINT", [&] { list(options_for(endpoint)); });
}

TEST(HubClient, RefusesATokenThatWouldBeAnotherHeader) {
  HubOptions options = options_for("http://127.0.0.1:1");
  for (const char* token : {"a b", "a\r\nX-Other: b", "a\n", "\xc3\xa4"}) {
    options.token = token;
    expect_error(ErrorCode::kInvalidArgument, "HF_TOKEN", [&] { list(options); });
  }
}

}  // namespace
}  // namespace lille
