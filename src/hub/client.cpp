#include "hub/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "base/text.h"
#include "base/wait.h"
#include "hub/model_files.h"
#include "io/json.h"
#include "lille/version.h"

namespace lille {
namespace {

constexpr int64_t kMaxRedirects = 10;
constexpr std::size_t kMaxListingBytes = 16 << 20;
constexpr int64_t kMaxFileBytes = int64_t{1} << 40;
constexpr std::size_t kMaxEtagChars = 200;
constexpr double kWaitWorthTelling = 4;

bool is_redirection(int64_t status) noexcept {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_visible_ascii(char c) noexcept { return c > 0x20 && c < 0x7f; }

std::string checked_endpoint(std::string endpoint) {
  if (origin_of(endpoint).empty() || endpoint.find_first_of("?#") != std::string::npos)
    raise(ErrorCode::kInvalidArgument,
          "[hub] HF_ENDPOINT: expected a URL such as https://huggingface.co, without a user's name, got "
          "something else. Hint: unset it to use the public hub");
  endpoint.erase(endpoint.find_last_not_of('/') + 1);
  return endpoint;
}

/// W/"abc" and "abc" as abc.
std::string plain_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

bool is_fit_for_a_file_name(std::string_view etag) noexcept {
  return !etag.empty() && etag.size() <= kMaxEtagChars && etag.front() != '.' &&
         etag.find('/') == etag.npos && std::ranges::all_of(etag, is_visible_ascii) &&
         !etag.ends_with(".incomplete");
}

int64_t read_size(std::string_view text) noexcept {
  int64_t n_bytes = -1;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), n_bytes);
  return failure == std::errc() && end == text.data() + text.size() ? n_bytes : -1;
}

/// What the hub itself says about a refusal, in brackets, or nothing.
std::string reason_text(const HttpResponse& response) {
  const std::string reason = response.header("x-error-message");
  return reason.empty() ? "" : fmt::format(" ({})", printable(reason, 200));
}

[[noreturn]] void fail_refused(const HttpResponse& response, const HubName& name, const std::string& endpoint,
                               bool has_token) {
  const bool is_gated = response.status == 403 || response.header("x-error-code") == "GatedRepo";
  const std::string token_hint = has_token
                                     ? "does the token that was sent belong to an account that may read it?"
                                     : "set HF_TOKEN to a token of an account that may read it";
  if (is_gated)
    raise(ErrorCode::kIo, "[hub] {}: {} refuses access with {}{}. Hint: ask for access at {}/{}; {}",
          name.text(), printable(endpoint), response.status, reason_text(response), printable(endpoint),
          name.repo(), token_hint);
  raise(ErrorCode::kNotFound,
        "[hub] {}: {} shows no such model ({}){}. Hint: is the name right? For a private "
        "one {}",
        name.text(), printable(endpoint), response.status, reason_text(response), token_hint);
}

}  // namespace

HubClient::HubClient(const HubOptions& options, int64_t n_attempts)
    : options_(options),
      n_attempts_(std::max<int64_t>(n_attempts, 1)),
      endpoint_(checked_endpoint(options.endpoint)),
      origin_(origin_of(endpoint_)),
      connection_({.user_agent = "lille/" LILLE_VERSION,
                   .ca_file = options.ca_file,
                   .timeout_s = options.timeout_s,
                   .cancel = options.cancel}) {
  if (!std::ranges::all_of(options.token, is_visible_ascii))
    raise(ErrorCode::kInvalidArgument,
          "[hub] the token: expected letters, digits and marks, got a blank or another character. Hint: look "
          "at HF_TOKEN, or at the file that HF_TOKEN_PATH names");
}

HttpResponse HubClient::send(HttpRequest request, Redirects redirects, HttpConnection::Sink sink) {
  HttpResponse first;
  // Where a chain of redirections has once left the hub, whoever it leads back is not trusted with the token.
  bool is_at_hub = true;
  for (int64_t n_redirects = 0; n_redirects <= kMaxRedirects; ++n_redirects) {
    is_at_hub = is_at_hub && origin_of(request.url) == origin_;
    request.token = is_at_hub ? options_.token : "";
    HttpResponse response = connection_.perform(request, sink);
    if (is_at_hub)
      for (const auto& [header, value] : first.headers)
        if (header.starts_with("x-")) response.headers.insert({header, value});
    if (!response.fault.empty() || !is_redirection(response.status) || response.redirect_url.empty())
      return response;
    if (redirects == Redirects::kSameOrigin && origin_of(response.redirect_url) != origin_) return response;
    request.url = response.redirect_url;
    first = std::move(response);
  }
  raise(
      ErrorCode::kIo,
      "[hub] {}: expected an answer after at most {} redirections, got another. Hint: is HF_ENDPOINT right?",
      printable(endpoint_), kMaxRedirects);
}

HttpResponse HubClient::ask(const HttpRequest& request, Redirects redirects, std::string& body,
                            const HubName& name, std::string_view file) {
  for (int64_t n_failed = 1;; ++n_failed) {
    body.clear();
    const auto collect = [&](const HttpResponse&, std::span<const std::byte> bytes) {
      if (bytes.size() > kMaxListingBytes - body.size())
        raise(ErrorCode::kCorruptFile,
              "[hub] {}: expected an answer of at most {} bytes, got more. Hint: is HF_ENDPOINT right?",
              name.text(), kMaxListingBytes);
      body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    HttpResponse response = send(request, redirects, collect);
    const bool is_answer =
        response.fault.empty() &&
        (response.is_success() || (redirects == Redirects::kSameOrigin && is_redirection(response.status)));
    if (is_answer) return response;
    wait_or_fail(response, n_failed, name, file);
  }
}

HubListing HubClient::list(const HubName& name) {
  std::string body;
  const HttpRequest request{.url =
                                fmt::format("{}/api/models/{}/revision/{}", endpoint_,
                                            escape_url(name.repo(), true), escape_url(name.revision, false))};
  ask(request, Redirects::kAll, body, name, "");
  return read_listing(body, name);
}

HubListing read_listing(std::string_view text, const HubName& name) {
  const std::string source = fmt::format("the answer for {}", name.text());
  const nlohmann::json answer = parse_json_object(text, {.action = "hub", .file = source});
  HubListing listing;
  const auto sha = answer.find("sha");
  if (sha != answer.end() && sha->is_string()) listing.commit = sha->get<std::string>();
  const auto siblings = answer.find("siblings");
  if (!is_commit(listing.commit) || siblings == answer.end() || !siblings->is_array())
    raise(ErrorCode::kCorruptFile,
          "[hub] {}: expected a commit and a list of files, got another answer. Hint: is HF_ENDPOINT right?",
          name.text());
  if (is_commit(name.revision) && listing.commit != name.revision)
    raise(ErrorCode::kCorruptFile,
          "[hub] {}: expected the commit that was asked for, got {}. Hint: do not trust this hub if it stays "
          "so",
          name.text(), listing.commit);
  for (const nlohmann::json& sibling : *siblings) {
    const auto file = sibling.is_object() ? sibling.find("rfilename") : sibling.end();
    if (file == sibling.end() || !file->is_string() ||
        !is_safe_file_name(file->get_ref<const std::string&>()))
      raise(ErrorCode::kCorruptFile,
            "[hub] {}: expected names of files inside the repository, got {}. Hint: do not trust this "
            "repository",
            name.text(), file == sibling.end() ? describe(sibling) : describe(*file));
    listing.files.push_back(file->get<std::string>());
  }
  return listing;
}

HubFile HubClient::look_up(const HubName& name, const std::string& commit, const std::string& file) {
  std::string body;
  const HttpRequest request{
      .url = fmt::format("{}/{}/resolve/{}/{}", endpoint_, name.repo(), commit, escape_url(file, true)),
      .is_head = true};
  const HttpResponse response = ask(request, Redirects::kSameOrigin, body, name, file);

  const std::string linked_etag = response.header("x-linked-etag");
  const std::string linked_size = response.header("x-linked-size");
  // The length of a redirection is that of its own text.
  const std::string length = is_redirection(response.status) ? "" : response.header("content-length");
  const HubFile announced{.name = file,
                          .etag = plain_etag(linked_etag.empty() ? response.header("etag") : linked_etag),
                          .n_bytes = read_size(linked_size.empty() ? length : linked_size)};
  const std::string repo_commit = response.header("x-repo-commit");
  if (!repo_commit.empty() && repo_commit != commit)
    raise(ErrorCode::kCorruptFile,
          "[hub] {}: {}: expected the file of commit {}, got that of {}. Hint: try again", name.text(),
          printable(file), commit, printable(repo_commit));
  if (!is_fit_for_a_file_name(announced.etag) || announced.n_bytes < 0 || announced.n_bytes > kMaxFileBytes)
    raise(ErrorCode::kCorruptFile,
          "[hub] {}: {}: expected an etag and a size of at most {} bytes, got the etag \"{}\" and the size "
          "\"{}\". "
          "Hint: is HF_ENDPOINT right?",
          name.text(), printable(file), kMaxFileBytes, printable(announced.etag),
          printable(linked_size.empty() ? length : linked_size));
  return announced;
}

HttpResponse HubClient::get(const HubName& name, const std::string& commit, const std::string& file,
                            int64_t first_byte, HttpConnection::Sink sink) {
  return send(
      {.url = fmt::format("{}/{}/resolve/{}/{}", endpoint_, name.repo(), commit, escape_url(file, true)),
       .first_byte = first_byte},
      Redirects::kAll, sink);
}

void HubClient::wait_or_fail(const HttpResponse& response, int64_t n_failed, const HubName& name,
                             std::string_view file) {
  const double backoff_s =
      options_.first_wait_s * std::ldexp(1.0, static_cast<int>(std::min<int64_t>(n_failed - 1, 16)));
  const double wait_s = std::max(std::min(backoff_s, options_.max_wait_s), response.retry_after_s);
  if (!response.may_pass || n_failed >= n_attempts_ || wait_s > options_.max_wait_s)
    fail(response, name, file);
  if (options_.on_note && (wait_s >= kWaitWorthTelling || response.retry_after_s > 0))
    options_.on_note(fmt::format(
        "{}: {}; trying again in {:.0f} s", printable(endpoint_),
        response.fault.empty() ? fmt::format("status {}", response.status) : response.fault, wait_s));
  wait_seconds(wait_s, options_.cancel);
}

void HubClient::fail(const HttpResponse& response, const HubName& name, std::string_view file) const {
  const std::string hub = printable(endpoint_);
  const std::string what = file.empty() ? name.text() : fmt::format("{}: {}", name.text(), printable(file));
  if (!response.fault.empty())
    raise(ErrorCode::kIo, "[hub] {}: expected an answer of {}, got: {}. Hint: {}", what, hub, response.fault,
          response.is_certificate_fault ? "CURL_CA_BUNDLE names a file of certificates to trust"
                                        : "look at the network, the proxy and HF_ENDPOINT; HF_HUB_OFFLINE=1 "
                                          "uses what is in the cache");
  if (response.status == 401 || response.status == 403)
    fail_refused(response, name, endpoint_, !options_.token.empty());
  if (response.status == 404 && file.empty())
    raise(ErrorCode::kNotFound, "[hub] {}: {} has no such {}{}. Hint: is the name right?", name.text(), hub,
          response.header("x-error-code") == "RevisionNotFound" ? "revision of this model"
                                                                : "model or revision",
          reason_text(response));
  if (response.status == 404)
    raise(ErrorCode::kNotFound, "[hub] {}: {} has no such file{}. Hint: try again", what, hub,
          reason_text(response));
  if (response.status == 429)
    raise(ErrorCode::kIo, "[hub] {}: {} asks for fewer requests (429). Hint: try again {}{}", what, hub,
          response.retry_after_s > 0 ? fmt::format("in {:.0f} s", response.retry_after_s) : "later",
          options_.token.empty() ? "; with HF_TOKEN set more are allowed" : "");
  raise(ErrorCode::kIo, "[hub] {}: expected a success of {}, got the status {}{}. Hint: {}", what, hub,
        response.status, reason_text(response),
        response.may_pass ? "try again later" : "is HF_ENDPOINT right?");
}

}  // namespace lille
