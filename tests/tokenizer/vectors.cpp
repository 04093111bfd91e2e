#include "tokenizer/vectors.h"

#include <nlohmann/json.hpp>

#include "support.h"

namespace lille::test {
namespace {

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t digit_idx = 0; digit_idx < hex.size(); digit_idx += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(digit_idx, 2), nullptr, 16));
  return bytes;
}

Vectors read_vectors() {
  const nlohmann::json file =
      nlohmann::json::parse(read_file(source_path("tests/golden/hastings/vectors.json")));
  Vectors vectors;
  for (const auto& entry : file.at("text"))
    vectors.text.push_back({entry.at("text"), entry.at("ordinary"), entry.at("special")});
  for (const auto& entry : file.at("bytes"))
    vectors.bytes.push_back({from_hex(entry.at("hex")), entry.at("ids")});
  return vectors;
}

}  // namespace

const Vectors& tiktoken_vectors() {
  static const Vectors vectors = read_vectors();
  return vectors;
}

}  // namespace lille::test
