#include "hub/hub_name.h"

#include <algorithm>

#include "hub/model_files.h"

namespace lille {
namespace {

constexpr std::size_t kMaxRepoChars = 96;
constexpr std::size_t kMaxRevisionChars = 200;

bool is_alphanumeric(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool consists_of(std::string_view text, std::string_view marks) noexcept {
  return std::ranges::all_of(text, [&](char c) { return is_alphanumeric(c) || marks.find(c) != marks.npos; });
}

bool is_dot_or_dash(char c) noexcept { return c == '.' || c == '-'; }

bool is_part_of_repo(std::string_view text) noexcept {
  return !text.empty() && consists_of(text, "._-") && !is_dot_or_dash(text.front()) &&
         !is_dot_or_dash(text.back()) && text.find("--") == text.npos && text.find("..") == text.npos;
}

}  // namespace

bool is_commit(std::string_view text) noexcept {
  return text.size() == 40 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_revision(std::string_view text) noexcept {
  if (text.size() > kMaxRevisionChars) return false;
  while (true) {
    const std::string_view part = text.substr(0, text.find('/'));
    if (part.empty() || part.front() == '.' || !consists_of(part, "._-+")) return false;
    if (part.size() == text.size()) return true;
    text.remove_prefix(part.size() + 1);
  }
}

std::optional<HubName> parse_hub_name(std::string_view whole) {
  const std::string_view text = whole.substr(0, whole.find(':'));
  const std::string_view repo = text.substr(0, text.find('@'));
  const std::size_t slash = repo.find('/');
  if (slash == repo.npos || repo.size() > kMaxRepoChars) return std::nullopt;
  HubName name{.owner = std::string(repo.substr(0, slash)), .name = std::string(repo.substr(slash + 1))};
  if (repo.size() < text.size()) name.revision = text.substr(repo.size() + 1);
  if (text.size() < whole.size()) {
    name.file = whole.substr(text.size() + 1);
    if (!is_gguf_name(name.file)) return std::nullopt;
  }
  std::string digits = name.revision;
  std::ranges::transform(digits, digits.begin(),
                         [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (is_commit(digits)) name.revision = digits;
  if (!is_part_of_repo(name.owner) || !is_part_of_repo(name.name) || !is_revision(name.revision))
    return std::nullopt;
  return name;
}

}  // namespace lille
