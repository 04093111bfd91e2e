#include "base/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace lille {
namespace {

// Milliseconds for poll(2), rounded up so that it does not spin at the end.
int milliseconds_until(Connection::Time until) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Connection::Connection(int socket, int send_buffer_bytes) noexcept : socket_(socket) {
  const int yes = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &send_buffer_bytes, sizeof(send_buffer_bytes));
}

bool Connection::wait(short events, Time until) const noexcept {
  while (true) {
    pollfd place = {socket_.get(), events, 0};
    const int n_ready = ::poll(&place, 1, milliseconds_until(until));
    if (n_ready > 0) return true;
    if (n_ready < 0 && errno != EINTR) return false;
    if (std::chrono::steady_clock::now() >= until) return false;
  }
}

bool Connection::wait_readable(Time until) noexcept { return wait(POLLIN, until); }

std::size_t Connection::read(char* bytes, std::size_t max_bytes, Time until) noexcept {
  while (wait(POLLIN, until)) {
    const ssize_t n_read = ::recv(socket_.get(), bytes, max_bytes, MSG_DONTWAIT);
    if (n_read >= 0) return static_cast<std::size_t>(n_read);
    if (!would_block()) return 0;
  }
  return 0;
}

std::size_t Connection::write(const char* bytes, std::size_t n_bytes, Time until) noexcept {
  while (wait(POLLOUT, until)) {
    const ssize_t n_sent = ::send(socket_.get(), bytes, n_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n_sent >= 0) return static_cast<std::size_t>(n_sent);
    if (!would_block()) return 0;
  }
  return 0;
}

bool Connection::is_gone() const noexcept {
  pollfd place = {socket_.get(), POLLRDHUP, 0};
  return ::poll(&place, 1, 0) > 0 && (place.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

void Connection::shut_down() noexcept { ::shutdown(socket_.get(), SHUT_RDWR); }

void Connection::linger(Time until) noexcept {
  ::shutdown(socket_.get(), SHUT_WR);
  std::array<char, 4096> rest;
  constexpr int kMaxReads = 256;
  for (int n_reads = 0; n_reads < kMaxReads && read(rest.data(), rest.size(), until) > 0; ++n_reads) continue;
}

std::string Connection::peer_address() const {
  sockaddr_storage place{};
  socklen_t n_bytes = sizeof(place);
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&place), &n_bytes) != 0) return "";
  const void* address = place.ss_family == AF_INET6
                            ? static_cast<const void*>(&reinterpret_cast<sockaddr_in6&>(place).sin6_addr)
                            : static_cast<const void*>(&reinterpret_cast<sockaddr_in&>(place).sin_addr);
  return ::inet_ntop(place.ss_family, address, text.data(), text.size()) == nullptr ? "" : text.data();
}

void reuse_address(int socket) noexcept {
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
}

void widen_backlog(int listener, int n_connections) noexcept { ::listen(listener, n_connections); }

void stop_listening(int listener) noexcept { ::shutdown(listener, SHUT_RDWR); }

}  // namespace lille
