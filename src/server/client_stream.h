#pragma once

#define CPPHTTPLIB_OPENSSL_SUPPORT  // As Debian builds the library: its classes have other members without.
#include <httplib.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/connection.h"
#include "server/api_types.h"
#include "server/patience.h"
#include "server/server_options.h"
#include "server/tls.h"

namespace lille {

/// A connection as cpp-httplib reads and writes it, with the limits that it lacks: of time for a whole
/// request and for the waits in a reply, of bytes and lines in a head, of bytes in a body however it is
/// framed.
class ClientStream : public httplib::Stream {
 public:
  static constexpr int64_t kMaxHeadBytes = 32 << 10;
  static constexpr int64_t kMaxHeadLines = 128;
  static constexpr int kSendBufferBytes = 128 << 10;

  /// Takes the socket over.
  ClientStream(int socket, const ServerOptions& options);

  /// Speaks TLS from here on. Returns whether the client does, too, before the time is over.
  bool secure(const TlsContext& context, Connection::Time until) noexcept;
  /// Says that nothing more is sent.
  void end(Connection::Time until) noexcept;

  /// Waits until a request begins. Returns whether one does before the connection was idle for too long.
  bool await_request();
  /// The head is read: what comes is a body of at most so many bytes.
  void begin_body(int64_t max_bytes);

  /// Whether the other side has gone.
  bool is_gone() const noexcept { return connection_.is_gone() || (tls_ && tls_->has_ended()); }
  /// Whether it was to speak TLS and sent a request without.
  bool is_plain_http() const noexcept { return is_plain_http_; }
  /// Whether the head was too large.
  bool has_too_large_head() const noexcept { return is_head_too_large_; }
  /// Whether the request did not come in time.
  bool is_late() const noexcept { return is_late_; }
  /// Whether anything was sent since the request began.
  bool has_written() const noexcept { return has_written_; }
  const std::string& peer() const noexcept { return peer_; }
  Connection& connection() noexcept { return connection_; }

  /// What the request is refused with before its body is read.
  std::optional<ApiReply> refusal;
  /// The connection cannot serve another request.
  bool closes = false;
  /// The reply to this request is made, also where it is an error.
  bool is_answered = false;

  bool is_readable() const override { return true; }
  bool is_writable() const override { return !is_gone(); }
  ssize_t read(char* bytes, size_t n_bytes) override;
  ssize_t write(const char* bytes, size_t n_bytes) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  /// None: cpp-httplib refuses those that select(2) cannot wait for, and here poll(2) waits.
  socket_t socket() const override { return -1; }

 private:
  bool counts(char byte);

  Connection connection_;
  mutable std::optional<TlsSession> tls_;  // What has come is looked at also by who only asks.
  bool is_plain_http_ = false;
  std::string peer_;
  std::chrono::seconds read_timeout_;
  Patience patience_;  // with the client while it takes the reply
  std::chrono::seconds idle_timeout_;
  Connection::Time read_until_;
  std::array<char, 8192> buffer_;
  std::size_t n_buffered_ = 0;
  std::size_t n_taken_ = 0;
  bool is_in_head_ = true;
  bool is_head_too_large_ = false;
  bool is_late_ = false;
  bool has_written_ = false;
  int64_t n_head_bytes_ = 0;
  int64_t n_head_lines_ = 0;
  int64_t n_body_bytes_left_ = 0;
};

}  // namespace lille
