#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "server/api.h"
#include "server/server_options.h"

namespace lille {

/// An Api on a TCP port. Each connection has a thread as long as it is open, since that is how cpp-httplib
/// works; there are as many as connections, up to a bound, and a connection beyond it is told to come again.
/// Reading a request, sending a reply and doing nothing are limited in time, heads and bodies in size. With
/// --tls-cert it speaks HTTPS alone.
class HttpServer {
 public:
  /// Listens; requests wait until start().
  /// @param api  outlives this object.
  /// @throws Error(kIo) that names the address if it cannot be listened on, and as make_tls_context and
  ///   TrustedProxies do.
  HttpServer(Api& api, const ServerOptions& options);
  /// Stops at once, unless stop() did.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// The port, also if a free one was asked for.
  int port() const noexcept;
  /// "http://127.0.0.1:8080"; https with TLS.
  std::string url() const;

  /// Answers requests from now on, in threads of its own.
  /// @param on_failure  is called, from one of these, if the system gives no more connections although stop()
  ///   has not been called; it does not call this object.
  void start(std::function<void()> on_failure = {});
  /// Takes no new connections and requests, closes idle connections, and returns when the last request is
  /// answered. After `grace_s` seconds, or as soon as `at_once` asks for it, the rest is cancelled: streams
  /// end with an error.
  void stop(double grace_s, const std::stop_token& at_once = {});

 private:
  class Listener;
  std::unique_ptr<Listener> listener_;
};

}  // namespace lille
