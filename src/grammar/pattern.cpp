#include "grammar/pattern.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"
#include "grammar/compiled_grammar.h"
#include "grammar/grammar_text.h"
#include "grammar/utf8_ranges.h"

namespace lille {
namespace {

using Ranges = std::vector<CharacterRange>;

// Source: ECMA-262, 22.2.2.9 (CharacterClassEscape), 12.2 (white space), 12.3 (line terminators).
const Ranges kDigits = {{'0', '9'}};
const Ranges kWordCharacters = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const Ranges kSpaces = {{'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
                        {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                        {0x3000, 0x3000}, {0xfeff, 0xfeff}};
const Ranges kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

constexpr bool is_high_surrogate(uint32_t unit) { return unit >= 0xd800 && unit <= 0xdbff; }
constexpr bool is_low_surrogate(uint32_t unit) { return unit >= 0xdc00 && unit <= 0xdfff; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class PatternReader {
 public:
  PatternReader(std::string_view text, std::string_view where) : text_(text), where_(where) {}

  Pattern read() {
    Pattern pattern;
    while (std::optional<Pattern::LookAhead> look_ahead = read_look_ahead(pattern.look_aheads.empty()))
      pattern.look_aheads.push_back(std::move(*look_ahead));
    if (pattern.look_aheads.empty()) {
      pattern.expression = read_choice();
    } else {
      pattern.expression = sequence_of({rule_of(kPatternBegin), read_sequence()});
      if (is_at("|")) refuse("no choice beside look-ahead but in a group");
    }
    if (!is_at_end()) refuse("( before a )");
    return pattern;
  }

 private:
  bool is_at_end() const { return pos_ == text_.size(); }
  bool is_at(std::string_view part) const { return text_.substr(pos_).starts_with(part); }

  bool take(std::string_view part) {
    if (!is_at(part)) return false;
    pos_ += part.size();
    return true;
  }

  std::string place() const {
    const auto is_first_byte = [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0u) != 0x80u; };
    return fmt::format("{}: character {}", where_,
                       1 + std::ranges::count_if(text_.substr(0, pos_), is_first_byte));
  }

  [[noreturn]] void refuse(std::string_view expected) const {
    raise(ErrorCode::kInvalidArgument, "{}: expected {}, got {}", place(), expected,
          is_at_end() ? "the end" : '"' + printable(text_.substr(pos_), 30) + '"');
  }

  // Something of ECMA-262 that is none of the grammar's.
  [[noreturn]] void refuse_kind(std::string_view kind) const {
    raise(ErrorCode::kInvalidArgument,
          "{}: {} not understood, got \"{}\". Hint: docs/GRAMMAR.md lists what is", place(), kind,
          printable(text_.substr(pos_), 30));
  }

  // What stands in (?= ) or (?! ) at the beginning of a text: behind ^ if it is the first.
  std::optional<Pattern::LookAhead> read_look_ahead(bool is_first) {
    const std::size_t begin = pos_;
    if (is_first && !take("^")) return std::nullopt;
    const bool is_negative = is_at("(?!");
    if (!take("(?=") && !take("(?!")) {
      pos_ = begin;
      return std::nullopt;
    }
    ++depth_;
    Pattern::LookAhead look_ahead = {sequence_of({rule_of(kPatternBegin), read_choice()}), is_negative};
    --depth_;
    if (!take(")")) refuse(")");
    return look_ahead;
  }

  Expression read_choice() {
    std::vector<Expression> choices;
    do choices.push_back(read_sequence());
    while (take("|"));
    return choice_of(std::move(choices));
  }

  Expression read_sequence() {
    std::vector<Expression> parts;
    while (!is_at_end() && !is_at("|") && !is_at(")")) parts.push_back(read_term());
    return sequence_of(std::move(parts));
  }

  Expression read_term() {
    if (take("^")) return read_anchor(kPatternBegin);
    if (take("$")) return read_anchor(kPatternEnd);
    if (is_at("*") || is_at("+") || is_at("?") || is_at("{"))
      refuse("something to repeat before this, or \\ for the character itself");
    return read_repetition(read_atom());
  }

  Expression read_anchor(uint32_t rule) {
    if (is_at("*") || is_at("+") || is_at("?") || is_at("{")) refuse("no repetition of ^ and $");
    return rule_of(rule);
  }

  Expression read_atom() {
    if (is_at("(")) return read_group();
    if (take("[")) return characters_of(read_class());
    if (take(".")) return characters_of(complement_of(kLineEnds));
    Ranges ranges;
    if (const std::optional<uint32_t> character = read_character(ranges, false))
      ranges = {{*character, *character}};
    return characters_of(std::move(ranges));
  }

  Expression read_group() {
    if (is_at("(?=") || is_at("(?!")) refuse_kind("look-ahead but behind a ^ at the beginning is");
    if (is_at("(?<=") || is_at("(?<!")) refuse_kind("look-behind is");
    if (is_at("(?") && !is_at("(?:") && !is_at("(?<")) refuse_kind("groups with (? but (?: and (?<NAME> are");
    if (++depth_ > kMaxGrammarDepth)
      raise(ErrorCode::kInvalidArgument, "{}: expected at most {} levels of groups, got more", place(),
            kMaxGrammarDepth);
    take("(");
    if (take("?<"))
      read_group_name();
    else
      take("?:");
    Expression group = read_choice();
    if (!take(")")) refuse(")");
    --depth_;
    return group;
  }

  void read_group_name() {
    const std::size_t begin = pos_;
    while (!is_at_end() && (is_letter(text_[pos_]) || text_[pos_] == '_' || text_[pos_] == '$' ||
                            (is_digit(text_[pos_]) && pos_ > begin)))
      ++pos_;
    const std::string_view name = text_.substr(begin, pos_ - begin);
    if (name.empty() || !take(">"))
      refuse("the name of a group, of letters, digits, _ and $, and > behind it");
    if (names_.insert(name).second) return;
    pos_ = begin;
    raise(ErrorCode::kInvalidArgument, "{}: expected each name of a group once, got \"{}\" twice", place(),
          printable(name, 40));
  }

  Expression read_repetition(Expression part) {
    uint32_t min = 0;
    uint32_t max = Expression::kUnbounded;
    if (take("+"))
      min = 1;
    else if (take("?"))
      max = 1;
    else if (take("{"))
      read_bounds(min, max);
    else if (!take("*"))
      return part;
    // As few as can be first: the same texts.
    take("?");
    if (is_at("*") || is_at("+") || is_at("?") || is_at("{")) refuse("one repetition of a thing");
    return repeat_of(std::move(part), min, max);
  }

  // What stands behind {: m}, m,} or m,n}.
  void read_bounds(uint32_t& min, uint32_t& max) {
    max = min = read_count();
    if (take(",")) max = is_at("}") ? Expression::kUnbounded : read_count();
    if (!take("}")) refuse("} after the bounds of a repetition");
    if (max < min)
      raise(ErrorCode::kInvalidArgument, "{}: expected bounds in ascending order before this, got {{{},{}}}",
            place(), min, max);
  }

  uint32_t read_count() {
    const std::size_t begin = pos_;
    uint32_t count = 0;
    for (; !is_at_end() && is_digit(text_[pos_]); ++pos_) {
      count = count * 10 + static_cast<uint32_t>(text_[pos_] - '0');
      if (count <= kMaxRepetitions) continue;
      pos_ = begin;
      refuse(fmt::format("a number of repetitions up to {}", kMaxRepetitions));
    }
    if (pos_ == begin) refuse("a number of repetitions, or \\{ for the character itself");
    return count;
  }

  // What stands behind [.
  Ranges read_class() {
    const bool is_complement = take("^");
    Ranges ranges;
    while (!take("]")) {
      const std::optional<uint32_t> first = read_class_character(ranges);
      const bool is_range = is_at("-") && !is_at("-]");
      if (!is_range) {
        if (first) ranges.push_back({*first, *first});
        continue;
      }
      const std::size_t hyphen = pos_;
      take("-");
      const std::optional<uint32_t> last = read_class_character(ranges);
      if (first && last) {
        if (*last < *first) {
          pos_ = hyphen;
          refuse("characters in ascending order around this");
        }
        ranges.push_back({*first, *last});
        continue;
      }
      // Beside a class such as \w a hyphen stands for itself.
      ranges.push_back({'-', '-'});
      if (first) ranges.push_back({*first, *first});
      if (last) ranges.push_back({*last, *last});
    }
    return is_complement ? complement_of(std::move(ranges)) : ranges;
  }

  std::optional<uint32_t> read_class_character(Ranges& ranges) {
    if (is_at_end()) refuse("] at the end of the characters");
    return read_character(ranges, true);
  }

  // A character, or nothing if it was a class, whose characters are appended.
  std::optional<uint32_t> read_character(Ranges& ranges, bool is_in_class) {
    if (is_at("\\")) return read_escape(ranges, is_in_class);
    const Utf8Symbol symbol = first_utf8_symbol(text_.substr(pos_));
    if (symbol.code_point == Utf8Symbol::kNoCharacter) refuse("UTF-8");
    pos_ += symbol.n_bytes;
    return symbol.code_point;
  }

  std::optional<uint32_t> read_escape(Ranges& ranges, bool is_in_class) {
    constexpr std::string_view kLetters = "tnvfr";
    constexpr std::string_view kMeanings = "\t\n\v\f\r";
    refuse_escapes(is_in_class);
    const std::size_t begin = pos_;
    take("\\");
    const char letter = text_[pos_++];
    if (append_class(ranges, letter)) return std::nullopt;
    if (const std::size_t idx = kLetters.find(letter); idx != std::string_view::npos)
      return static_cast<unsigned char>(kMeanings[idx]);
    if (letter == 'b') return '\b';
    if (letter == '0') return 0;
    if (letter == 'x') return read_digits(2);
    if (letter == 'u') return read_code_point();
    if (letter == 'c' && !is_at_end() && is_letter(text_[pos_]))
      return static_cast<uint32_t>(text_[pos_++]) % 32;
    if (letter >= ' ' && letter < 0x7f && !is_letter(letter) && !is_digit(letter))
      return static_cast<uint32_t>(letter);
    pos_ = begin;
    refuse("\\ before one of d D w W s S t n v f r 0 cX xHH uHHHH u{H}, a sign or a space");
  }

  void refuse_escapes(bool is_in_class) const {
    if (is_at("\\p") || is_at("\\P")) refuse_kind("properties of characters are");
    if (is_at("\\k")) refuse_kind("references to groups are");
    if (is_at("\\B") || (is_at("\\b") && !is_in_class)) refuse_kind("bounds of words are");
    if (pos_ + 1 == text_.size()) refuse("a character behind \\");
    const bool has_more = pos_ + 2 < text_.size() && is_digit(text_[pos_ + 2]);
    if (is_digit(text_[pos_ + 1]) && (text_[pos_ + 1] != '0' || has_more))
      refuse_kind("references to groups and octal numbers are");
  }

  static bool append_class(Ranges& ranges, char letter) {
    const Ranges* const characters = letter == 'd' || letter == 'D'   ? &kDigits
                                     : letter == 'w' || letter == 'W' ? &kWordCharacters
                                     : letter == 's' || letter == 'S' ? &kSpaces
                                                                      : nullptr;
    if (characters == nullptr) return false;
    const Ranges taken = letter < 'a' ? complement_of(*characters) : *characters;
    ranges.insert(ranges.end(), taken.begin(), taken.end());
    return true;
  }

  uint32_t read_digits(std::size_t n_digits) {
    const std::optional<uint32_t> value = read_hex(pos_, text_, n_digits);
    if (!value) refuse(fmt::format("{} hexadecimal digits", n_digits));
    return *value;
  }

  // What stands behind \u; two halves of a pair are one character.
  uint32_t read_code_point() {
    const std::size_t begin = pos_;
    uint32_t code_point = 0;
    if (take("{")) {
      do code_point = code_point << 4 | read_digits(1);
      while (!is_at("}") && code_point <= kMaxCodePoint);
      if (!take("}")) code_point = kMaxCodePoint + 1;
    } else {
      code_point = read_digits(4);
      if (is_high_surrogate(code_point) && take("\\u")) {
        const uint32_t low = read_digits(4);
        if (is_low_surrogate(low)) return 0x10000 + ((code_point - 0xd800) << 10) + (low - 0xdc00);
      }
    }
    if (code_point <= kMaxCodePoint && !is_high_surrogate(code_point) && !is_low_surrogate(code_point))
      return code_point;
    pos_ = begin;
    refuse("the number of a character of Unicode");
  }

  std::string_view text_;
  std::string_view where_;
  std::size_t pos_ = 0;
  std::size_t depth_ = 0;
  std::set<std::string_view> names_;  // of groups
};

}  // namespace

Pattern parse_pattern(std::string_view text, std::string_view where) {
  return PatternReader(text, where).read();
}

}  // namespace lille
