#include "server/access.h"

#include <algorithm>
#include <cctype>

#include "base/check.h"
#include "base/file.h"
#include "base/text.h"

namespace lille {
namespace {

constexpr std::size_t kMaxKeyFileBytes = 1 << 20;
constexpr std::size_t kMinKeyChars = 16;
constexpr std::size_t kMaxHeaderListChars = 1024;

// "localhost" of "localhost:8080", "[::1]" of "[::1]:8080".
std::string without_port(const std::string& host) {
  const std::size_t bracket = host.find(']');
  return host.substr(0, host.find(':', bracket == std::string::npos ? 0 : bracket));
}

bool is_visible_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

bool is_origin(std::string_view text) {
  const std::size_t scheme = text.find("://");
  return scheme != std::string_view::npos && scheme > 0 && scheme + 3 < text.size() &&
         is_visible_ascii(text) && text.find('/', scheme + 3) == std::string_view::npos;
}

}  // namespace

bool are_equal_secrets(std::string_view one, std::string_view other) noexcept {
  // Of the length of the longer; volatile, so that no compiler ends the loop early.
  volatile unsigned char difference = one.size() == other.size() ? 0 : 1;
  for (std::size_t idx = 0; idx < std::max(one.size(), other.size()); ++idx) {
    const char left = idx < one.size() ? one[idx] : '\0';
    const char right = idx < other.size() ? other[idx] : '\0';
    difference = difference | static_cast<unsigned char>(left ^ right);
  }
  return difference == 0;
}

std::vector<std::string> read_api_keys(const std::filesystem::path& path) {
  const std::string text = read_text_file(path, kMaxKeyFileBytes);
  std::vector<std::string> keys;
  std::size_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    // Neither is the key told: messages end up in logs.
    if (!is_visible_ascii(line) || line.size() < kMinKeyChars)
      raise(
          ErrorCode::kInvalidArgument,
          "--api-key-file: {}: line {}: expected a key of at least {} visible ASCII characters, got another. "
          "Hint: openssl rand -hex 32",
          printable_path(path), line_number, kMinKeyChars);
    keys.push_back(std::move(line));
  }
  if (keys.empty())
    raise(ErrorCode::kInvalidArgument, "--api-key-file: {}: expected a key on a line, got none",
          printable_path(path));
  return keys;
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host.starts_with("127.") || host == "::1" || host == "[::1]";
}

AccessRules::AccessRules(const ServerOptions& options) : origins_(options.cors_origin) {
  if (!options.api_key_file.empty()) keys_ = read_api_keys(options.api_key_file);
  if (keys_.empty() && !is_loopback(options.host) && !options.without_api_key)
    raise(ErrorCode::kInvalidArgument,
          "--host: {} can be reached from other machines: expected --api-key-file, got none. Hint: "
          "--without-api-key serves anybody",
          printable(options.host));
  for (const std::string& origin : origins_)
    if (origin != "*" && !is_origin(origin))
      raise(ErrorCode::kInvalidArgument,
            "--cors-origin: expected SCHEME://HOST[:PORT] without a path, or *, got \"{}\"",
            printable(origin));
  for (const std::string& name : options.allowed_host) hosts_.push_back(lower_case(name));
  if (is_loopback(options.host))
    for (const std::string name : {"localhost", "127.0.0.1", "[::1]"}) hosts_.push_back(name);
  if (!hosts_.empty()) hosts_.push_back(lower_case(options.host));
}

bool AccessRules::allows_origin(const std::string& origin) const {
  return std::ranges::any_of(origins_, [&](const std::string& one) { return one == "*" || one == origin; });
}

// A page on the web can have a name of its own lead to this machine; the browser then says that name.
void AccessRules::check_host(const ApiRequest& request) const {
  if (hosts_.empty()) return;
  const std::string host = without_port(lower_case(request.header("host")));
  if (std::ranges::find(hosts_, host) != hosts_.end()) return;
  throw RefusedRequest(
      403,
      fmt::format("Host: expected a name of this server, got \"{}\". Hint: --allowed-host adds one",
                  printable(request.header("host"))),
      "Host", "host_not_allowed");
}

// Browsers say which page a request comes from; what else sends an origin is treated alike.
void AccessRules::check_origin(const ApiRequest& request) const {
  const std::optional<std::string> origin = request.find_header("origin");
  if (!origin || allows_origin(*origin)) return;
  const std::string host = request.header("host");
  if (!host.empty() && (*origin == "http://" + host || *origin == "https://" + host)) return;
  throw RefusedRequest(
      403,
      fmt::format("Origin: web pages of \"{}\" may not use this server. Hint: --cors-origin allows "
                  "an origin",
                  printable(*origin)),
      "Origin", "origin_not_allowed");
}

void AccessRules::check_key(const ApiRequest& request) const {
  constexpr std::string_view kBearer = "bearer ";
  const std::string said = request.header("authorization");
  const bool is_bearer = lower_case(said.substr(0, kBearer.size())) == kBearer;
  const std::string_view key = is_bearer ? std::string_view(said).substr(kBearer.size()) : "";
  bool is_known = false;
  // All of them, so that the time does not tell which it is.
  for (const std::string& one : keys_) is_known |= are_equal_secrets(one, key);
  if (is_known) return;
  throw RefusedRequest(401, "Authorization: expected \"Bearer KEY\" with a key of this server",
                       "Authorization", "invalid_api_key");
}

void AccessRules::check(const ApiRequest& request, bool needs_key) const {
  check_host(request);
  check_origin(request);
  if (needs_key && !keys_.empty()) check_key(request);
}

std::vector<std::pair<std::string, std::string>> AccessRules::cors_headers(const ApiRequest& request) const {
  if (origins_.empty()) return {};
  const std::optional<std::string> origin = request.find_header("origin");
  // What a cache keeps depends on who asked, also if nobody did.
  if (!origin || !allows_origin(*origin)) return {{"Vary", "Origin"}};
  return {{"Vary", "Origin"},
          {"Access-Control-Allow-Origin", *origin},
          {"Access-Control-Expose-Headers", "X-Request-Id, X-Lille-Ignored-Fields, Retry-After"}};
}

std::optional<ApiReply> AccessRules::preflight(const ApiRequest& request) const {
  if (request.method != "OPTIONS" || !request.find_header("access-control-request-method"))
    return std::nullopt;
  check_host(request);
  check_origin(request);
  ApiReply reply;
  reply.status = 204;
  reply.headers = {{"Access-Control-Allow-Methods", "GET, POST, OPTIONS"}, {"Access-Control-Max-Age", "600"}};
  const std::string wanted = request.header("access-control-request-headers");
  const bool is_list = std::ranges::all_of(wanted, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == ',' || c == ' ';
  });
  if (!wanted.empty() && is_list && wanted.size() <= kMaxHeaderListChars)
    reply.headers.emplace_back("Access-Control-Allow-Headers", wanted);
  return reply;
}

}  // namespace lille
