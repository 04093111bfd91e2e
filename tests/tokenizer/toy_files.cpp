#include "tokenizer/toy_files.h"

#include <fmt/format.h>

#include <array>
#include <stdexcept>
#include <vector>

namespace lille::test {
namespace {

constexpr std::array kSpecialNames = {"<|pad|>", "<|endoftext|>", "<|assistant|>", "<|user|>",
                                      "<|startoftext|>"};

/// A character of GPT-2's byte alphabet, all of which have at most two bytes, and the byte it stands for.
struct Letter {
  std::string text;
  char byte;
};

/// GPT-2's alphabet in the order of its ids: bytes that stand for themselves first.
std::vector<Letter> byte_alphabet() {
  const auto utf8 = [](int code_point) {
    if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
    return std::string{static_cast<char>(0xc0 | code_point >> 6),
                       static_cast<char>(0x80 | (code_point & 0x3f))};
  };
  std::vector<Letter> printable;
  std::vector<Letter> others;
  for (int byte = 0; byte < 256; ++byte) {
    const bool is_printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    if (is_printable)
      printable.push_back({utf8(byte), static_cast<char>(byte)});
    else
      others.push_back({utf8(256 + static_cast<int>(others.size())), static_cast<char>(byte)});
  }
  printable.insert(printable.end(), others.begin(), others.end());
  return printable;
}

std::string json_string(const std::string& text) {
  return fmt::format("\"{}{}\"", text == "\"" || text == "\\" ? "\\" : "", text);
}

std::string mergeable_json() {
  std::string json;
  int id = 0;
  for (const Letter& letter : byte_alphabet())
    json += fmt::format("{}: {}, ", json_string(letter.text), id++);
  return json + "\"\u0120t\": 256, \"he\": 257, \"\u0120the\": 258";
}

}  // namespace

std::string toy_vocab_json() {
  std::string json = "{";
  json += mergeable_json();
  int id = 259;
  for (const char* name : kSpecialNames) json += fmt::format(", \"{}\": {}", name, id++);
  return json + "}";
}

std::string toy_merges_txt() { return "#version: 0.2\n\u0120 t\nh e\n\u0120t he\n"; }

std::string toy_tokenizer_json() {
  std::string added;
  int id = 259;
  for (const char* name : kSpecialNames) {
    if (!added.empty()) added += ", ";
    added += fmt::format("{{\"id\": {}, \"content\": \"{}\", \"special\": true}}", id++, name);
  }
  return fmt::format(
      "{{\"version\": \"1.0\", \"added_tokens\": [{}], \"normalizer\": null, \"pre_tokenizer\": {{\"type\": "
      "\"ByteLevel\"}}, \"model\": {{\"type\": \"BPE\", \"merges\": [[\"\u0120\", \"t\"], [\"h\", \"e\"], "
      "[\"\u0120t\", "
      "\"he\"]], \"vocab\": {{{}}}}}}}",
      added, mergeable_json());
}

std::string toy_pickle() {
  std::string ranks = "}(";
  int id = 0;
  for (const Letter& letter : byte_alphabet())
    ranks += pickle_bytes({&letter.byte, 1}) + "\x94" + pickle_int(id++);
  ranks += pickle_bytes(" t") + pickle_int(256) + pickle_bytes("he") + pickle_int(257) + "u(" +
           pickle_bytes(" the") + pickle_int(258) + "u";
  std::string specials = "}(";
  int special_id = 259;
  for (const char* name : kSpecialNames) specials += pickle_str(name) + pickle_int(special_id++);
  specials += "u";
  std::string pickle = "\x80\x04}\x94(";
  pickle += pickle_str("name") + pickle_str("toy") + pickle_str("mergeable_ranks") + ranks;
  return pickle + pickle_str("special_tokens") + specials + "u.";
}

std::string with_change(std::string text, std::string_view part, std::string_view replacement) {
  const std::size_t pos = text.find(part);
  if (pos == std::string::npos || text.find(part, pos + 1) != std::string::npos)
    throw std::logic_error(fmt::format("\"{}\" does not stand once in the toy file", part));
  return text.replace(pos, part.size(), replacement);
}

}  // namespace lille::test
