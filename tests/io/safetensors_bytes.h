#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lille::test {

/// The bytes of a .safetensors file with any header and any data, right or wrong.
inline std::string safetensors_bytes(std::string_view header, std::string_view data, uint64_t header_bytes) {
  std::string file(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes));
  file += header;
  file += data;
  return file;
}

inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  return safetensors_bytes(header, data, header.size());
}

}  // namespace lille::test
