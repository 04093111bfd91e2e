#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lille {

/// @param name  What the message begins with, as a user knows them.
/// @throws Error(kInvalidArgument) for an empty string and for one that is no UTF-8: stop strings are
///   compared byte by byte, and only between characters may an answer be cut.
void check_stop_strings(std::span<const std::string> stops, std::string_view name);

/// Ends a text that comes in pieces where one of several strings stands in it. The first string to be
/// complete ends it; of several that are complete at the same byte, the longest. So the result does not
/// depend on how the text is cut into pieces. Text is held back only while it may be the beginning of a stop
/// string, fewer bytes than the longest has. A byte of text costs a step for each string, on average.
class StopStrings {
 public:
  /// @throws Error(kInvalidArgument) as check_stop_strings.
  explicit StopStrings(std::span<const std::string> stops);

  /// Takes the next piece and returns what can be shown now; nothing after a stop string.
  std::string add(std::string_view piece);

  /// Ends the text: returns what was held back; nothing after a stop string.
  std::string finalize();

  /// The stop string that ended the text; null if none did.
  const std::string* matched() const noexcept;

 private:
  // Knuth, Morris and Pratt: fallbacks[n] is the length of the longest proper prefix of the first n + 1 bytes
  // that they also end with.
  struct Pattern {
    std::string bytes;
    std::vector<std::size_t> fallbacks;
    std::size_t n_matched = 0;  // bytes of the longest prefix that the text so far ends with

    explicit Pattern(std::string text);
    void advance(char byte) noexcept;
    bool is_complete() const noexcept { return n_matched == bytes.size(); }
  };

  // Lets each pattern see the byte; returns the longest that is complete, or null.
  Pattern* advance_all(char byte) noexcept;

  std::vector<Pattern> patterns_;
  std::string held_;  // what may be the beginning of a stop string
  std::size_t matched_idx_;
};

}  // namespace lille
