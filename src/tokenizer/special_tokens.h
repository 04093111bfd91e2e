#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace lille {

/// The control tokens of Hastings.
enum class SpecialToken { kPad, kEndOfText, kAssistant, kUser, kStartOfText };

/// Their names, in the order of SpecialToken. None is the beginning of another.
/// Source: Nikityyy/Hastings create_tokenizer.py.
inline constexpr std::array<std::string_view, 5> kSpecialTokenNames = {
    "<|pad|>", "<|endoftext|>", "<|assistant|>", "<|user|>", "<|startoftext|>"};

/// The token called `name`, if there is one.
constexpr std::optional<SpecialToken> special_token_from_name(std::string_view name) noexcept {
  for (std::size_t token_idx = 0; token_idx < kSpecialTokenNames.size(); ++token_idx)
    if (kSpecialTokenNames[token_idx] == name) return static_cast<SpecialToken>(token_idx);
  return std::nullopt;
}

}  // namespace lille
