#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace lille::test {

/// What a server got.
struct Request {
  std::string method;
  std::string target;                               ///< Path and query.
  std::map<std::string, std::string> headers = {};  ///< Names in lower case.

  std::string header(const std::string& name) const {
    const auto entry = headers.find(name);
    return entry == headers.end() ? "" : entry->second;
  }
};

/// What it answers, well or badly.
struct Reply {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::size_t cut_after = std::string::npos;  ///< The connection ends after so many bytes of the body.
  double chunk_wait_s = 0;                    ///< Between pieces of chunk_bytes.
  std::size_t chunk_bytes = 1 << 16;
  bool has_length = true;   ///< Whether Content-Length is said.
  bool stays_open = false;  ///< After what is sent comes nothing more, nor an end, before the client leaves.
  std::function<void()> on_sent = {};  ///< Called then, if it is set.
};

/// An HTTP server on loopback that answers whatever a function says, one connection a request, each in a
/// thread of its own.
class TestServer {
 public:
  using Handler = std::function<Reply(const Request&)>;

  explicit TestServer(Handler handler, const char* address = "127.0.0.1")
      : handler_(std::move(handler)), address_(address) {
    // A proxy of whoever runs the tests must not be asked for loopback.
    setenv("no_proxy", "127.0.0.1,127.0.0.2,localhost", 1);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    inet_pton(AF_INET, address, &place.sin_addr);
    socklen_t n_bytes = sizeof(place);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&place), n_bytes) != 0 || listen(listener_, 64) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&place), &n_bytes) != 0)
      throw std::runtime_error("cannot listen on loopback");
    port_ = ntohs(place.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  ~TestServer() {
    is_ending_ = true;
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    close(listener_);
    for (std::thread& thread : threads_) thread.join();
  }

  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  int port() const { return port_; }
  std::string url(const std::string& host = "") const {
    return "http://" + (host.empty() ? address_ : host) + ":" + std::to_string(port_);
  }

  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  /// Of the requests, how many had this method and a target that contains `part`.
  int64_t count(std::string_view method, std::string_view part) const {
    const std::vector<Request> all = requests();
    return std::count_if(all.begin(), all.end(), [&](const Request& request) {
      return request.method == method && request.target.find(part) != std::string::npos;
    });
  }

 private:
  void accept_all() {
    while (!is_ending_) {
      const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      threads_.emplace_back([this, connection] {
        serve(connection);
        close(connection);
      });
    }
  }

  void serve(int connection) {
    Request request;
    if (!read_request(connection, request)) return;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const Reply reply = handler_(request);
    send_reply(connection, request, reply);
    if (reply.on_sent) reply.on_sent();
    // A client still reads what came before the end.
    if (!reply.stays_open) shutdown(connection, SHUT_WR);
    std::array<char, 1024> rest;
    while (recv(connection, rest.data(), rest.size(), 0) > 0) continue;
  }

  static bool read_request(int connection, Request& request) {
    std::string text;
    std::array<char, 4096> chunk;
    while (text.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n_read = recv(connection, chunk.data(), chunk.size(), 0);
      if (n_read <= 0) return false;
      text.append(chunk.data(), static_cast<std::size_t>(n_read));
    }
    const std::size_t first_end = text.find("\r\n");
    const std::size_t space = text.find(' ');
    request.method = text.substr(0, space);
    request.target = text.substr(space + 1, text.find(' ', space + 1) - space - 1);
    for (std::size_t begin = first_end + 2; begin + 2 < text.size();) {
      const std::size_t end = text.find("\r\n", begin);
      const std::size_t colon = text.find(':', begin);
      if (end == begin || colon > end) break;
      std::string name = text.substr(begin, colon - begin);
      std::transform(name.begin(), name.end(), name.begin(), [](char c) { return std::tolower(c); });
      request.headers[name] = text.substr(colon + 2, end - colon - 2);
      begin = end + 2;
    }
    return true;
  }

  void send_reply(int connection, const Request& request, const Reply& reply) const {
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Said\r\nConnection: close\r\n";
    if (reply.has_length) head += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
    send_all(connection, head + "\r\n");
    if (request.method == "HEAD") return;
    const std::string_view body = std::string_view(reply.body).substr(0, reply.cut_after);
    for (std::size_t offset = 0; offset < body.size() && !is_ending_; offset += reply.chunk_bytes) {
      if (!send_all(connection, body.substr(offset, reply.chunk_bytes))) return;
      std::this_thread::sleep_for(std::chrono::duration<double>(reply.chunk_wait_s));
    }
  }

  static bool send_all(int connection, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n_sent = send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n_sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n_sent));
    }
    return true;
  }

  Handler handler_;
  std::string address_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> is_ending_ = false;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace lille::test
