#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/api_types.h"
#include "server/server_options.h"

namespace lille {

/// Whether two texts are equal, in a time that tells nothing of where they differ.
bool are_equal_secrets(std::string_view one, std::string_view other) noexcept;

/// Keys of a file, one a line; blank lines and those that begin with # are left out.
/// @throws Error(kNotFound | kIo); Error(kInvalidArgument) that names the file and the line for a key of
/// other
///   characters than visible ASCII or fewer than 16 of them, and for a file without a key.
std::vector<std::string> read_api_keys(const std::filesystem::path& path);

/// Whether only this machine can reach an address: localhost, 127.0.0.0/8, ::1.
bool is_loopback(std::string_view host);

/// Who may use the server: keys, names that the server is called by, and origins of web pages.
class AccessRules {
 public:
  /// @throws Error(kInvalidArgument) for an address that others reach without keys, unless that is asked for,
  ///   and for an origin that is none; Error as read_api_keys.
  explicit AccessRules(const ServerOptions& options);

  /// Refuses a request of somebody else.
  /// @param needs_key  whether this path is not for everybody.
  /// @throws RefusedRequest with status 401 or 403 that names the header.
  void check(const ApiRequest& request, bool needs_key) const;

  /// Headers that let the page which sent a request read the reply; none unless its origin is allowed.
  std::vector<std::pair<std::string, std::string>> cors_headers(const ApiRequest& request) const;
  /// The answer to a browser that asks before it sends a request; nothing for other requests.
  std::optional<ApiReply> preflight(const ApiRequest& request) const;

 private:
  bool allows_origin(const std::string& origin) const;
  void check_host(const ApiRequest& request) const;
  void check_origin(const ApiRequest& request) const;
  void check_key(const ApiRequest& request) const;

  std::vector<std::string> keys_;
  std::vector<std::string> origins_;
  std::vector<std::string> hosts_;  // empty: any
};

}  // namespace lille
