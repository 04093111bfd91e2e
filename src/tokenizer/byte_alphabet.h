#pragma once

#include <string>
#include <string_view>

namespace lille {

/// Turns a token written in GPT-2's alphabet, in which each of the 256 bytes is a printable character, into
/// its bytes.
/// @param bytes  gets the result; its former content is dropped.
/// @return false if `text` holds a character that stands for no byte.
/// Source: openai/gpt-2 src/encoder.py bytes_to_unicode.
bool decode_byte_alphabet(std::string& bytes, std::string_view text);

/// The inverse: any bytes as printable characters, in UTF-8.
std::string encode_byte_alphabet(std::string_view bytes);

}  // namespace lille
