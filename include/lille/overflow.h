#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lille/tokenizer.h"

namespace lille {

/// What happens to a prompt that is longer than the context (block_size).
enum class Overflow {
  kError,         ///< It is refused.
  kTruncateLeft,  ///< Its oldest tokens are left out.
  kTrimTurns,     ///< The oldest whole turns of a chat are left out.
};

/// "error", "truncate-left" or "trim-turns".
std::string_view overflow_name(Overflow overflow) noexcept;
/// The inverse of overflow_name; nothing for another text.
std::optional<Overflow> overflow_from_name(std::string_view name) noexcept;

/// A prompt that the context has room for, and what was left out of it.
struct FittedPrompt {
  std::vector<int32_t> tokens;   ///< At least one, at most n_context.
  int64_t n_dropped_tokens = 0;  ///< Tokens that were left out.
  int64_t n_dropped_turns = 0;   ///< With kTrimTurns; a turn is a question with its answer.
};

/// Cuts a prompt that has more than n_context tokens; a shorter one stays as it is. A cut prompt leaves room
/// for an answer of max_tokens tokens, but at least half of the context stays the prompt's. If it begins with
/// `<|startoftext|>`, it still does.
/// kTrimTurns cuts where a turn begins, at `<|user|>`, and keeps the last turn in any case.
/// @param n_context   Most tokens of a prompt, at least 1: block_size.
/// @param max_tokens  Of the answer, >= 0.
/// @throws Error(kInvalidArgument) with both lengths for a prompt that is too long with kError, or whose last
///   turn alone is too long with kTrimTurns.
FittedPrompt fit_prompt(std::span<const int32_t> prompt, const Tokenizer& tokenizer, int64_t n_context,
                        int64_t max_tokens, Overflow overflow);

}  // namespace lille
