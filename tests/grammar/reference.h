#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/expression.h"

namespace lille::test {

/// All sentences of a grammar up to a length, over the bytes of an alphabet: the definition, by sets.
class ReferenceLanguage {
 public:
  using Texts = std::set<std::string>;

  ReferenceLanguage(const RuleSet& rules, std::string_view alphabet, std::size_t max_bytes)
      : rules_(rules), alphabet_(alphabet), max_bytes_(max_bytes), texts_(rules.rules.size()) {
    for (bool has_grown = true; has_grown;) {
      has_grown = false;
      for (std::size_t idx = 0; idx < rules.rules.size(); ++idx) {
        Texts texts = texts_of(rules.rules[idx]);
        has_grown = has_grown || texts.size() > texts_[idx].size();
        texts_[idx] = std::move(texts);
      }
    }
  }

  const Texts& sentences() const { return texts_[rules_.root]; }

 private:
  Texts joined(const Texts& left, const Texts& right) const {
    Texts all;
    for (const std::string& first : left)
      for (const std::string& second : right)
        if (first.size() + second.size() <= max_bytes_) all.insert(first + second);
    return all;
  }

  Texts texts_of(const Expression& expression) const {
    using Kind = Expression::Kind;
    Texts texts;
    switch (expression.kind) {
      case Kind::kBytes:
        if (expression.bytes.size() <= max_bytes_) texts.insert(expression.bytes);
        return texts;
      case Kind::kCharacters:
        for (const char c : alphabet_)
          for (const CharacterRange& range : expression.ranges)
            if (static_cast<uint32_t>(c) >= range.first && static_cast<uint32_t>(c) <= range.last)
              texts.insert(std::string(1, c));
        return texts;
      case Kind::kSequence:
        texts.insert("");
        for (const Expression& part : expression.parts) texts = joined(texts, texts_of(part));
        return texts;
      case Kind::kChoice:
        for (const Expression& part : expression.parts) texts.merge(texts_of(part));
        return texts;
      case Kind::kRule:
        return texts_[expression.rule];
      case Kind::kGraph:
        return texts_of_graph(expression);
      case Kind::kRepeat:
        break;
    }
    const Texts once = texts_of(expression.parts.front());
    Texts so_far = {""};
    if (expression.min == 0) texts = so_far;
    // What is repeated more often than there may be bytes has empty repetitions, which change nothing.
    for (uint32_t idx = 1; idx <= expression.max && idx <= expression.min + max_bytes_; ++idx) {
      so_far = joined(so_far, once);
      if (idx >= expression.min) texts.insert(so_far.begin(), so_far.end());
    }
    return texts;
  }

  // What leads to each state, until that grows no more.
  Texts texts_of_graph(const Expression& graph) const {
    std::map<uint32_t, Texts> texts = {{0, {""}}};
    for (bool has_grown = true; has_grown;) {
      has_grown = false;
      for (std::size_t idx = 0; idx < graph.steps.size(); ++idx) {
        Texts& target = texts[graph.steps[idx].to];
        const std::size_t n_before = target.size();
        target.merge(joined(texts[graph.steps[idx].from], texts_of(graph.parts[idx])));
        has_grown = has_grown || target.size() > n_before;
      }
    }
    return texts[Expression::kGraphEnd];
  }

  const RuleSet& rules_;
  std::string alphabet_;
  std::size_t max_bytes_;
  std::vector<Texts> texts_;
};

}  // namespace lille::test
