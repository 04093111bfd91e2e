#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "hub/http.h"
#include "hub/hub_name.h"
#include "lille/hub.h"

namespace lille {

/// What the hub says of a model.
struct HubListing {
  std::string commit;              ///< What the revision is at the moment.
  std::vector<std::string> files;  ///< Safe names (is_safe_file_name).
};

/// Reads the hub's answer, JSON, to the question for a model at name.revision.
/// @throws Error(kCorruptFile) if it makes no sense, tells of another commit than the one that was asked for,
/// or
///   names an unsafe file.
HubListing read_listing(std::string_view answer, const HubName& name);

/// What the hub announces of a file.
struct HubFile {
  std::string name;
  std::string etag;  ///< Fit for a file name; where hash_kind() knows its form, the hash of the content.
  int64_t n_bytes = 0;
};

/// Asks the hub: sends the token where it belongs and only there, follows redirections, tries again what may
/// pass, and turns refusals into errors that say what to do. Used by one thread at a time.
class HubClient {
 public:
  /// @param options  must outlive the client.
  /// @param n_attempts  instead of options.n_attempts.
  /// @throws Error(kInvalidArgument) for an endpoint that is no URL of HTTP or HTTPS, or a token with
  ///   characters that no token has.
  HubClient(const HubOptions& options, int64_t n_attempts);

  /// @throws Error(kNotFound) for an unknown model or revision, Error(kIo), Error(kCorruptFile) for an answer
  ///   that makes no sense or names an unsafe file, Error(kCanceled).
  HubListing list(const HubName& name);

  /// @throws as list().
  HubFile look_up(const HubName& name, const std::string& commit, const std::string& file);

  /// One attempt to get a file's content from byte `first_byte` on, through whatever redirections.
  /// @throws Error(kCanceled | kIo), and what the sink throws.
  HttpResponse get(const HubName& name, const std::string& commit, const std::string& file,
                   int64_t first_byte, HttpConnection::Sink sink);

  /// After the n_failed-th failure in a row: waits if another attempt is worth it, else throws fail()'s
  /// error.
  void wait_or_fail(const HttpResponse& response, int64_t n_failed, const HubName& name,
                    std::string_view file);

 private:
  enum class Redirects { kAll, kSameOrigin };
  HttpResponse send(HttpRequest request, Redirects redirects, HttpConnection::Sink sink);
  HttpResponse ask(const HttpRequest& request, Redirects redirects, std::string& body, const HubName& name,
                   std::string_view file);
  [[noreturn]] void fail(const HttpResponse& response, const HubName& name, std::string_view file) const;

  const HubOptions& options_;
  int64_t n_attempts_;
  std::string endpoint_;  ///< Without a slash at its end.
  std::string origin_;
  HttpConnection connection_;
};

}  // namespace lille
