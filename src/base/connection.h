#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/descriptor.h"

namespace lille {

/// A TCP connection that a server has accepted, with a time by which each call ends. One thread uses it;
/// shut_down() may be called by any, as long as it lives.
class Connection {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Takes a connected socket over and makes it send at once what it is given. What waits to be sent takes
  /// about `send_buffer_bytes` of the system's memory at most.
  Connection(int socket, int send_buffer_bytes) noexcept;

  /// Reads what is there, waiting for the first byte.
  /// @return how many bytes; 0 at the end of what comes, or when the connection broke or the time is over.
  std::size_t read(char* bytes, std::size_t max_bytes, Time until) noexcept;
  /// Sends some bytes, at least one.
  /// @return how many; 0 if the connection broke or the time is over.
  std::size_t write(const char* bytes, std::size_t n_bytes, Time until) noexcept;
  /// Waits for something to read, or an end. Returns whether there is either.
  bool wait_readable(Time until) noexcept;
  /// Whether the other side has closed its end, or the connection broke. One that only says that it sends no
  /// more counts as gone, too.
  bool is_gone() const noexcept;
  /// Ends it in both directions; a call that waits returns.
  void shut_down() noexcept;
  /// Says that nothing more is sent, and reads away what still comes, so that the other side gets what was
  /// sent before an error of the connection.
  void linger(Time until) noexcept;
  /// "192.0.2.1"; empty if the system does not tell.
  std::string peer_address() const;

 private:
  bool wait(short events, Time until) const noexcept;

  Descriptor socket_;
};

/// Lets a port be listened on while connections of an earlier server linger, but not by two at a time.
void reuse_address(int socket) noexcept;

/// Lets more connections wait until they are accepted than a listening socket was made for.
void widen_backlog(int listener, int n_connections) noexcept;

/// Has a listening socket accept no more: who waits for a connection is told that there will be none.
void stop_listening(int listener) noexcept;

}  // namespace lille
