#include "grammar/grammar_text.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"
#include "grammar/compiled_grammar.h"
#include "grammar/utf8_ranges.h"

namespace lille {
namespace {

constexpr std::string_view kDefines = "::=";
constexpr std::string_view kRoot = "root";
// Most repetitions of one thing in a row, as in x+?*.
constexpr std::size_t kMaxMarks = 4;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class GrammarReader {
 public:
  GrammarReader(std::string_view text, std::string_view where) : text_(text) { rules_.where = where; }

  RuleSet read() {
    skip_blanks();
    if (is_at_end()) refuse("a rule, such as root ::= \"yes\" | \"no\"");
    while (!is_at_end()) read_rule();
    const auto root = numbers_.find(kRoot);
    if (root == numbers_.end())
      raise(ErrorCode::kInvalidArgument, "{}: expected a rule named root, where a text begins, got none",
            rules_.where);
    for (uint32_t idx = 0; idx < rules_.rules.size(); ++idx)
      if (!is_defined_[idx])
        raise(ErrorCode::kInvalidArgument, "{}: line {}: expected a rule that is defined, got {}",
              rules_.where, line_of(first_named_[idx]), printable(rules_.names[idx]));
    rules_.root = root->second;
    return std::move(rules_);
  }

 private:
  bool is_at_end() const { return pos_ == text_.size(); }
  bool is_at(std::string_view part) const { return text_.substr(pos_).starts_with(part); }
  std::size_t line() const { return line_of(pos_); }
  std::size_t line_of(std::size_t pos) const {
    return 1 + static_cast<std::size_t>(std::ranges::count(text_.substr(0, pos), '\n'));
  }

  [[noreturn]] void refuse(std::string_view expected) const {
    const std::string_view rest = text_.substr(pos_, text_.substr(pos_).find_first_of("\r\n"));
    raise(ErrorCode::kInvalidArgument, "{}: line {}: expected {}, got {}", rules_.where, line(), expected,
          is_at_end()    ? "the end"
          : rest.empty() ? "the end of the line"
                         : '"' + printable(rest, 30) + '"');
  }

  bool take(std::string_view part) {
    if (!is_at(part)) return false;
    pos_ += part.size();
    return true;
  }

  void skip_blanks() {
    while (!is_at_end()) {
      const char c = text_[pos_];
      if (c == '#')
        pos_ = std::min(text_.find('\n', pos_), text_.size());
      else if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
        ++pos_;
      else
        return;
    }
  }

  std::string_view take_name() {
    std::size_t end = pos_;
    while (end < text_.size() && is_name_character(text_[end])) ++end;
    const std::string_view name = text_.substr(pos_, end - pos_);
    pos_ = end;
    return name;
  }

  uint32_t number_of(std::string_view name) {
    const auto [found, is_new] = numbers_.try_emplace(std::string(name), 0);
    if (!is_new) return found->second;
    is_defined_.push_back(false);
    first_named_.push_back(pos_);
    return found->second = rules_.add(std::string(name));
  }

  void read_rule() {
    const std::size_t begin = pos_;
    const std::string_view name = take_name();
    skip_blanks();
    if (name.empty() || !take(kDefines)) {
      pos_ = begin;
      refuse("NAME ::= and what the rule stands for");
    }
    const uint32_t number = number_of(name);
    if (is_defined_[number])
      raise(ErrorCode::kInvalidArgument, "{}: line {}: expected each rule once, got {} again", rules_.where,
            line(), printable(name));
    is_defined_[number] = true;
    Expression expression = read_choice();
    rules_.rules[number] = std::move(expression);
    if (!is_at_end() && !begins_rule()) refuse("a rule, or one of | ( [ . \" and names");
  }

  // Whether a rule's name and ::= come next: what stands before them has ended.
  bool begins_rule() {
    const std::size_t begin = pos_;
    const bool has_name = !take_name().empty();
    skip_blanks();
    const bool begins = has_name && is_at(kDefines);
    pos_ = begin;
    return begins;
  }

  Expression read_choice() {
    std::vector<Expression> choices;
    do {
      skip_blanks();
      choices.push_back(read_sequence());
    } while (take("|"));
    return choice_of(std::move(choices));
  }

  Expression read_sequence() {
    std::vector<Expression> parts;
    while (std::optional<Expression> part = read_item()) {
      skip_blanks();
      parts.push_back(read_repetitions(std::move(*part)));
    }
    return sequence_of(std::move(parts));
  }

  std::optional<Expression> read_item() {
    if (is_at_end()) return std::nullopt;
    if (take("\"")) return read_text();
    if (take("[")) return read_class();
    if (take(".")) return characters_of({{0, kMaxCodePoint}});
    if (take("(")) return read_group();
    if (!is_name_character(text_[pos_]) || begins_rule()) return std::nullopt;
    const std::size_t begin = pos_;
    const std::string_view name = take_name();
    const std::size_t end = std::exchange(pos_, begin);
    const uint32_t number = number_of(name);
    pos_ = end;
    return rule_of(number);
  }

  Expression read_group() {
    if (++depth_ > kMaxGrammarDepth)
      raise(ErrorCode::kInvalidArgument, "{}: line {}: expected at most {} levels of brackets, got more",
            rules_.where, line(), kMaxGrammarDepth);
    Expression group = read_choice();
    if (!take(")")) refuse(")");
    --depth_;
    return group;
  }

  Expression read_repetitions(Expression part) {
    for (std::size_t n_marks = 0;; ++n_marks) {
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
      if (n_marks == kMaxMarks)
        raise(ErrorCode::kInvalidArgument, "{}: line {}: expected at most {} repetitions of each other",
              rules_.where, line(), kMaxMarks);
      part = repeat_of(std::move(part), min, max);
      skip_blanks();
    }
  }

  // What stands behind {: m}, m,} or m,n}.
  void read_bounds(uint32_t& min, uint32_t& max) {
    skip_blanks();
    max = min = read_count();
    skip_blanks();
    if (take(",")) {
      skip_blanks();
      max = is_at("}") ? Expression::kUnbounded : read_count();
      skip_blanks();
    }
    if (!take("}")) refuse("} after the bounds of a repetition");
    if (max < min)
      raise(ErrorCode::kInvalidArgument, "{}: line {}: expected bounds in ascending order, got {{{},{}}}",
            rules_.where, line(), min, max);
  }

  uint32_t read_count() {
    const std::size_t begin = pos_;
    uint32_t count = 0;
    for (; !is_at_end() && text_[pos_] >= '0' && text_[pos_] <= '9'; ++pos_) {
      count = count * 10 + static_cast<uint32_t>(text_[pos_] - '0');
      if (count <= kMaxRepetitions) continue;
      pos_ = begin;
      refuse(fmt::format("a number of repetitions up to {}", kMaxRepetitions));
    }
    if (pos_ == begin) refuse("a number of repetitions");
    return count;
  }

  Expression read_text() {
    std::string bytes;
    while (!take("\"")) append_utf8(bytes, read_character("\" at the end of the text"));
    return bytes_of(std::move(bytes));
  }

  Expression read_class() {
    const bool is_complement = take("^");
    std::vector<CharacterRange> ranges;
    while (!take("]")) {
      const uint32_t first = read_character("] at the end of the characters");
      uint32_t last = first;
      if (is_at("-") && !is_at("-]")) {
        take("-");
        last = read_character("] at the end of the characters");
      }
      if (last < first) refuse("characters in ascending order before this");
      ranges.push_back({first, last});
    }
    if (is_complement) ranges = complement_of(std::move(ranges));
    if (ranges.empty()) refuse("a character between [ and ] before this");
    return characters_of(std::move(ranges));
  }

  uint32_t read_character(std::string_view expected_end) {
    if (is_at_end() || text_[pos_] == '\n' || text_[pos_] == '\r') refuse(expected_end);
    if (take("\\")) return read_escape();
    const Utf8Symbol symbol = first_utf8_symbol(text_.substr(pos_));
    if (symbol.code_point == Utf8Symbol::kNoCharacter) refuse("UTF-8");
    pos_ += symbol.n_bytes;
    return symbol.code_point;
  }

  uint32_t read_escape() {
    constexpr std::string_view kLetters = "nrt\\\"[]-^";
    constexpr std::string_view kMeanings = "\n\r\t\\\"[]-^";
    if (!is_at_end()) {
      const char letter = text_[pos_++];
      if (letter == 'x') return read_code_point(2);
      if (letter == 'u') return read_code_point(4);
      if (letter == 'U') return read_code_point(8);
      const std::size_t idx = kLetters.find(letter);
      if (idx != std::string_view::npos) return static_cast<unsigned char>(kMeanings[idx]);
      --pos_;
    }
    refuse("one of n r t \\ \" [ ] - ^ xHH uHHHH UHHHHHHHH behind \\");
  }

  uint32_t read_code_point(std::size_t n_digits) {
    const std::optional<uint32_t> code_point = read_hex(pos_, text_, n_digits);
    if (!code_point) refuse(fmt::format("{} hexadecimal digits", n_digits));
    if (*code_point > kMaxCodePoint || (*code_point >= kSurrogates.first && *code_point <= kSurrogates.last))
      raise(ErrorCode::kInvalidArgument, "{}: line {}: expected a character, got the number 0x{:x}",
            rules_.where, line(), *code_point);
    return *code_point;
  }

  std::string_view text_;
  std::size_t pos_ = 0;
  std::size_t depth_ = 0;
  RuleSet rules_;
  std::map<std::string, uint32_t, std::less<>> numbers_;
  std::vector<bool> is_defined_;
  std::vector<std::size_t> first_named_;  // where in the text
};

}  // namespace

RuleSet parse_grammar_text(std::string_view text, std::string_view where) {
  if (text.size() > kMaxGrammarBytes)
    raise(ErrorCode::kInvalidArgument, "{}: expected at most {} bytes, got {}", where, kMaxGrammarBytes,
          text.size());
  return GrammarReader(text, where).read();
}

}  // namespace lille
