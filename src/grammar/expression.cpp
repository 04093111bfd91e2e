#include "grammar/expression.h"

#include <algorithm>
#include <utility>

#include "grammar/utf8_ranges.h"

namespace lille {

Expression bytes_of(std::string bytes) {
  Expression expression;
  expression.kind = Expression::Kind::kBytes;
  expression.bytes = std::move(bytes);
  return expression;
}

Expression characters_of(std::vector<CharacterRange> ranges) {
  std::ranges::sort(ranges, {}, &CharacterRange::first);
  Expression expression;
  expression.kind = Expression::Kind::kCharacters;
  for (const CharacterRange& range : ranges) {
    if (expression.ranges.empty() || range.first > expression.ranges.back().last + 1)
      expression.ranges.push_back(range);
    else
      expression.ranges.back().last = std::max(expression.ranges.back().last, range.last);
  }
  return expression;
}

Expression sequence_of(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  Expression expression;
  expression.parts = std::move(parts);
  return expression;
}

Expression choice_of(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  Expression expression;
  expression.kind = Expression::Kind::kChoice;
  expression.parts = std::move(parts);
  return expression;
}

Expression repeat_of(Expression part, uint32_t min, uint32_t max) {
  Expression expression;
  expression.kind = Expression::Kind::kRepeat;
  expression.parts.push_back(std::move(part));
  expression.min = min;
  expression.max = max;
  return expression;
}

Expression optional_of(Expression part) { return repeat_of(std::move(part), 0, 1); }

Expression rule_of(uint32_t rule) {
  Expression expression;
  expression.kind = Expression::Kind::kRule;
  expression.rule = rule;
  return expression;
}

std::vector<CharacterRange> complement_of(std::vector<CharacterRange> ranges) {
  std::ranges::sort(ranges, {}, &CharacterRange::first);
  std::vector<CharacterRange> complement;
  uint32_t next = 0;
  for (const CharacterRange& range : ranges) {
    if (range.first > next) complement.push_back({next, range.first - 1});
    next = std::max(next, range.last + 1);
  }
  if (next <= kMaxCodePoint) complement.push_back({next, kMaxCodePoint});
  return complement;
}

uint32_t RuleSet::add(std::string name) {
  names.push_back(std::move(name));
  rules.emplace_back();
  return static_cast<uint32_t>(rules.size() - 1);
}

}  // namespace lille
