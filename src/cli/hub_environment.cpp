#include "cli/hub_environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string>

#include "base/file.h"
#include "lille/error.h"

namespace lille::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxTokenBytes = 10'000;

/// The first of these variables that is set and not empty.
std::string variable(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  return {};
}

/// A folder that a variable names, with ~ for the user's home.
fs::path folder(const std::string& text) {
  if (text == "~" || text.starts_with("~/")) return fs::path(variable({"HOME"}) + text.substr(1));
  return text;
}

fs::path hugging_face_home() {
  if (const std::string home = variable({"HF_HOME"}); !home.empty()) return folder(home);
  if (const std::string cache = variable({"XDG_CACHE_HOME"}); !cache.empty())
    return folder(cache) / "huggingface";
  const std::string home = variable({"HOME"});
  return home.empty() ? fs::path() : fs::path(home) / ".cache/huggingface";
}

bool is_true(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

std::string trimmed(std::string text) {
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

std::string read_token(const fs::path& home, const TellNote& on_note) {
  if (const std::string token = trimmed(variable({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})); !token.empty())
    return token;
  const std::string named = variable({"HF_TOKEN_PATH"});
  if (named.empty() && home.empty()) return {};
  try {
    return trimmed(read_text_file(named.empty() ? home / "token" : folder(named), kMaxTokenBytes));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound)
      on_note(fmt::format("warning: no token is sent: {}", error.what()));
    return {};
  }
}

}  // namespace

HubOptions read_hub_environment(const TellNote& on_note) {
  HubOptions options;
  const fs::path home = hugging_face_home();
  if (const std::string endpoint = variable({"HF_ENDPOINT"}); !endpoint.empty()) options.endpoint = endpoint;
  options.offline = is_true(variable({"HF_HUB_OFFLINE"}));
  options.find_token = [home, on_note] { return read_token(home, on_note); };
  options.ca_file = folder(variable({"CURL_CA_BUNDLE", "SSL_CERT_FILE"}));
  const std::string cache = variable({"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  if (!cache.empty() || !home.empty()) options.cache_folder = cache.empty() ? home / "hub" : folder(cache);
  options.on_note = on_note;
  return options;
}

}  // namespace lille::cli
