#include "server/http_server.h"

#include <atomic>
#include <future>
#include <memory>
#include <set>

#include "server/served_api.h"
#include "server/sockets.h"

namespace lille {
namespace {

using nlohmann::json;
using test::RawClient;

class HttpServerTest : public test::ServedApi {
 protected:
  // The whole reply to a request after which the connection ends.
  std::string reply_to(const std::string& request) const {
    RawClient client(server_->port());
    client.send(request);
    return client.read_all();
  }
  void expect_status(int status, const std::string& request) const {
    const std::string reply = reply_to(request);
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 " + std::to_string(status) + " "))
        << request.substr(0, 200) << "\n"
        << reply;
    if (status < 400) return;
    const std::string body = reply.substr(reply.find("\r\n\r\n") + 4);
    EXPECT_TRUE(json::accept(body) && json::parse(body).contains("error")) << reply;
  }
};

TEST_F(HttpServerTest, RequestsAreAnsweredOneAfterTheOtherOnAConnection) {
  serve();
  EXPECT_EQ(server_->url(), "http://127.0.0.1:" + std::to_string(server_->port()));
  RawClient client(server_->port());
  for (int round = 0; round < 3; ++round) {
    client.send(head("GET /v1/models"));
    EXPECT_TRUE(client.read_until("\"tiny\"").starts_with("HTTP/1.1 200 OK\r\n"));
    client.forget();
  }
  client.send(post_text("/v1/completions", kBody, kClose));
  const std::string reply = client.read_all();
  const json wanted = answer("/v1/completions", json::parse(kBody));
  EXPECT_EQ(json::parse(reply.substr(reply.rfind("\r\n\r\n") + 4))["choices"], wanted["choices"]);
  EXPECT_NE(reply.find("X-Request-Id: "), std::string::npos);
}

TEST_F(HttpServerTest, AConnectionOfHttp10EndsWithItsReply) {
  serve();
  json body = json::parse(kBody);
  body["stream"] = true;
  const std::string text = body.dump();
  for (const std::string& request :
       {"POST /v1/completions HTTP/1.0\r\nHost: localhost\r\nConnection: Keep-Alive\r\nContent-Length: " +
            std::to_string(text.size()) + "\r\n\r\n" + text,
        std::string("GET /v1/models HTTP/1.0\r\nHost: localhost\r\nConnection: Keep-Alive\r\n\r\n")}) {
    const std::string reply = reply_to(request);
    EXPECT_NE(reply.find("Connection: close\r\n"), std::string::npos) << reply;
    EXPECT_EQ(reply.find("Keep-Alive"), std::string::npos) << reply;
    EXPECT_EQ(reply.find("Transfer-Encoding"), std::string::npos) << reply;
  }
}

// The socket of this process that listens on a port.
int listening_socket(int port) {
  for (int fd = 0; fd < 4096; ++fd) {
    int listens = 0;
    socklen_t n_bytes = sizeof(listens);
    sockaddr_in place{};
    socklen_t n_place_bytes = sizeof(place);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n_bytes) == 0 && listens != 0 &&
        getsockname(fd, reinterpret_cast<sockaddr*>(&place), &n_place_bytes) == 0 &&
        ntohs(place.sin_port) == port)
      return fd;
  }
  return -1;
}

TEST_F(HttpServerTest, AListenerThatEndsByItselfIsTold) {
  const auto failed = std::make_shared<std::promise<void>>();
  std::future<void> failure = failed->get_future();
  start();
  server_ = std::make_unique<HttpServer>(*api_, ServerOptions{.port = 0});
  server_->start([failed] { failed->set_value(); });
  const int listener = listening_socket(server_->port());
  ASSERT_GE(listener, 0);
  shutdown(listener, SHUT_RDWR);
  failure.wait();
  server_->stop(0);
}

TEST_F(HttpServerTest, AnEndThatWasAskedForIsNoFailure) {
  const auto failed = std::make_shared<std::atomic<bool>>(false);
  start();
  server_ = std::make_unique<HttpServer>(*api_, ServerOptions{.port = 0});
  server_->start([failed] { *failed = true; });
  server_->stop(0);
  EXPECT_FALSE(*failed);
}

TEST_F(HttpServerTest, ABodyMayComeInChunks) {
  serve();
  const std::string body = kBody;
  std::string chunks;
  for (const char byte : body) chunks += std::string("1\r\n") + byte + "\r\n";
  expect_status(200, head("POST /v1/completions", std::string(kClose) + "Transfer-Encoding: chunked\r\n") +
                         chunks + "0\r\n\r\n");
}

TEST_F(HttpServerTest, AStreamComesInChunksAndEnds) {
  serve();
  const std::string reply =
      reply_to(post_text("/v1/completions", R"({"prompt": "x", "max_tokens": 3, "stream": true})", kClose));
  EXPECT_NE(reply.find("Content-Type: text/event-stream\r\n"), std::string::npos) << reply;
  EXPECT_NE(reply.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_NE(reply.find("data: [DONE]\n\n"), std::string::npos);
  EXPECT_TRUE(reply.ends_with("0\r\n\r\n"));
}

TEST_F(HttpServerTest, WhatIsNoRequestIsRefusedInTheFormOfAllErrors) {
  serve({.max_body_kib = 1});
  const std::string big(2000, ' ');
  expect_status(400, "nonsense\r\n\r\n");
  expect_status(400, head("BREW /"));
  expect_status(405, head("PUT /v1/models", "Content-Length: 3\r\n") + "abc");
  expect_status(405, head("DELETE /v1/models", kClose));
  expect_status(404, head("GET /nothing", kClose));
  expect_status(404, head("GET /v1/models/../../etc/passwd", kClose));
  expect_status(414, head("GET /" + std::string(2000, 'x'), kClose));
  expect_status(411, head("POST /v1/completions", kClose));
  expect_status(400, head("POST /v1/completions", "Content-Length: 1x\r\n"));
  expect_status(400, head("POST /v1/completions", "Content-Length: 1\r\nContent-Length: 2\r\n"));
  expect_status(400, head("POST /v1/completions", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"));
  expect_status(501, head("POST /v1/completions", "Transfer-Encoding: gzip\r\n"));
  expect_status(415, head("POST /v1/completions",
                          "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1\r\n"));
  expect_status(413, post_text("/v1/completions", big));
  expect_status(413, head("POST /v1/completions", "Transfer-Encoding: chunked\r\n") + "7d0\r\n" + big +
                         "\r\n0\r\n\r\n");
  expect_status(431, head("GET /", "a: " + std::string(40000, 'x') + "\r\n"));
  expect_status(403, "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
  expect_status(400, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
  std::string many;
  for (int idx = 0; idx < 200; ++idx) many += "a: b\r\n";
  expect_status(431, head("GET /health", many));
  // It serves the next one.
  expect_status(200, head("GET /health", kClose));
}

TEST_F(HttpServerTest, ABodyThatIsNotReadCannotBecomeARequest) {
  serve();
  const std::string hidden = head("GET /v1/models");
  for (const std::string& first :
       {head("GET /health", "Content-Length: " + std::to_string(hidden.size()) + "\r\n"),
        head("POST /nothing", "Content-Length: " + std::to_string(hidden.size()) + "\r\n")}) {
    const std::string reply = reply_to(first + hidden);
    EXPECT_EQ(reply.find("\"tiny\""), std::string::npos) << reply;
    EXPECT_NE(reply.find("Connection: close"), std::string::npos) << reply;
  }
}

TEST_F(HttpServerTest, AClientThatGoesAwayFreesItsPlace) {
  serve({}, {.completion_batch_size = 1});
  for (const std::string stream : {"true", "false"}) {
    RawClient client(server_->port());
    client.send(
        post_text("/v1/completions", R"({"prompt": "x", "max_tokens": 500, "stream": )" + stream + "}"));
    if (stream == "true")
      client.read_until("data: ");
    else
      while (scheduler_->stats().n_running == 0) std::this_thread::yield();
    client.hang_up();
    // There is one place, so this one waits until the other has left it.
    expect_status(200, post_text("/v1/completions", kBody, kClose));
  }
  EXPECT_GE(scheduler_->stats().n_canceled, 1);
}

TEST_F(HttpServerTest, AClientThatStallsIsDropped) {
  serve({.read_timeout = 1});
  RawClient client(server_->port());
  client.send("GET /health HTTP/1.1\r\nHost: loc");
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 408 ")) << client.read_all();
  RawClient body(server_->port());
  body.send(head("POST /v1/completions", "Content-Length: 100\r\n") + "{");
  EXPECT_TRUE(body.read_all().starts_with("HTTP/1.1 408 ")) << body.read_all();
}

TEST_F(HttpServerTest, TooManyConnectionsAreToldToComeAgain) {
  serve({.max_connections = 2}, {.completion_batch_size = 1});
  test::Gate gate(0);
  const auto running = test::block(*scheduler_, gate, {ids("Once"), sampled(1, 2)});
  RawClient one(server_->port());
  RawClient two(server_->port());
  for (RawClient* client : {&one, &two}) client->send(post_text("/v1/completions", kBody, kClose));
  while (scheduler_->stats().n_waiting < 2) std::this_thread::yield();
  const std::string reply = reply_to(head("GET /health"));
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 503 ")) << reply;
  EXPECT_NE(reply.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_TRUE(json::accept(reply.substr(reply.find("\r\n\r\n") + 4))) << reply;
  gate.open();
  for (RawClient* client : {&one, &two}) EXPECT_TRUE(client->read_all().starts_with("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, ATrustedProxySaysWhoAsks) {
  const auto client = [this](const std::vector<std::string>& proxies, const std::string& headers) {
    serve({.trusted_proxy = proxies});
    for (const std::string& request :
         {head("GET /v1/models", kClose + headers), head("GET /nothing", kClose + headers),
          post_text("/v1/tokenize", R"({"prompt": "x"})", kClose + headers)})
      reply_to(request);
    server_->stop(280);
    EXPECT_EQ(log().size(), 3u);
    std::set<std::string> clients;
    for (const std::string& line : log()) clients.insert(json::parse(line)["client"]);
    log_.clear();
    EXPECT_EQ(clients.size(), 1u) << headers;
    return clients.empty() ? "" : *clients.begin();
  };
  EXPECT_EQ(client({}, "X-Forwarded-For: 192.0.2.1\r\n"), "127.0.0.1");
  EXPECT_EQ(client({"192.0.2.0/24"}, "X-Forwarded-For: 192.0.2.1\r\n"), "127.0.0.1");
  EXPECT_EQ(client({"127.0.0.1"}, ""), "127.0.0.1");
  EXPECT_EQ(client({"127.0.0.1"}, "X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1");
  EXPECT_EQ(client({"127.0.0.1"}, "X-Forwarded-For: \"\x01\r\n"), "127.0.0.1");
  // Of several lines the last is the one of the last proxy.
  EXPECT_EQ(
      client({"127.0.0.1"}, "X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nx-forwarded-for: 2001:db8::3\r\n"),
      "2001:db8::3");
  EXPECT_EQ(client({"127.0.0.1", "2001:db8::/32"},
                   "X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nx-forwarded-for: 2001:db8::3\r\n"),
            "192.0.2.2");
}

TEST_F(HttpServerTest, StoppingFinishesWhatIsUnderWay) {
  serve();
  RawClient idle(server_->port());
  idle.send(head("GET /health"));
  idle.read_until("\"ok\"");
  RawClient client(server_->port());
  client.send(post_text("/v1/completions", R"({"prompt": "x", "max_tokens": 60, "stream": true})"));
  client.read_until("data: ");
  server_->stop(280);
  EXPECT_NE(client.read_all().find("data: [DONE]\n\n"), std::string::npos);
  EXPECT_THROW(RawClient(server_->port()), std::runtime_error);
}

TEST_F(HttpServerTest, AfterTheGraceStreamsEndWithAnError) {
  serve({}, {.completion_batch_size = 1});
  test::Gate gate(0);
  const auto running = test::block(*scheduler_, gate, {ids("Once"), sampled(1, 2)});
  RawClient client(server_->port());
  client.send(post_text("/v1/completions", R"({"prompt": "x", "max_tokens": 60, "stream": true})"));
  client.read_until("\r\n\r\n");
  std::stop_source at_once;
  at_once.request_stop();
  const auto stopped = std::async(std::launch::async, [&] { server_->stop(280, at_once.get_token()); });
  while (!scheduler_->stats().is_canceling) std::this_thread::yield();
  gate.open();
  stopped.wait();
  const std::string& reply = client.read_all();
  EXPECT_NE(reply.find("\"server_error\""), std::string::npos) << reply;
  EXPECT_EQ(reply.find("[DONE]"), std::string::npos) << reply;
}

TEST_F(HttpServerTest, AnAddressThatCannotBeHadIsNamed) {
  serve();
  ServerOptions options;
  options.port = server_->port();
  test::expect_error(ErrorCode::kIo,
                     "127.0.0.1:" + std::to_string(server_->port()) + " cannot be listened on",
                     [&] { HttpServer(*api_, options); });
}

}  // namespace
}  // namespace lille
