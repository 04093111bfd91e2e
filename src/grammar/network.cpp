#include "grammar/network.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "grammar/utf8_ranges.h"

namespace lille {
namespace {

constexpr ByteRange kContinuation = {0x80, 0xbf};

// Whether a copy is as small as a reference to a rule.
bool is_small(const Expression& expression) {
  using Kind = Expression::Kind;
  return expression.kind == Kind::kRule ||
         (expression.kind == Kind::kBytes && expression.bytes.size() == 1) ||
         (expression.kind == Kind::kCharacters && expression.ranges.size() == 1 &&
          expression.ranges.front().last < 0x80);
}

}  // namespace

GrammarNetwork::GrammarNetwork(const RuleSet& rules) : where_(rules.where) {
  for (const Expression& expression : rules.rules) add_rule(&expression);
  // Repetitions append rules without a name.
  for (std::size_t idx = 0; idx < expressions_.size(); ++idx) {
    rule_ = static_cast<uint32_t>(idx);
    const uint32_t end = lay(*expressions_[idx], begins_[idx]);
    // What follows the end would belong to a loop.
    nodes_[end].empties.push_back(ends_[idx]);
  }
}

void GrammarNetwork::check_count(uint32_t count) const {
  if (count > kMaxRepetitions)
    raise(ErrorCode::kInvalidArgument, "{}: repetition: expected at most {} times, got {}", where_,
          kMaxRepetitions, count);
}

uint32_t GrammarNetwork::add_node() {
  if (nodes_.size() == kMaxGrammarPositions)
    raise(ErrorCode::kInvalidArgument,
          "{}: expected at most {} positions in all rules together, got more. Hint: repeat less, or shorter "
          "things",
          where_, kMaxGrammarPositions);
  nodes_.emplace_back().rule = rule_;
  return static_cast<uint32_t>(nodes_.size() - 1);
}

uint32_t GrammarNetwork::add_rule(const Expression* expression) {
  const uint32_t outer = rule_;
  rule_ = static_cast<uint32_t>(expressions_.size());
  expressions_.push_back(expression);
  begins_.push_back(add_node());
  ends_.push_back(add_node());
  return std::exchange(rule_, outer);
}

uint32_t GrammarNetwork::lay(const Expression& expression, uint32_t from) {
  using Kind = Expression::Kind;
  switch (expression.kind) {
    case Kind::kBytes:
      return lay_bytes(expression.bytes, from);
    case Kind::kCharacters:
      return lay_characters(expression.ranges, from);
    case Kind::kRepeat:
      return lay_repeat(expression, from);
    case Kind::kSequence:
      for (const Expression& part : expression.parts) from = lay(part, from);
      return from;
    case Kind::kChoice:
      return lay_choice(expression.parts, from);
    case Kind::kGraph:
      return lay_graph(expression, from);
    case Kind::kRule:
      break;
  }
  const uint32_t to = add_node();
  nodes_[from].rules.push_back({expression.rule, to});
  return to;
}

uint32_t GrammarNetwork::lay_bytes(const std::string& bytes, uint32_t from) {
  for (const char byte : bytes) {
    const uint32_t to = add_node();
    const auto value = static_cast<uint8_t>(byte);
    nodes_[from].bytes.push_back({value, value, to});
    from = to;
  }
  return from;
}

uint32_t GrammarNetwork::lay_choice(const std::vector<Expression>& choices, uint32_t from) {
  const uint32_t join = add_node();
  std::vector<std::string_view> texts;
  for (const Expression& choice : choices) {
    if (choice.kind == Expression::Kind::kBytes)
      texts.push_back(choice.bytes);
    else
      nodes_[lay(choice, from)].empties.push_back(join);
  }
  lay_texts(std::move(texts), from, join);
  return join;
}

// A trie: of many words that begin alike, one place follows from what they share.
void GrammarNetwork::lay_texts(std::vector<std::string_view> texts, uint32_t from, uint32_t to) {
  std::ranges::sort(texts);
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  std::vector<uint32_t> path = {from};  // after each byte of the text before
  std::string_view before;
  for (std::size_t idx = 0; idx < texts.size(); ++idx) {
    const std::string_view text = texts[idx];
    const bool is_beginning = idx + 1 < texts.size() && texts[idx + 1].starts_with(text);
    const auto [end, unused] = std::ranges::mismatch(text, before);
    path.resize(static_cast<std::size_t>(end - text.begin()) + 1);
    for (std::size_t depth = path.size() - 1; depth < text.size(); ++depth) {
      const auto byte = static_cast<uint8_t>(text[depth]);
      const uint32_t next = depth + 1 == text.size() && !is_beginning ? to : add_node();
      nodes_[path[depth]].bytes.push_back({byte, byte, next});
      path.push_back(next);
    }
    if (text.empty() || is_beginning) nodes_[path.back()].empties.push_back(to);
    before = text;
  }
}

uint32_t GrammarNetwork::lay_characters(const std::vector<CharacterRange>& ranges, uint32_t from) {
  // The node from which n continuation bytes, whichever they are, lead to the end.
  std::array<uint32_t, 4> any_tails = {add_node(), 0, 0, 0};
  const auto any_tail = [&](std::size_t n_bytes) {
    for (std::size_t n = 1; n <= n_bytes; ++n) {
      if (any_tails[n] != 0) continue;
      any_tails[n] = add_node();
      nodes_[any_tails[n]].bytes.push_back({kContinuation.first, kContinuation.last, any_tails[n - 1]});
    }
    return any_tails[n_bytes];
  };
  // Sequences are apart and in order, so that those that begin alike follow each other.
  ByteSequence before;
  std::array<uint32_t, 5> path = {from, 0, 0, 0, 0};
  for (const CharacterRange& range : ranges) {
    for (const ByteSequence& sequence : utf8_sequences(range)) {
      std::size_t n_special = sequence.n_bytes;
      while (n_special > 1 && sequence.bytes[n_special - 1] == kContinuation) --n_special;
      std::size_t n_shared = 0;
      while (n_shared + 1 < n_special && before.bytes[n_shared] == sequence.bytes[n_shared]) ++n_shared;
      for (std::size_t idx = n_shared; idx < n_special; ++idx) {
        const bool is_last = idx + 1 == n_special;
        const uint32_t to = is_last ? any_tail(sequence.n_bytes - n_special) : add_node();
        nodes_[path[idx]].bytes.push_back({sequence.bytes[idx].first, sequence.bytes[idx].last, to});
        path[idx + 1] = to;
      }
      before = sequence;
    }
  }
  return any_tails[0];
}

uint32_t GrammarNetwork::lay_repeat(const Expression& expression, uint32_t from) {
  const bool is_unbounded = expression.max == Expression::kUnbounded;
  check_count(expression.min);
  if (!is_unbounded) check_count(expression.max);
  Expression reference;
  const Expression* part = &expression.parts.front();
  const uint32_t n_copies = is_unbounded ? expression.min + 1 : expression.max;
  if (n_copies > 1 && !is_small(*part)) {
    reference = rule_of(add_rule(part));
    part = &reference;
  }
  // Behind so many of them: one more has to come, or may come.
  std::vector<uint32_t> before_min;
  std::vector<uint32_t> before_max;
  for (uint32_t idx = 0; idx < expression.min; ++idx) {
    if (idx > 0) before_min.push_back(from);
    from = lay(*part, from);
  }
  mark_alike(before_min);
  if (is_unbounded) {
    const uint32_t loop = add_node();
    nodes_[from].empties.push_back(loop);
    const uint32_t end = lay(*part, loop);
    nodes_[end].empties.push_back(loop);
    return loop;
  }
  const uint32_t join = add_node();
  for (uint32_t idx = expression.min; idx < expression.max; ++idx) {
    if (idx > 0) before_max.push_back(from);
    nodes_[from].empties.push_back(join);
    from = lay(*part, from);
  }
  nodes_[from].empties.push_back(join);
  mark_alike(before_max);
  return join;
}

uint32_t GrammarNetwork::lay_graph(const Expression& expression, uint32_t from) {
  std::vector<uint32_t> states = {add_node(), add_node()};
  nodes_[from].empties.push_back(states.front());
  for (std::size_t idx = 0; idx < expression.steps.size(); ++idx) {
    const Expression::Step& step = expression.steps[idx];
    while (states.size() <= std::max(step.from, step.to)) states.push_back(add_node());
    lay_step(expression.parts[idx], states[step.from], states[step.to]);
  }
  return states[Expression::kGraphEnd];
}

// What is one step of the matcher takes no position of its own.
void GrammarNetwork::lay_step(const Expression& part, uint32_t from, uint32_t to) {
  const auto is_ascii = [](const CharacterRange& range) { return range.last < 0x80; };
  if (part.kind == Expression::Kind::kRule) {
    nodes_[from].rules.push_back({part.rule, to});
  } else if (part.kind == Expression::Kind::kCharacters && std::ranges::all_of(part.ranges, is_ascii)) {
    for (const CharacterRange& range : part.ranges)
      nodes_[from].bytes.push_back({static_cast<uint8_t>(range.first), static_cast<uint8_t>(range.last), to});
  } else {
    nodes_[lay(part, from)].empties.push_back(to);
  }
}

void GrammarNetwork::mark_alike(const std::vector<uint32_t>& nodes) {
  for (std::size_t idx = 0; idx < nodes.size(); ++idx) {
    nodes_[nodes[idx]].like = nodes.front();
    nodes_[nodes[idx]].n_alike = static_cast<uint32_t>(nodes.size() - 1 - idx);
  }
}

std::vector<uint32_t> GrammarNetwork::skip_empty_steps() const {
  constexpr uint32_t kNotYet = ~uint32_t{0};
  std::vector<uint32_t> targets(nodes_.size(), kNotYet);
  std::vector<uint32_t> skipped;
  for (uint32_t begin = 0; begin < nodes_.size(); ++begin) {
    uint32_t idx = begin;
    for (; targets[idx] == kNotYet; idx = nodes_[idx].empties.front()) {
      const Node& node = nodes_[idx];
      // Itself for a while, so that a cycle ends here.
      targets[idx] = idx;
      if (node.empties.size() != 1 || !node.bytes.empty() || !node.rules.empty()) break;
      skipped.push_back(idx);
    }
    for (; !skipped.empty(); skipped.pop_back()) targets[skipped.back()] = targets[idx];
  }
  return targets;
}

GrammarNetwork::Reach GrammarNetwork::reach_end(bool over_bytes) const {
  constexpr uint32_t kNoRule = ~uint32_t{0};
  struct Step {
    uint32_t source;
    uint32_t rule;  // that has to reach its own end first
  };
  std::vector<std::vector<Step>> into(nodes_.size());
  for (uint32_t source = 0; source < nodes_.size(); ++source) {
    const Node& node = nodes_[source];
    for (const uint32_t target : node.empties) into[target].push_back({source, kNoRule});
    for (const auto& edge : node.rules) into[edge.target].push_back({source, edge.rule});
    if (over_bytes)
      for (const auto& edge : node.bytes) into[edge.target].push_back({source, kNoRule});
  }

  Reach reach = {std::vector<bool>(nodes_.size()), std::vector<bool>(begins_.size())};
  std::vector<std::vector<uint32_t>> waiting(begins_.size());
  std::vector<uint32_t> found;
  const auto find = [&](uint32_t node) {
    if (reach.nodes[node]) return;
    reach.nodes[node] = true;
    found.push_back(node);
  };
  for (const uint32_t end : ends_) find(end);
  while (!found.empty()) {
    const uint32_t node = found.back();
    found.pop_back();
    for (const Step& step : into[node]) {
      if (step.rule == kNoRule || reach.rules[step.rule])
        find(step.source);
      else
        waiting[step.rule].push_back(step.source);
    }
    const uint32_t rule = nodes_[node].rule;
    if (node != begins_[rule]) continue;
    reach.rules[rule] = true;
    for (const uint32_t source : waiting[rule]) find(source);
  }
  return reach;
}

}  // namespace lille
