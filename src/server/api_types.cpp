#include "server/api_types.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lille {
namespace {

using nlohmann::ordered_json;

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json() : ordered_json(text);
}

}  // namespace

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

int status_of(const Error& error) noexcept {
  if (const auto* refused = dynamic_cast<const RefusedRequest*>(&error)) return refused->status();
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kInvalidShape:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kUnsupported:
      return 501;
    // What is running ends early only when the server ends.
    case ErrorCode::kCanceled:
    case ErrorCode::kOutOfMemory:
      return 503;
    default:
      return 500;
  }
}

std::string error_body(const Error& error) {
  const auto* refused = dynamic_cast<const RefusedRequest*>(&error);
  const ordered_json body = {
      {"error",
       {{"message", error.what()},
        {"type", type_of(status_of(error))},
        {"param", text_or_null(error.field())},
        {"code", refused == nullptr ? ordered_json() : text_or_null(refused->reason())}}}};
  return body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace lille
