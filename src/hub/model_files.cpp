#include "hub/model_files.h"

#include <algorithm>

#include "base/utf8.h"
#include "io/folder_files.h"
#include "io/safetensors.h"

namespace lille {
namespace {

constexpr std::size_t kMaxNameBytes = 1000;

bool contains(std::span<const std::string> files, std::string_view name) {
  return std::ranges::find(files, name) != files.end();
}

}  // namespace

bool is_safe_file_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxNameBytes || !is_valid_utf8(name)) return false;
  if (std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\\'; }))
    return false;
  while (true) {
    const std::string_view part = name.substr(0, name.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    if (part.size() == name.size()) return true;
    name.remove_prefix(part.size() + 1);
  }
}

bool is_gguf_name(std::string_view name) noexcept {
  return is_safe_file_name(name) && name.ends_with(".gguf") && name.find('/') == name.npos;
}

std::vector<std::string> first_files(std::span<const std::string> files) {
  if (!contains(files, kConfigFile)) return {};
  std::vector<std::string> first;
  for (const std::string_view name : kSideFiles)
    if (contains(files, name)) first.emplace_back(name);
  for (const std::string_view name : {kWeightIndexFile, kWeightFile}) {
    if (!contains(files, name)) continue;
    first.emplace_back(name);
    return first;
  }
  return {};
}

}  // namespace lille
