#include "hub/http.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "hub/test_server.h"
#include "support.h"

namespace lille {
namespace {

using test::Reply;
using test::Request;
using test::TestServer;

HttpResponse get(const std::string& url, std::string& body, HttpOptions options = {}) {
  HttpConnection connection(std::move(options));
  return connection.perform({.url = url}, [&body](const HttpResponse&, std::span<const std::byte> bytes) {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
}

TEST(HttpConnection, GivesStatusHeadersAndBody) {
  const TestServer server([](const Request&) {
    return Reply{.headers = {{"X-Some", "  a value "}}, .body = "text"};
  });
  std::string body;
  const HttpResponse response = get(server.url() + "/path?query", body, {.user_agent = "lille/test"});
  EXPECT_TRUE(response.is_success());
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("x-some"), "a value");
  EXPECT_EQ(response.header("x-other"), "");
  EXPECT_EQ(body, "text");
  const Request request = server.requests().at(0);
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/path?query");
  EXPECT_EQ(request.header("user-agent"), "lille/test");
  EXPECT_EQ(request.header("accept-encoding"), "identity");
  EXPECT_EQ(request.header("authorization"), "");
  EXPECT_EQ(request.header("range"), "");
}

TEST(HttpConnection, SendsWhatARequestSays) {
  const TestServer server([](const Request&) { return Reply{.body = "text"}; });
  HttpConnection connection({});
  const auto ignore = [](const HttpResponse&, std::span<const std::byte>) {};
  connection.perform({.url = server.url(), .is_head = true, .token = "hf_x"}, ignore);
  connection.perform({.url = server.url(), .first_byte = 100}, ignore);
  connection.perform({.url = server.url()}, ignore);
  const std::vector<Request> requests = server.requests();
  EXPECT_EQ(requests.at(0).method, "HEAD");
  EXPECT_EQ(requests.at(0).header("authorization"), "Bearer hf_x");
  EXPECT_EQ(requests.at(1).header("range"), "bytes=100-");
  EXPECT_EQ(requests.at(1).header("authorization"), "");
  EXPECT_EQ(requests.at(2).method, "GET");
  EXPECT_EQ(requests.at(2).header("range"), "");
}

TEST(HttpConnection, FollowsNoRedirection) {
  const TestServer server([](const Request&) {
    return Reply{.status = 302, .headers = {{"Location", "/next"}}};
  });
  std::string body;
  const HttpResponse response = get(server.url(), body);
  EXPECT_EQ(response.status, 302);
  EXPECT_FALSE(response.is_success());
  EXPECT_EQ(response.redirect_url, server.url() + "/next");
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(HttpConnection, ReadsNoEndlessRefusal) {
  const TestServer server([](const Request& request) {
    // Who waits for all of it finds silence.
    return Reply{.status = request.target == "/moved" ? 302 : 404,
                 .headers = {{"Location", "/next"}},
                 .body = std::string(5'000'000, 'x'),
                 .cut_after = 1'000'000,
                 .stays_open = true};
  });
  for (const auto& [target, status] : {std::pair("/", 404), std::pair("/moved", 302)}) {
    std::string body;
    const HttpResponse response = get(server.url() + target, body);
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.fault, "");
    EXPECT_EQ(body, "");
  }
}

TEST(HttpConnection, KeepsTheBodyOfARefusalApart) {
  const TestServer server([](const Request&) {
    return Reply{.status = 503, .headers = {{"Retry-After", "7"}}, .body = std::string(100'000, 'x')};
  });
  std::string body;
  const HttpResponse response = get(server.url(), body);
  EXPECT_EQ(response.status, 503);
  EXPECT_TRUE(response.may_pass);
  EXPECT_EQ(response.retry_after_s, 7);
  EXPECT_EQ(body, "");
  EXPECT_EQ(response.fault, "");
}

TEST(HttpConnection, TellsFaults) {
  std::string body;
  const TestServer cutting(
      [](const Request&) { return Reply{.body = std::string(1000, 'x'), .cut_after = 100}; });
  const HttpResponse cut = get(cutting.url(), body);
  EXPECT_NE(cut.fault, "");
  EXPECT_FALSE(cut.is_success());
  EXPECT_TRUE(cut.may_pass);
  EXPECT_EQ(body.size(), 100u);
  const HttpResponse refused = get("http://127.0.0.1:1", body);
  EXPECT_NE(refused.fault, "");
  EXPECT_EQ(refused.status, 0);
  EXPECT_TRUE(refused.may_pass);
  for (const char* url : {"file:///etc/hostname", "ftp://127.0.0.1/x", "no url at all"}) {
    const HttpResponse wrong = get(url, body);
    EXPECT_NE(wrong.fault, "") << url;
    EXPECT_FALSE(wrong.may_pass) << url;
  }
}

TEST(HttpConnection, GivesUpOnSilence) {
  const TestServer server(
      [](const Request&) { return Reply{.body = std::string(10, 'x'), .cut_after = 1, .stays_open = true}; });
  std::string body;
  const HttpResponse response = get(server.url(), body, {.timeout_s = 1});
  EXPECT_NE(response.fault, "");
  EXPECT_TRUE(response.may_pass);
}

TEST(HttpConnection, IsCanceled) {
  const TestServer server([](const Request&) {
    return Reply{.body = std::string(1000, 'x'), .cut_after = 1, .stays_open = true};
  });
  std::stop_source source;
  std::string body;
  HttpConnection connection({.cancel = source.get_token()});
  test::expect_error(ErrorCode::kCanceled, "canceled", [&] {
    connection.perform({.url = server.url()},
                       [&](const HttpResponse&, std::span<const std::byte>) { source.request_stop(); });
  });
}

TEST(HttpConnection, PassesOnWhatTheSinkThrows) {
  const TestServer server([](const Request&) { return Reply{.body = "text"}; });
  HttpConnection connection({});
  test::expect_error(ErrorCode::kIo, "full", [&] {
    connection.perform({.url = server.url()}, [](const HttpResponse&, std::span<const std::byte>) {
      throw Error(ErrorCode::kIo, "full");
    });
  });
}

TEST(HttpConnection, TakesNoEndlessHeaders) {
  const TestServer server([](const Request&) {
    Reply reply{.body = "text"};
    for (int i = 0; i < 100; ++i) reply.headers.push_back({"X-" + std::to_string(i), std::string(1000, 'x')});
    return reply;
  });
  std::string body;
  EXPECT_NE(get(server.url(), body).fault, "");
}

TEST(HttpConnection, TellsFaultsOfCertificatesApart) {
  const TestServer server([](const Request&) { return Reply{}; });
  std::string body;
  const HttpResponse response =
      get("https://127.0.0.1:" + std::to_string(server.port()), body, {.ca_file = "/nowhere.pem"});
  EXPECT_TRUE(response.is_certificate_fault) << response.fault;
  EXPECT_FALSE(response.may_pass);
}

TEST(Origin, IsSchemeHostAndPort) {
  EXPECT_EQ(origin_of("https://HuggingFace.co/a/b?c"), "https://huggingface.co:443");
  EXPECT_EQ(origin_of("https://huggingface.co:443"), "https://huggingface.co:443");
  EXPECT_EQ(origin_of("http://127.0.0.1:8080/x"), "http://127.0.0.1:8080");
  EXPECT_NE(origin_of("http://huggingface.co"), origin_of("https://huggingface.co"));
  EXPECT_NE(origin_of("https://huggingface.co:444"), origin_of("https://huggingface.co"));
  EXPECT_NE(origin_of("https://cdn.huggingface.co"), origin_of("https://huggingface.co"));
  EXPECT_NE(origin_of("https://huggingface.co.evil.example"), origin_of("https://huggingface.co"));
  for (const char* url : {"", "huggingface.co", "ftp://huggingface.co", "file:///x",
                          "https://user@huggingface.co", "https://huggingface.co@evil.example", "https://"})
    EXPECT_EQ(origin_of(url), "") << url;
}

TEST(EscapeUrl, KeepsOnlyWhatIsPlain) {
  EXPECT_EQ(escape_url("aZ0-._~", false), "aZ0-._~");
  EXPECT_EQ(escape_url("refs/pr/1", false), "refs%2Fpr%2F1");
  EXPECT_EQ(escape_url("a/b c?#%\xc3\xa4", true), "a/b%20c%3F%23%25%C3%A4");
}

}  // namespace
}  // namespace lille
