#include "server/web.h"

#include <fmt/format.h>

#include <algorithm>

namespace lille {
namespace {

constexpr std::string_view kIndex = "index.html";

struct ContentType {
  std::string_view ending;
  std::string_view name;
};
constexpr ContentType kContentTypes[] = {{".html", "text/html; charset=utf-8"},
                                         {".css", "text/css; charset=utf-8"},
                                         {".js", "text/javascript; charset=utf-8"},
                                         {".svg", "image/svg+xml"}};

constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri "
    "'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

std::string_view content_type_of(std::string_view name) {
  const auto* const found =
      std::ranges::find_if(kContentTypes, [&](const ContentType& one) { return name.ends_with(one.ending); });
  return found == std::end(kContentTypes) ? "application/octet-stream" : found->name;
}

}  // namespace

std::optional<WebFile> web_file(std::string_view path) {
  std::string_view name = kIndex;
  if (path != kPagePath) {
    if (!path.starts_with(kWebPrefix) || path.substr(kWebPrefix.size()) == kIndex) return std::nullopt;
    name = path.substr(kWebPrefix.size());
  }
  const auto found = std::ranges::find(kEmbeddedFiles, name, &EmbeddedFile::name);
  if (found == kEmbeddedFiles.end()) return std::nullopt;
  return WebFile{content_type_of(name), found->bytes, found->version};
}

ApiReply web_reply(const WebFile& file, const ApiRequest& request) {
  const std::string tag = fmt::format("\"{}\"", file.version);
  ApiReply reply;
  // It may be kept, but is asked for each time: another version of the program has other files.
  reply.headers = {{"ETag", tag},
                   {"Cache-Control", "no-cache"},
                   {"Content-Security-Policy", kPolicy},
                   {"X-Content-Type-Options", "nosniff"},
                   {"Referrer-Policy", "no-referrer"},
                   {"Cross-Origin-Opener-Policy", "same-origin"},
                   {"Cross-Origin-Resource-Policy", "same-origin"}};
  if (request.header("if-none-match") == tag) {
    reply.status = 304;
    return reply;
  }
  reply.content_type = file.content_type;
  reply.body = file.bytes;
  return reply;
}

}  // namespace lille
