#include "lille/overflow.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"

namespace lille {
namespace {

constexpr std::array<std::pair<Overflow, std::string_view>, 3> kNames = {
    {{Overflow::kError, "error"},
     {Overflow::kTruncateLeft, "truncate-left"},
     {Overflow::kTrimTurns, "trim-turns"}}};

// Drops n_dropped tokens that follow the first n_kept.
FittedPrompt drop(std::span<const int32_t> prompt, std::size_t n_kept, std::size_t n_dropped) {
  FittedPrompt fitted;
  fitted.tokens.assign(prompt.begin(), prompt.end());
  const auto begin = fitted.tokens.begin() + static_cast<std::ptrdiff_t>(n_kept);
  fitted.tokens.erase(begin, begin + static_cast<std::ptrdiff_t>(n_dropped));
  fitted.n_dropped_tokens = static_cast<int64_t>(n_dropped);
  return fitted;
}

FittedPrompt trim_turns(std::span<const int32_t> prompt, const Tokenizer& tokenizer, std::size_t n_kept,
                        std::size_t n_limit) {
  // Whatever stands before the first question leaves with it.
  std::size_t begin = n_kept;
  int64_t n_turns = 0;
  int64_t n_dropped_turns = 0;
  for (std::size_t idx = n_kept; idx < prompt.size(); ++idx) {
    if (prompt[idx] != tokenizer.user_token_id()) continue;
    const bool is_still_too_long = n_kept + prompt.size() - begin > n_limit;
    if (n_turns > 0 && is_still_too_long) {
      begin = idx;
      n_dropped_turns = n_turns;
    }
    ++n_turns;
  }
  FittedPrompt fitted = drop(prompt, n_kept, begin - n_kept);
  fitted.n_dropped_turns = n_dropped_turns;
  return fitted;
}

}  // namespace

std::string_view overflow_name(Overflow overflow) noexcept {
  return std::ranges::find(kNames, overflow, &decltype(kNames)::value_type::first)->second;
}

std::optional<Overflow> overflow_from_name(std::string_view name) noexcept {
  const auto* const found = std::ranges::find(kNames, name, &decltype(kNames)::value_type::second);
  if (found == kNames.end()) return std::nullopt;
  return found->first;
}

FittedPrompt fit_prompt(std::span<const int32_t> prompt, const Tokenizer& tokenizer, int64_t n_context,
                        int64_t max_tokens, Overflow overflow) {
  const auto n_prompt = static_cast<int64_t>(prompt.size());
  if (n_prompt <= n_context) return drop(prompt, 0, 0);
  if (overflow == Overflow::kError)
    raise(ErrorCode::kInvalidArgument,
          "[generate] prompt: {} tokens are more than the context of {} tokens (block_size). Hint: shorten "
          "the prompt, or let overflow be truncate-left or trim-turns",
          n_prompt, n_context);

  // The last token of an answer is not read again, so it needs no place.
  const int64_t n_room = std::min(std::max<int64_t>(max_tokens - 1, 0), n_context / 2);
  const auto n_limit = static_cast<std::size_t>(n_context - n_room);
  const std::size_t n_kept = prompt.front() == tokenizer.bos_token_id() && n_limit > 1 ? 1 : 0;
  if (overflow == Overflow::kTruncateLeft) return drop(prompt, n_kept, prompt.size() - n_limit);

  FittedPrompt fitted = trim_turns(prompt, tokenizer, n_kept, n_limit);
  if (static_cast<int64_t>(fitted.tokens.size()) > n_context)
    raise(ErrorCode::kInvalidArgument,
          "[generate] prompt: {} tokens are more than the context of {} tokens (block_size), and so is its "
          "last turn of {} tokens. Hint: shorten it, or let overflow be truncate-left",
          n_prompt, n_context, fitted.tokens.size());
  return fitted;
}

}  // namespace lille
