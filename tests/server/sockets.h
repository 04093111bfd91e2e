#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace lille::test {

/// A connection to a port of this machine that sends and takes bytes as they are.
class RawClient {
 public:
  explicit RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, "127.0.0.1", &place.sin_addr);
    if (connect(socket_, reinterpret_cast<sockaddr*>(&place), sizeof(place)) != 0)
      throw std::runtime_error("cannot connect to the server of the test");
  }
  ~RawClient() { hang_up(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// Whether all bytes could be sent.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n_sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n_sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n_sent));
    }
    return true;
  }
  /// Takes what comes until `text` stands in it, or to the end. All that came so far.
  const std::string& read_until(std::string_view text) {
    std::array<char, 4096> chunk;
    while (received_.find(text) == std::string::npos) {
      const ssize_t n_read = recv(socket_, chunk.data(), chunk.size(), 0);
      if (n_read <= 0) break;
      received_.append(chunk.data(), static_cast<std::size_t>(n_read));
    }
    return received_;
  }
  /// Everything up to the end of the connection.
  const std::string& read_all() { return read_until(std::string_view("\0never sent", 11)); }
  void forget() { received_.clear(); }
  /// Stays this client's.
  int socket() const { return socket_; }
  void hang_up() {
    if (socket_ >= 0) close(std::exchange(socket_, -1));
  }

 private:
  int socket_;
  std::string received_;
};

/// A connected pair: `first` for the code under test, `second` for the test.
inline std::pair<int, int> socket_pair() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::runtime_error("cannot make sockets for the test");
  return {ends[0], ends[1]};
}

}  // namespace lille::test
