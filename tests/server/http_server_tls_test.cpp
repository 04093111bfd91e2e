#include <memory>
#include <thread>
#include <vector>

#include "server/served_api.h"
#include "server/sockets.h"
#include "server/tls_client.h"

namespace lille {
namespace {

using nlohmann::json;
using test::RawClient;
using test::TlsClient;

class HttpsServerTest : public test::ServedApi {
 protected:
  void serve_tls(ServerOptions options = {}, const SchedulerOptions& scheduling = {}) {
    options.tls_cert = certificate_.certificate_path();
    options.tls_key = certificate_.key_path();
    serve(options, scheduling);
  }

  // A client that has shaken hands.
  struct Client {
    Client(int port, const test::TestCertificate& certificate)
        : socket(port), tls(socket.socket(), certificate) {
      if (!tls.shake_hands()) throw std::runtime_error("the server does not shake hands");
    }
    RawClient socket;
    TlsClient tls;
  };
  std::unique_ptr<Client> client() const { return std::make_unique<Client>(server_->port(), certificate_); }

  std::string reply_to(const std::string& request) const {
    const auto one = client();
    one->tls.send(request);
    return one->tls.read_all();
  }

  test::TestCertificate certificate_;
};

TEST_F(HttpsServerTest, RequestsAreAnsweredAsWithout) {
  serve_tls();
  EXPECT_EQ(server_->url(), "https://127.0.0.1:" + std::to_string(server_->port()));
  const auto one = client();
  for (int round = 0; round < 2; ++round) {
    one->tls.send(head("GET /v1/models"));
    EXPECT_TRUE(one->tls.read_until("\"tiny\"").starts_with("HTTP/1.1 200 OK\r\n"));
    one->tls.forget();
  }
  one->tls.send(post_text("/v1/completions", kBody, kClose));
  const std::string reply = one->tls.read_all();
  EXPECT_TRUE(one->tls.was_ended());
  const json wanted = answer("/v1/completions", json::parse(kBody));
  EXPECT_EQ(json::parse(reply.substr(reply.rfind("\r\n\r\n") + 4))["choices"], wanted["choices"]);
  const std::string stream =
      reply_to(post_text("/v1/completions", R"({"prompt": "x", "max_tokens": 3, "stream": true})", kClose));
  EXPECT_TRUE(stream.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n")) << stream;
}

TEST_F(HttpsServerTest, LimitsOfHeadsAndBodiesHold) {
  serve_tls({.max_body_kib = 1});
  EXPECT_TRUE(reply_to(head("GET /", "a: " + std::string(40000, 'x') + "\r\n")).starts_with("HTTP/1.1 431 "));
  EXPECT_TRUE(reply_to(post_text("/v1/completions", std::string(2000, ' '))).starts_with("HTTP/1.1 413 "));
  EXPECT_TRUE(reply_to("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

TEST_F(HttpsServerTest, ARequestWithoutTlsIsToldSo) {
  serve_tls();
  RawClient plain(server_->port());
  plain.send(head("GET /health"));
  const std::string& reply = plain.read_all();
  ASSERT_TRUE(reply.starts_with("HTTP/1.1 400 ")) << reply;
  const json error = json::parse(reply.substr(reply.find("\r\n\r\n") + 4)).at("error");
  EXPECT_EQ(error.at("code"), "needs_tls");
  EXPECT_TRUE(reply_to(head("GET /health", kClose)).starts_with("HTTP/1.1 200 "));
}

TEST_F(HttpsServerTest, GarbageAndClientsThatVanishInTheHandshakeCostNothing) {
  serve_tls({.max_connections = 4});
  // The beginning of a greeting, of which 508 bytes do not come.
  const std::string greeting("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9);
  for (const std::string& bytes :
       {std::string(), greeting, std::string(2000, '\0'), std::string(2000, '\xff')}) {
    RawClient gone(server_->port());
    gone.send(bytes);
  }
  RawClient garbage(server_->port());
  garbage.send(std::string(300, 'x'));
  EXPECT_EQ(garbage.read_all().find("HTTP/"), std::string::npos);
  garbage.hang_up();
  // There are as many places. Whoever still has one is about to leave it.
  while (!reply_to(head("GET /health", kClose)).starts_with("HTTP/1.1 200 ")) std::this_thread::yield();
}

TEST_F(HttpsServerTest, AClientThatStallsIsDropped) {
  serve_tls({.read_timeout = 1});
  RawClient silent(server_->port());
  RawClient slow(server_->port());
  slow.send(std::string_view("\x16\x03\x01\x02\x00", 5));
  const auto half = client();
  half->tls.send("GET /health HTTP/1.1\r\nHost: loc");
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_EQ(slow.read_all(), "");
  EXPECT_TRUE(half->tls.read_all().starts_with("HTTP/1.1 408 ")) << half->tls.read_all();
}

TEST_F(HttpsServerTest, AClientThatGoesAwayFreesItsPlace) {
  serve_tls({}, {.completion_batch_size = 1});
  std::vector<std::unique_ptr<Client>> left;
  for (const std::string stream : {"true", "false"})
    for (const bool says_so : {true, false}) {
      left.push_back(client());
      Client& one = *left.back();
      one.tls.send(
          post_text("/v1/completions", R"({"prompt": "x", "max_tokens": 500, "stream": )" + stream + "}"));
      if (stream == "true")
        one.tls.read_until("data: ");
      else
        while (scheduler_->stats().n_running == 0) std::this_thread::yield();
      // By a word of TLS alone, or without one.
      if (says_so)
        SSL_shutdown(one.tls.ssl());
      else
        one.socket.hang_up();
      // There is one place, so this one waits until the other has left it.
      EXPECT_TRUE(reply_to(post_text("/v1/completions", kBody, kClose)).starts_with("HTTP/1.1 200 "));
    }
  EXPECT_GE(scheduler_->stats().n_canceled, 1);
}

TEST_F(HttpsServerTest, TooManyConnectionsAreToldToComeAgain) {
  serve_tls({.max_connections = 1}, {.completion_batch_size = 1});
  test::Gate gate(0);
  AnswerRequest blocked = {ids("Once"), sampled(1, 2)};
  blocked.options.logits_processors.add(gate.processor());
  const auto running = scheduler_->answer({blocked});
  gate.await();
  const auto one = client();
  one->tls.send(post_text("/v1/completions", kBody, kClose));
  while (scheduler_->stats().n_waiting < 1) std::this_thread::yield();
  EXPECT_TRUE(reply_to(head("GET /health")).starts_with("HTTP/1.1 503 "));
  RawClient plain(server_->port());
  plain.send(head("GET /health"));
  EXPECT_TRUE(plain.read_all().starts_with("HTTP/1.1 400 ")) << plain.read_all();
  gate.open();
  EXPECT_TRUE(one->tls.read_all().starts_with("HTTP/1.1 200 "));
}

TEST_F(HttpsServerTest, StoppingDoesNotWaitForHandshakes) {
  serve_tls();
  RawClient silent(server_->port());
  const auto idle = client();
  const auto busy = client();
  busy->tls.send(post_text("/v1/completions", R"({"prompt": "x", "max_tokens": 60, "stream": true})"));
  busy->tls.read_until("data: ");
  server_->stop(280);
  EXPECT_NE(busy->tls.read_all().find("data: [DONE]\n\n"), std::string::npos);
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_EQ(idle->tls.read_all(), "");
}

}  // namespace
}  // namespace lille
