#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/function_ref.h"

namespace lille {

struct HttpRequest {
  std::string url;
  bool is_head = false;
  std::string token = {};  ///< Sent as a bearer token; empty: none.
  int64_t first_byte = 0;  ///< Above 0: asks for the content from there on.
};

struct HttpResponse {
  int64_t status = 0;                          ///< 0 if none came.
  std::map<std::string, std::string> headers;  ///< Names in lower case.
  std::string redirect_url;                    ///< Where a redirection leads, absolute; else empty.
  double retry_after_s = 0;                    ///< What Retry-After asks for.
  std::string fault;                           ///< Why the whole answer did not come; empty if it did.
  bool is_certificate_fault = false;
  bool may_pass = false;  ///< Whether the fault or the status is one that another attempt may not meet.

  bool is_success() const noexcept { return fault.empty() && status >= 200 && status < 300; }
  /// A header's value, empty if it did not come.
  std::string header(std::string_view lower_case_name) const;
};

/// How connections are made.
struct HttpOptions {
  std::string user_agent = {};
  std::filesystem::path ca_file = {};  ///< Empty: the system's.
  double timeout_s = 15;               ///< For a connection, and of silence.
  std::stop_token cancel = {};
};

/// HTTP and HTTPS through libcurl, one request at a time, connections kept between them. Follows no
/// redirection and sends nothing but what a request says.
class HttpConnection {
 public:
  explicit HttpConnection(HttpOptions options);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  /// Receives the body of a success, piece by piece; its status and headers are there already.
  using Sink = FunctionRef<void(const HttpResponse& response, std::span<const std::byte> bytes)>;

  /// @throws Error(kCanceled), and what the sink throws.
  HttpResponse perform(const HttpRequest& request, Sink sink);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "https://host:443" of a URL, in lower case; empty if it is none of HTTP or HTTPS, or holds a user's name.
std::string origin_of(const std::string& url);

/// A text as a part of a URL: what is no letter, digit or `-._~` is written as %XX, `/` only if asked.
std::string escape_url(std::string_view text, bool keeps_slashes);

}  // namespace lille
