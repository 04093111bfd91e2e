#include "server/client_stream.h"

#include <algorithm>

namespace lille {

ClientStream::ClientStream(int socket, const ServerOptions& options)
    : connection_(socket, kSendBufferBytes),
      peer_(connection_.peer_address()),
      read_timeout_(options.read_timeout),
      patience_(std::chrono::seconds(options.write_timeout)),
      idle_timeout_(options.idle_timeout) {}

bool ClientStream::secure(const TlsContext& context, Connection::Time until) noexcept {
  tls_.emplace(context, connection_);
  const TlsSession::Handshake outcome = tls_->shake_hands(until);
  is_plain_http_ = outcome == TlsSession::Handshake::kPlainHttp;
  if (is_plain_http_) tls_.reset();
  return outcome == TlsSession::Handshake::kDone;
}

void ClientStream::end(Connection::Time until) noexcept {
  if (tls_) tls_->end(until);
}

bool ClientStream::await_request() {
  const auto idle_until = std::chrono::steady_clock::now() + idle_timeout_;
  if (n_taken_ == n_buffered_ &&
      !(tls_ ? tls_->wait_readable(idle_until) : connection_.wait_readable(idle_until)))
    return false;
  read_until_ = std::chrono::steady_clock::now() + read_timeout_;
  patience_.restore();
  refusal.reset();
  is_answered = has_written_ = is_head_too_large_ = is_late_ = false;
  is_in_head_ = true;
  n_head_bytes_ = n_head_lines_ = n_body_bytes_left_ = 0;
  return true;
}

void ClientStream::begin_body(int64_t max_bytes) {
  is_in_head_ = false;
  n_body_bytes_left_ = max_bytes;
}

// Whether a byte is within the limits of the part that it belongs to.
bool ClientStream::counts(char byte) {
  if (!is_in_head_) return n_body_bytes_left_-- > 0;
  if (byte == '\n') ++n_head_lines_;
  is_head_too_large_ = ++n_head_bytes_ > kMaxHeadBytes || n_head_lines_ > kMaxHeadLines;
  return !is_head_too_large_;
}

ssize_t ClientStream::read(char* bytes, size_t n_bytes) {
  if (is_head_too_large_) return -1;
  if (n_taken_ == n_buffered_) {
    n_taken_ = 0;
    n_buffered_ = tls_ ? tls_->read(buffer_.data(), buffer_.size(), read_until_)
                       : connection_.read(buffer_.data(), buffer_.size(), read_until_);
    if (n_buffered_ == 0) {
      is_late_ = std::chrono::steady_clock::now() >= read_until_;
      return -1;
    }
  }
  std::size_t n_read = 0;
  while (n_read < n_bytes && n_taken_ < n_buffered_) {
    if (!counts(buffer_[n_taken_])) return -1;
    bytes[n_read++] = buffer_[n_taken_++];
  }
  return static_cast<ssize_t>(n_read);
}

ssize_t ClientStream::write(const char* bytes, size_t n_bytes) {
  has_written_ = true;
  if (n_bytes == 0) return 0;
  if (tls_) {
    const std::size_t n_sent = tls_->write(bytes, n_bytes, patience_);
    return n_sent == 0 ? -1 : static_cast<ssize_t>(n_sent);
  }
  const std::size_t n_sent =
      patience_.spend([&](Patience::Time deadline) { return connection_.write(bytes, n_bytes, deadline); });
  return n_sent == 0 ? -1 : static_cast<ssize_t>(n_sent);
}

void ClientStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip = peer_;
  port = 0;
}

void ClientStream::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

}  // namespace lille
