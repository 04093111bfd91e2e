#include "generate/stop_strings.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"

namespace lille {

void check_stop_strings(std::span<const std::string> stops, std::string_view name) {
  for (const std::string& stop : stops) {
    if (stop.empty())
      raise_field(
          "stop",
          "{}: expected strings of at least one character, got an empty one. Hint: leave it out, an answer "
          "then ends at the model's end token or max_tokens",
          name);
    if (!is_valid_utf8(stop))
      raise_field("stop", "{}: expected UTF-8 text, got \"{}\". Hint: convert it, for example with iconv",
                  name, printable(stop));
  }
}

StopStrings::Pattern::Pattern(std::string text) : bytes(std::move(text)), fallbacks(bytes.size()) {
  for (std::size_t idx = 1, n_equal = 0; idx < bytes.size(); ++idx) {
    while (n_equal > 0 && bytes[idx] != bytes[n_equal]) n_equal = fallbacks[n_equal - 1];
    if (bytes[idx] == bytes[n_equal]) ++n_equal;
    fallbacks[idx] = n_equal;
  }
}

void StopStrings::Pattern::advance(char byte) noexcept {
  while (n_matched > 0 && bytes[n_matched] != byte) n_matched = fallbacks[n_matched - 1];
  if (bytes[n_matched] == byte) ++n_matched;
}

StopStrings::StopStrings(std::span<const std::string> stops) : matched_idx_(stops.size()) {
  check_stop_strings(stops, "[generate] stop");
  for (const std::string& stop : stops) patterns_.emplace_back(stop);
}

StopStrings::Pattern* StopStrings::advance_all(char byte) noexcept {
  Pattern* found = nullptr;
  for (Pattern& pattern : patterns_) {
    pattern.advance(byte);
    const bool is_longest = found == nullptr || pattern.bytes.size() > found->bytes.size();
    if (pattern.is_complete() && is_longest) found = &pattern;
  }
  return found;
}

std::string StopStrings::add(std::string_view piece) {
  if (patterns_.empty()) return std::string(piece);
  if (matched() != nullptr) return {};
  for (const char byte : piece) {
    held_ += byte;
    const Pattern* found = advance_all(byte);
    if (found == nullptr) continue;
    matched_idx_ = static_cast<std::size_t>(found - patterns_.data());
    held_.resize(held_.size() - found->bytes.size());
    return std::exchange(held_, {});
  }
  const std::size_t n_held = std::ranges::max_element(patterns_, {}, &Pattern::n_matched)->n_matched;
  std::string shown = held_.substr(0, held_.size() - n_held);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopStrings::finalize() { return std::exchange(held_, {}); }

const std::string* StopStrings::matched() const noexcept {
  return matched_idx_ < patterns_.size() ? &patterns_[matched_idx_].bytes : nullptr;
}

}  // namespace lille
