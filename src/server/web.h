#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "server/api_types.h"

namespace lille {

/// A file of src/server/web as the build put it into the program.
struct EmbeddedFile {
  std::string_view name;     ///< "app.js"
  std::string_view bytes;    ///< At least one.
  std::string_view version;  ///< A hash of the bytes, hexadecimal.
};

/// Every file of the page. Made by cmake/EmbedFiles.cmake.
extern const std::span<const EmbeddedFile> kEmbeddedFiles;

/// A file of the page as the web knows it.
struct WebFile {
  std::string_view content_type;  ///< "text/javascript; charset=utf-8"
  std::string_view bytes;
  std::string_view version;  ///< Changes when the bytes do.
};

/// Where the page is, and where its other files are.
inline constexpr std::string_view kPagePath = "/";
inline constexpr std::string_view kWebPrefix = "/web/";

/// The file at a path, "/" or "/web/app.js"; nothing for other paths.
std::optional<WebFile> web_file(std::string_view path);

/// The reply to a request for a file of the page, or 304 if the browser has it already. Its headers forbid
/// everything that the page does not do: other sources, inline scripts, frames, HTML made of text.
ApiReply web_reply(const WebFile& file, const ApiRequest& request);

}  // namespace lille
