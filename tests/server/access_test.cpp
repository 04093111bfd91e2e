#include "server/access.h"

#include "support.h"

namespace lille {
namespace {

int status_for(const AccessRules& rules, std::map<std::string, std::string> headers, bool needs_key = true) {
  try {
    rules.check({.method = "GET", .path = "/", .headers = std::move(headers)}, needs_key);
    return 200;
  } catch (const RefusedRequest& error) {
    return error.status();
  }
}

TEST(Secrets, AreEqualOnlyIfAllOfThemIs) {
  EXPECT_TRUE(are_equal_secrets("", ""));
  EXPECT_TRUE(are_equal_secrets("abc", "abc"));
  for (const std::string_view other : {"", "ab", "abd", "bbc", "abcd", "Abc"})
    EXPECT_FALSE(are_equal_secrets("abc", other)) << other;
  EXPECT_FALSE(are_equal_secrets("abc", std::string_view("abc\0", 4)));
}

TEST(ApiKeys, AreLinesOfAFile) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(read_api_keys(folder.write("a", "# of a\n0123456789abcdef\r\n\nfedcba9876543210  \n")),
            (std::vector<std::string>{"0123456789abcdef", "fedcba9876543210"}));
  test::expect_error(ErrorCode::kInvalidArgument, "line 2: expected a key",
                     [&] { read_api_keys(folder.write("b", "#\nshort\n")); });
  test::expect_error(ErrorCode::kInvalidArgument, "line 1",
                     [&] { read_api_keys(folder.write("c", "0123456789 abcdef\n")); });
  test::expect_error(ErrorCode::kInvalidArgument, "got none",
                     [&] { read_api_keys(folder.write("d", "# x\n")); });
  test::expect_error(ErrorCode::kNotFound, "", [&] { read_api_keys(folder.path() / "none"); });
}

TEST(AccessRules, AnyOfTheKeysOpens) {
  const test::TemporaryFolder folder;
  ServerOptions options;
  options.api_key_file = folder.write("keys", "0123456789abcdef\nfedcba9876543210\n");
  const AccessRules rules(options);
  const auto with = [&](const std::string& authorization) {
    return status_for(rules, {{"host", "localhost"}, {"authorization", authorization}});
  };
  EXPECT_EQ(with("Bearer 0123456789abcdef"), 200);
  EXPECT_EQ(with("bearer fedcba9876543210"), 200);
  for (const std::string other :
       {"", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdeff",
        "Basic 0123456789abcdef", "0123456789abcdef", "Bearer 0123456789abcdef "})
    EXPECT_EQ(with(other), 401) << other;
  EXPECT_EQ(status_for(rules, {{"host", "localhost"}}), 401);
  EXPECT_EQ(status_for(rules, {{"host", "localhost"}}, false), 200);
}

TEST(AccessRules, OnLoopbackOnlyItsOwnNamesAreAnswered) {
  ServerOptions options;
  options.allowed_host = {"Box.Example"};
  const AccessRules rules(options);
  for (const std::string host :
       {"localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]", "[::1]:8080", "box.example:80"})
    EXPECT_EQ(status_for(rules, {{"host", host}}), 200) << host;
  for (const std::string host :
       {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "10.0.0.1"})
    EXPECT_EQ(status_for(rules, {{"host", host}}), 403) << host;
  EXPECT_EQ(status_for(rules, {}), 403);
}

TEST(AccessRules, PagesOfOtherOriginsAreRefused) {
  const AccessRules rules((ServerOptions()));
  const auto from = [&](const std::string& origin) {
    return status_for(rules, {{"host", "localhost:8080"}, {"origin", origin}});
  };
  EXPECT_EQ(from("http://localhost:8080"), 200);
  for (const std::string origin : {"http://localhost:3000", "https://evil.example", "null", ""})
    EXPECT_EQ(from(origin), 403) << origin;
}

TEST(AccessRules, AllowedOriginsAreToldTheyAre) {
  ServerOptions options;
  options.cors_origin = {"https://a.example"};
  const AccessRules rules(options);
  const auto headers_for = [&](const std::string& origin) {
    return rules.cors_headers({.method = "GET", .path = "/", .headers = {{"origin", origin}}});
  };
  EXPECT_EQ(status_for(rules, {{"host", "localhost"}, {"origin", "https://a.example"}}), 200);
  EXPECT_EQ(headers_for("https://a.example").size(), 3u);
  EXPECT_EQ(headers_for("https://b.example").size(), 1u);
  EXPECT_TRUE(AccessRules((ServerOptions())).cors_headers({.method = "GET", .path = "/"}).empty());
  const ApiRequest ask = {
      .method = "OPTIONS",
      .path = "/",
      .headers = {
          {"host", "localhost"}, {"origin", "https://b.example"}, {"access-control-request-method", "POST"}}};
  EXPECT_THROW(rules.preflight(ask), RefusedRequest);
  EXPECT_FALSE(rules.preflight({.method = "OPTIONS", .path = "/"}));
}

TEST(AccessRules, AnAddressThatOthersReachNeedsAKey) {
  ServerOptions options;
  options.host = "0.0.0.0";
  test::expect_error(ErrorCode::kInvalidArgument, "expected --api-key-file",
                     [&] { AccessRules rules(options); });
  options.without_api_key = true;
  const AccessRules rules(options);
  EXPECT_EQ(status_for(rules, {{"host", "any.example"}}), 200);
  options.cors_origin = {"a.example"};
  test::expect_error(ErrorCode::kInvalidArgument, "--cors-origin", [&] { AccessRules bad(options); });
  for (const std::string_view host : {"localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"})
    EXPECT_TRUE(is_loopback(host));
  for (const std::string_view host : {"0.0.0.0", "::", "192.0.2.1", "example.org"})
    EXPECT_FALSE(is_loopback(host));
}

}  // namespace
}  // namespace lille
