#include "hub/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>

#include "base/check.h"
#include "base/text.h"

namespace lille {
namespace {

constexpr std::size_t kMaxHeaderBytes = 64 << 10;
constexpr std::size_t kMaxErrorBytes = 64 << 10;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), lower);
  return result;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

bool fault_may_pass(CURLcode code) noexcept {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return false;
    default:
      return true;
  }
}

bool status_may_pass(int64_t status) noexcept {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

struct FreeList {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

void add_header(HeaderList& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer == nullptr) raise(ErrorCode::kOutOfMemory, "[http] no memory for a header");
  static_cast<void>(list.release());
  list.reset(longer);
}

/// One request under way, as curl's callbacks see it; an exception waits here until curl has returned.
struct Transfer {
  CURL* handle;
  HttpConnection::Sink sink;
  std::stop_token cancel;
  HttpResponse response = {};
  std::size_t n_header_bytes = 0;
  std::size_t n_error_bytes = 0;  ///< Of the body of an answer that is no success.
  std::exception_ptr thrown = nullptr;
};

std::size_t take_header(const char* data, std::size_t, std::size_t n_bytes, void* user) noexcept try {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line(data, n_bytes);
  // A status line begins a new answer: what came before was an interim one or a proxy's.
  if (line.starts_with("HTTP/")) transfer.response.headers.clear();
  transfer.n_header_bytes += n_bytes;
  if (transfer.n_header_bytes > kMaxHeaderBytes) return 0;
  if (const std::size_t colon = line.find(':'); colon != line.npos)
    transfer.response.headers[lower_case(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  return n_bytes;
} catch (...) {
  static_cast<Transfer*>(user)->thrown = std::current_exception();
  return 0;
}

std::size_t take_body(const char* data, std::size_t, std::size_t n_bytes, void* user) noexcept try {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.cancel.stop_requested()) return 0;
  long status = 0;
  curl_easy_getinfo(transfer.handle, CURLINFO_RESPONSE_CODE, &status);
  transfer.response.status = status;
  if (status >= 200 && status < 300) {
    transfer.sink(transfer.response, std::as_bytes(std::span(data, n_bytes)));
    return n_bytes;
  }
  // Read so that the connection can be used again, unless it is long.
  transfer.n_error_bytes += n_bytes;
  return transfer.n_error_bytes <= kMaxErrorBytes ? n_bytes : 0;
} catch (...) {
  static_cast<Transfer*>(user)->thrown = std::current_exception();
  return 0;
}

int look_at_cancel(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept {
  return static_cast<Transfer*>(user)->cancel.stop_requested() ? 1 : 0;
}

void set_options(CURL* handle, const HttpOptions& options) {
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, options.user_agent.c_str());
  if (!options.ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, options.ca_file.c_str());
  const long timeout_ms = std::max(1L, static_cast<long>(options.timeout_s * 1000));
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, (timeout_ms + 999) / 1000);
}

void set_callbacks(CURL* handle, Transfer& transfer) {
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, look_at_cancel);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &transfer);
}

void read_outcome(CURL* handle, HttpResponse& response) {
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  response.status = status;
  response.may_pass = status_may_pass(status);
  char* redirect_url = nullptr;
  curl_easy_getinfo(handle, CURLINFO_REDIRECT_URL, &redirect_url);
  if (redirect_url != nullptr) response.redirect_url = redirect_url;
  curl_off_t retry_after_s = 0;
  curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &retry_after_s);
  response.retry_after_s = static_cast<double>(std::max<curl_off_t>(retry_after_s, 0));
}

struct FreeUrl {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};

std::string url_part(CURLU* url, CURLUPart part, unsigned int flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, void (*)(void*)> owner(text, curl_free);
  return lower_case(text);
}

}  // namespace

std::string HttpResponse::header(std::string_view lower_case_name) const {
  const auto entry = headers.find(std::string(lower_case_name));
  return entry == headers.end() ? std::string() : entry->second;
}

struct HttpConnection::State {
  struct Free {
    void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
  };

  // Counted by curl, which makes it safe for several threads.
  struct Global {
    Global() {
      if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        raise(ErrorCode::kUnsupported, "[http] libcurl cannot be used on this system");
    }
    ~Global() { curl_global_cleanup(); }
    Global(const Global&) = delete;
    Global& operator=(const Global&) = delete;
  };

  HttpOptions options;
  Global global = {};
  std::unique_ptr<CURL, Free> handle{curl_easy_init()};
  std::array<char, CURL_ERROR_SIZE> fault = {};
};

HttpConnection::HttpConnection(HttpOptions options) : state_(new State{.options = std::move(options)}) {
  if (state_->handle == nullptr) raise(ErrorCode::kOutOfMemory, "[http] no memory for a connection");
}

HttpConnection::~HttpConnection() = default;

HttpResponse HttpConnection::perform(const HttpRequest& request, Sink sink) {
  CURL* handle = state_->handle.get();
  Transfer transfer{.handle = handle, .sink = sink, .cancel = state_->options.cancel};
  HeaderList headers;
  // A size is that of the file only if it comes uncompressed.
  add_header(headers, "Accept-Encoding: identity");
  if (!request.token.empty()) add_header(headers, "Authorization: Bearer " + request.token);

  curl_easy_reset(handle);
  state_->fault.fill('\0');
  set_options(handle, state_->options);
  set_callbacks(handle, transfer);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, state_->fault.data());
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_NOBODY, request.is_head ? 1L : 0L);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  const std::string range = fmt::format("{}-", request.first_byte);
  if (request.first_byte > 0) curl_easy_setopt(handle, CURLOPT_RANGE, range.c_str());

  const CURLcode code = curl_easy_perform(handle);
  if (transfer.thrown != nullptr) std::rethrow_exception(transfer.thrown);
  if (transfer.cancel.stop_requested()) raise(ErrorCode::kCanceled, "[http] canceled");
  HttpResponse response = std::move(transfer.response);
  read_outcome(handle, response);
  if (code == CURLE_OK || transfer.n_error_bytes > kMaxErrorBytes) return response;
  response.fault = printable(state_->fault[0] != '\0' ? state_->fault.data() : curl_easy_strerror(code), 200);
  response.is_certificate_fault = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
  response.may_pass = fault_may_pass(code);
  return response;
}

std::string origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, FreeUrl> parsed(curl_url());
  if (parsed == nullptr || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  const std::string scheme = url_part(parsed.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return {};
  if (!url_part(parsed.get(), CURLUPART_USER).empty() || !url_part(parsed.get(), CURLUPART_PASSWORD).empty())
    return {};
  return fmt::format("{}://{}:{}", scheme, url_part(parsed.get(), CURLUPART_HOST),
                     url_part(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

std::string escape_url(std::string_view text, bool keeps_slashes) {
  std::string result;
  for (const char c : text) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          std::string_view("-._~").find(c) != std::string_view::npos ||
                          (c == '/' && keeps_slashes);
    result += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return result;
}

}  // namespace lille
