#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lille::test {

/// A number as it stands in a .gguf file.
template <typename T>
std::string raw(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

/// A text with its length before it.
inline std::string gguf_text(std::string_view text) { return raw<uint64_t>(text.size()) + std::string(text); }

/// A key with the number of its type and the bytes of its value.
inline std::string gguf_key(std::string_view key, uint32_t type, std::string_view value) {
  return gguf_text(key) + raw(type) + std::string(value);
}

/// The entry of a tensor, extents innermost first.
inline std::string gguf_tensor(std::string_view name, const std::vector<uint64_t>& extents,
                               uint32_t ggml_type, uint64_t offset) {
  std::string entry = gguf_text(name) + raw(static_cast<uint32_t>(extents.size()));
  for (const uint64_t extent : extents) entry += raw(extent);
  return entry + raw(ggml_type) + raw(offset);
}

/// The bytes of a .gguf file, right or wrong, built without the project's writer.
struct GgufBytes {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<std::string> keys = {};
  std::vector<std::string> tensors = {};
  std::string data = {};
  std::size_t alignment = 32;

  std::string text() const { return text(tensors.size(), keys.size()); }

  std::string text(uint64_t n_tensors, uint64_t n_keys) const {
    std::string file = magic + raw(version) + raw(n_tensors) + raw(n_keys);
    for (const std::string& key : keys) file += key;
    for (const std::string& tensor : tensors) file += tensor;
    file.resize((file.size() + alignment - 1) / alignment * alignment, '\0');
    return file + data;
  }
};

}  // namespace lille::test
