#include "server/http_server.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include "base/check.h"
#include "base/text.h"
#include "server/client_stream.h"
#include "server/connection_threads.h"
#include "server/trusted_proxies.h"

namespace lille {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxPathChars = 1024;
constexpr std::chrono::milliseconds kStreamPatience(100);
constexpr double kIdleThread_s = 10;
// Beyond max_connections, so many are told at a time to come again.
constexpr int64_t kRefusingThreads = 8;
constexpr std::chrono::seconds kLinger(1);
// How long streams have to tell that they were cancelled.
constexpr std::chrono::seconds kFarewell(2);
constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    "Connection: close\r\nContent-Length: 130\r\n\r\n"
    R"({"error":{"message":"[server] there are too many connections. Hint: come again","type":"server_error","param":null,"code":"busy"}})";
static_assert(kBusy.size() - kBusy.find('{') == 130);
constexpr std::string_view kNeedsTls =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
    "Content-Length: 136\r\n\r\n"
    R"({"error":{"message":"[server] expected HTTPS, got HTTP. Hint: https://","type":"invalid_request_error","param":null,"code":"needs_tls"}})";
static_assert(kNeedsTls.size() - kNeedsTls.find('{') == 136);

// All that came of it, in this order.
std::string forwarded_for(const httplib::Request& request) {
  const auto [begin, end] = request.headers.equal_range("X-Forwarded-For");
  std::string list;
  for (auto header = begin; header != end; ++header) list += (header == begin ? "" : ",") + header->second;
  return list;
}

ApiRequest api_request(const httplib::Request& request, const ClientStream& stream,
                       const TrustedProxies& proxies) {
  ApiRequest converted;
  converted.method = request.method;
  converted.path = request.path;
  for (const auto& [name, value] : request.headers) converted.headers.emplace(lower_case(name), value);
  converted.client = proxies.client(stream.peer(), forwarded_for(request));
  converted.is_gone = [&stream] { return stream.is_gone(); };
  return converted;
}

// How many bytes a body has, as its head says; empty if it comes in chunks.
std::optional<uint64_t> body_bytes(const httplib::Request& request) {
  const std::size_t n_lengths = request.get_header_value_count("Content-Length");
  const std::size_t n_encodings = request.get_header_value_count("Transfer-Encoding");
  if (n_lengths + n_encodings == 0) return 0;
  if (n_lengths + n_encodings > 1)
    throw RefusedRequest(400, "[server] expected one of Content-Length and Transfer-Encoding, got several");
  if (n_encodings == 1) {
    if (lower_case(request.get_header_value("Transfer-Encoding")) == "chunked") return std::nullopt;
    throw RefusedRequest(501, "Transfer-Encoding: expected chunked, got another", "Transfer-Encoding");
  }
  const std::string text = request.get_header_value("Content-Length");
  uint64_t n_bytes = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), n_bytes);
  if (failure != std::errc() || end != text.data() + text.size())
    throw RefusedRequest(400, "Content-Length: expected a number of bytes, got another text",
                         "Content-Length");
  return n_bytes;
}

void refuse_body(int64_t max_bytes) {
  throw RefusedRequest(413, fmt::format("[server] body: expected at most {} bytes, got more", max_bytes), "",
                       "body_too_large");
}

}  // namespace

// cpp-httplib reads and writes HTTP; which connections there are, when they end and what they may cost is
// said here.
class HttpServer::Listener : private httplib::Server {
 public:
  Listener(Api& api, const ServerOptions& options);
  ~Listener() override { stop(0, {}); }

  int port() const noexcept { return port_; }
  std::string url() const;
  void start(std::function<void()> on_failure);
  void stop(double grace_s, const std::stop_token& at_once);

 private:
  struct Open {
    ClientStream* stream;
    bool is_idle;
  };

  // What cpp-httplib's accepting thread hands connections to.
  class Queue : public httplib::TaskQueue {
   public:
    explicit Queue(ConnectionThreads& threads) : threads_(threads) {}
    void enqueue(std::function<void()> work) override { threads_.run(std::move(work)); }
    void shutdown() override {}

   private:
    ConnectionThreads& threads_;
  };

  void set_handlers();
  bool process_and_close_socket(socket_t socket) override;
  bool process(ClientStream& stream);
  bool secure(ClientStream& stream, Clock::time_point until);
  void serve(ClientStream& stream);
  bool set_idle(bool is_idle);
  ClientStream& current();
  void prepare(httplib::Request& request, ClientStream& stream);
  void answer_post(const httplib::Request& request, httplib::Response& response,
                   const httplib::ContentReader& read);
  void answer_error(const httplib::Request& request, httplib::Response& response);
  void send_large_head_refusal(ClientStream& stream);
  static void fill(httplib::Response& response, ApiReply reply, bool is_chunked);

  Api& api_;
  ServerOptions options_;
  TrustedProxies proxies_;
  std::optional<TlsContext> tls_;
  int64_t max_body_bytes_;
  int listening_socket_ = -1;
  int port_ = 0;
  std::mutex mutex_;  // of open_, is_stopping_ and, once it listens, listening_socket_
  std::condition_variable_any changed_;
  std::map<std::thread::id, Open> open_;
  bool is_stopping_ = false;
  std::atomic<bool> has_ended_ = false;
  ConnectionThreads threads_;
  std::thread acceptor_;
};

HttpServer::Listener::Listener(Api& api, const ServerOptions& options)
    : api_(api),
      options_(options),
      proxies_(options.trusted_proxy),
      tls_(make_tls_context(options)),
      max_body_bytes_(options.max_body_kib << 10),
      threads_(options.max_connections + kRefusingThreads, kIdleThread_s) {
  set_handlers();
  set_socket_options([this](socket_t socket) {
    // Without SO_REUSEPORT, with which a second server would take half of the first one's connections.
    reuse_address(socket);
    listening_socket_ = socket;
  });
  set_keep_alive_timeout(options.idle_timeout);
  new_task_queue = [this] { return new Queue(threads_); };
  std::string host = options.host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  errno = 0;
  const auto wanted = static_cast<int>(options.port);
  port_ = wanted == 0 ? bind_to_any_port(host) : bind_to_port(host, wanted) ? wanted : -1;
  if (port_ < 0)
    raise(ErrorCode::kIo, "[serve] {}:{} cannot be listened on: {}. Hint: --port 0 takes a free port",
          printable(options.host), options.port,
          errno == 0 ? "there is no such address" : std::strerror(errno));
  widen_backlog(listening_socket_, static_cast<int>(std::min<int64_t>(options.max_connections, 4096)));
}

std::string HttpServer::Listener::url() const {
  const bool needs_brackets = options_.host.find(':') != std::string::npos && !options_.host.starts_with('[');
  return fmt::format("{}://{}{}{}:{}", tls_ ? "https" : "http", needs_brackets ? "[" : "", options_.host,
                     needs_brackets ? "]" : "", port_);
}

void HttpServer::Listener::start(std::function<void()> on_failure) {
  acceptor_ = std::thread([this, on_failure = std::move(on_failure)] {
    listen_after_bind();
    has_ended_ = true;
    const std::scoped_lock lock(mutex_);
    // It is closed, and another may have its number.
    listening_socket_ = -1;
    if (!is_stopping_ && on_failure) on_failure();
  });
  // cpp-httplib cannot be stopped before it runs.
  while (!is_running() && !has_ended_) std::this_thread::yield();
}

void HttpServer::Listener::set_handlers() {
  // Everything but bodies is answered before cpp-httplib looks for a handler.
  set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    ClientStream& stream = current();
    if (!stream.refusal && request.method == "POST") return HandlerResponse::Unhandled;
    stream.is_answered = true;
    ApiReply reply =
        stream.refusal ? std::move(*stream.refusal) : api_.handle(api_request(request, stream, proxies_));
    fill(response, std::move(reply), request.version != "HTTP/1.0");
    return HandlerResponse::Handled;
  });
  Post(".*", [this](const httplib::Request& request, httplib::Response& response,
                    const httplib::ContentReader& read) { answer_post(request, response, read); });
  set_error_handler(
      httplib::Server::Handler([this](const httplib::Request& request, httplib::Response& response) {
        answer_error(request, response);
      }));
}

ClientStream& HttpServer::Listener::current() {
  const std::scoped_lock lock(mutex_);
  return *open_.at(std::this_thread::get_id()).stream;
}

// Nothing may be thrown out of a thread.
bool HttpServer::Listener::process_and_close_socket(socket_t socket) {
  try {
    ClientStream stream(socket, options_);
    return process(stream);
  } catch (const std::exception&) {
    // There is no memory to say so with.
    return false;
  }
}

bool HttpServer::Listener::process(ClientStream& stream) {
  bool is_welcome = false;
  {
    const std::scoped_lock lock(mutex_);
    is_welcome = static_cast<int64_t>(open_.size()) < options_.max_connections;
    if (is_welcome) open_.emplace(std::this_thread::get_id(), Open{&stream, false});
  }
  try {
    if (is_welcome)
      serve(stream);
    else if (secure(stream, Clock::now() + kLinger))
      stream.write(kBusy.data(), kBusy.size());
  } catch (const std::exception&) {
    // There is no memory to say so with.
  }
  stream.end(Clock::now() + kLinger);
  // A request that was not read to its end would have the system drop the reply.
  if (stream.closes || !is_welcome) stream.connection().linger(Clock::now() + kLinger);
  if (!is_welcome) return false;
  {
    const std::scoped_lock lock(mutex_);
    open_.erase(std::this_thread::get_id());
  }
  changed_.notify_all();
  return true;
}

// Shakes hands if the server speaks TLS. Returns whether the client does what the server expects.
bool HttpServer::Listener::secure(ClientStream& stream, Clock::time_point until) {
  if (!tls_ || stream.secure(*tls_, until)) return true;
  stream.closes = true;
  if (stream.is_plain_http()) stream.write(kNeedsTls.data(), kNeedsTls.size());
  return false;
}

// Says whether this thread's connection waits for a request. Returns whether it may.
bool HttpServer::Listener::set_idle(bool is_idle) {
  const std::scoped_lock lock(mutex_);
  open_.at(std::this_thread::get_id()).is_idle = is_idle;
  return !is_stopping_;
}

void HttpServer::Listener::serve(ClientStream& stream) {
  if (!set_idle(true) || !secure(stream, Clock::now() + std::chrono::seconds(options_.read_timeout))) return;
  while (set_idle(true) && stream.await_request()) {
    const bool is_stopping = !set_idle(false);
    bool closes = is_stopping;
    {
      // Idle connections must not keep others out.
      const std::scoped_lock lock(mutex_);
      closes = closes || static_cast<int64_t>(open_.size()) > options_.max_connections * 3 / 4;
    }
    bool is_closed = false;
    const bool is_good = process_request(stream, closes, is_closed,
                                         [&](httplib::Request& request) { prepare(request, stream); });
    if (stream.has_too_large_head() && !stream.has_written()) send_large_head_refusal(stream);
    if (!is_good || closes || is_closed || stream.closes) return;
  }
}

void HttpServer::Listener::send_large_head_refusal(ClientStream& stream) {
  const ApiReply reply = api_.refuse(
      {.method = "", .path = "", .client = proxies_.client(stream.peer(), "")},
      RefusedRequest(431, "[server] expected a smaller head of the request", "", "head_too_large"));
  const std::string text = fmt::format(
      "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/json\r\nConnection: "
      "close\r\n"
      "Content-Length: {}\r\n\r\n{}",
      reply.body.size(), reply.body);
  stream.write(text.data(), text.size());
  stream.closes = true;
}

// The head is there. What it alone is refused for is found here, where the request can still be changed: a
// connection whose body is not read says that it ends.
void HttpServer::Listener::prepare(httplib::Request& request, ClientStream& stream) {
  // Replies are neither cut nor compressed.
  request.headers.erase("Accept-Encoding");
  request.headers.erase("Range");
  request.ranges.clear();
  const ApiRequest head = api_request(request, stream, proxies_);
  bool has_body = true;
  try {
    const std::optional<uint64_t> n_bytes = body_bytes(request);
    has_body = n_bytes != 0;
    if (request.get_header_value_count("Host") > 1)
      throw RefusedRequest(400, "Host: expected one, got several", "Host");
    if (request.path.size() > kMaxPathChars)
      throw RefusedRequest(414,
                           fmt::format("[server] expected a path of at most {} characters", kMaxPathChars));
    stream.refusal = api_.refuse_head(head);
    if (!stream.refusal && request.method == "POST") {
      if (n_bytes && *n_bytes > static_cast<uint64_t>(max_body_bytes_)) refuse_body(max_body_bytes_);
      if (request.get_header_value_count("Content-Length") +
              request.get_header_value_count("Transfer-Encoding") ==
          0)
        throw RefusedRequest(411, "Content-Length: expected one with a POST, got none", "Content-Length");
      if (lower_case(request.get_header_value("Content-Type")).starts_with("multipart/"))
        throw RefusedRequest(415, "Content-Type: expected application/json, got a form", "Content-Type");
    }
  } catch (const RefusedRequest& error) {
    stream.refusal = api_.refuse(head, error);
  }
  // Chunks have a line each, of which short ones are more than half.
  stream.begin_body(4 * max_body_bytes_ + ClientStream::kMaxHeadBytes);
  const bool leaves_body = has_body && (stream.refusal || request.method != "POST");
  // HTTP/1.0 knows no chunks: a stream ends with its connection.
  if (!leaves_body && request.version != "HTTP/1.0") return;
  stream.closes = true;
  request.headers.erase("Expect");
  request.headers.erase("Connection");
  request.headers.emplace("Connection", "close");
}

void HttpServer::Listener::answer_post(const httplib::Request& request, httplib::Response& response,
                                       const httplib::ContentReader& read) {
  ClientStream& stream = current();
  ApiRequest call = api_request(request, stream, proxies_);
  bool is_too_large = false;
  const bool is_whole = read([&](const char* bytes, std::size_t n_bytes) {
    call.body.append(bytes, n_bytes);
    is_too_large = static_cast<int64_t>(call.body.size()) > max_body_bytes_;
    return !is_too_large;
  });
  stream.is_answered = true;
  if (is_whole) return fill(response, api_.handle(call), request.version != "HTTP/1.0");
  stream.closes = true;
  response.set_header("Connection", "close");
  const int status = is_too_large ? 413 : response.status == 415 ? 415 : 408;
  const std::string message =
      is_too_large    ? fmt::format("[server] body: expected at most {} bytes, got more", max_body_bytes_)
      : status == 415 ? "Content-Encoding: expected none, got one that is not known"
                      : "[server] body: expected all of it in time, got a part";
  fill(response, api_.refuse(call, RefusedRequest(status, message)), true);
}

// What cpp-httplib refuses by itself gets the form of all errors.
void HttpServer::Listener::answer_error(const httplib::Request& request, httplib::Response& response) {
  ClientStream& stream = current();
  if (stream.is_answered) return;
  stream.is_answered = stream.closes = true;
  const int status = stream.has_too_large_head() ? 431 : stream.is_late() ? 408 : response.status;
  response.set_header("Connection", "close");
  fill(response,
       api_.refuse(
           api_request(request, stream, proxies_),
           RefusedRequest(status, "[server] expected a whole request of HTTP/1.1, got something else")),
       true);
}

void HttpServer::Listener::fill(httplib::Response& response, ApiReply reply, bool is_chunked) {
  response.status = reply.status;
  for (const auto& [name, value] : reply.headers) response.set_header(name, value);
  if (!reply.stream) {
    if (!reply.body.empty()) response.set_content(std::move(reply.body), reply.content_type);
    return;
  }
  // In one call to its end: a piece is sent when it is there.
  const auto tell = [stream = std::shared_ptr<ApiStream>(std::move(reply.stream))](std::size_t,
                                                                                   httplib::DataSink& sink) {
    while (const std::optional<std::string> piece = stream->next(kStreamPatience)) {
      if (!sink.is_writable()) return false;
      if (!piece->empty() && !sink.write(piece->data(), piece->size())) return false;
    }
    sink.done();
    return true;
  };
  if (is_chunked)
    response.set_chunked_content_provider(reply.content_type, tell);
  else
    response.set_content_provider(reply.content_type, tell);
}

void HttpServer::Listener::stop(double grace_s, const std::stop_token& at_once) {
  api_.drain();
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(is_stopping_, true)) return;
    for (auto& [id, open] : open_)
      if (open.is_idle) open.stream->connection().shut_down();
    // Not cpp-httplib's stop: it would no longer ask for the pieces of a stream whose head has just been
    // sent.
    if (listening_socket_ >= 0) stop_listening(listening_socket_);
  }
  threads_.stop();
  std::unique_lock lock(mutex_);
  const auto is_over = [this] { return open_.empty(); };
  const auto grace = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(grace_s));
  if (!changed_.wait_for(lock, at_once, grace, is_over)) {
    lock.unlock();
    api_.cancel_all();
    lock.lock();
    changed_.wait_for(lock, kFarewell, is_over);
    for (auto& [id, open] : open_) open.stream->connection().shut_down();
    changed_.wait(lock, is_over);
  }
  lock.unlock();
  if (acceptor_.joinable()) acceptor_.join();
}

HttpServer::HttpServer(Api& api, const ServerOptions& options)
    : listener_(std::make_unique<Listener>(api, options)) {}

HttpServer::~HttpServer() = default;

int HttpServer::port() const noexcept { return listener_->port(); }

std::string HttpServer::url() const { return listener_->url(); }

void HttpServer::start(std::function<void()> on_failure) { listener_->start(std::move(on_failure)); }

void HttpServer::stop(double grace_s, const std::stop_token& at_once) { listener_->stop(grace_s, at_once); }

}  // namespace lille
