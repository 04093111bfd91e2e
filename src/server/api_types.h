#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lille/error.h"

namespace lille {

/// A text with the letters of ASCII in lower case, as names of headers are compared.
std::string lower_case(std::string text);

/// A request as the API sees it, wherever it came from.
struct ApiRequest {
  std::string method;                               ///< "POST"
  std::string path;                                 ///< "/v1/models", without a query.
  std::map<std::string, std::string> headers = {};  ///< Names in lower case.
  std::string body = {};
  std::string client = {};             ///< The address that it came from, as trusted proxies say.
  std::function<bool()> is_gone = {};  ///< Whether nobody waits for the reply any more; empty: never.

  /// A header's value, empty if it did not come.
  std::string header(const std::string& lower_case_name) const {
    const auto found = headers.find(lower_case_name);
    return found == headers.end() ? "" : found->second;
  }
  /// The same, if it came.
  std::optional<std::string> find_header(const std::string& lower_case_name) const {
    const auto found = headers.find(lower_case_name);
    return found == headers.end() ? std::nullopt : std::optional(found->second);
  }
};

/// A body that is made while it is sent.
class ApiStream {
 public:
  virtual ~ApiStream() = default;
  /// The next bytes; empty if none came in time, nothing at the end. Does not throw.
  virtual std::optional<std::string> next(std::chrono::milliseconds patience) = 0;
};

/// What a request is answered with.
struct ApiReply {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  std::unique_ptr<ApiStream> stream = {};  ///< Instead of `body`, if it is set.
};

/// A request that is not answered as it asks, with what OpenAI's error object says of it.
class RefusedRequest : public Error {
 public:
  /// @param status   of HTTP.
  /// @param field    the field or header in question; empty: none.
  /// @param reason   OpenAI's `code`, "context_length_exceeded"; empty: none.
  RefusedRequest(int status, const std::string& message, std::string field = "", std::string reason = "")
      : Error(status < 500 ? ErrorCode::kInvalidArgument : ErrorCode::kInternal, message, std::move(field)),
        status_(status),
        reason_(std::move(reason)) {}

  int status() const noexcept { return status_; }
  const std::string& reason() const noexcept { return reason_; }

 private:
  int status_;
  std::string reason_;
};

/// The status of a request whose client has gone; it is logged and reaches nobody.
inline constexpr int kClientGone = 499;

/// The HTTP status that an error means.
int status_of(const Error& error) noexcept;

/// {"error": {"message", "type", "param", "code"}}, one line of valid UTF-8.
std::string error_body(const Error& error);

}  // namespace lille
