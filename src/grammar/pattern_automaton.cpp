#include "grammar/pattern_automaton.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "grammar/compiled_grammar.h"
#include "grammar/pattern.h"
#include "grammar/utf8_ranges.h"

namespace lille {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};
// What a state costs beside its edges, in steps.
constexpr std::size_t kStepsPerSet = 32;

// All characters, in classes whose characters are in the same of some sets.
class Alphabet {
 public:
  // The number of a set, which is added if it is not there yet. However often an expression is repeated, its
  // ranges are looked at once.
  uint32_t number_of(const Expression& characters, AutomatonWork& work) {
    const auto [known, is_first] = numbers_of_.try_emplace(&characters, 0);
    if (!is_first) return known->second;
    work.count(characters.ranges.size());
    std::vector<uint32_t> key;
    for (const CharacterRange& range : characters.ranges) key.insert(key.end(), {range.first, range.last});
    const auto [found, is_new] = numbers_.try_emplace(std::move(key), static_cast<uint32_t>(sets_.size()));
    if (is_new) sets_.push_back(characters.ranges);
    return known->second = found->second;
  }

  // Makes the classes of all sets.
  void divide(AutomatonWork& work) {
    std::vector<uint32_t> begins = {0, kSurrogates.first, kSurrogates.last + 1, kMaxCodePoint + 1};
    for (const std::vector<CharacterRange>& set : sets_)
      for (const CharacterRange& range : set) begins.insert(begins.end(), {range.first, range.last + 1});
    work.count(begins.size());
    std::ranges::sort(begins);
    begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
    // Each piece between two places where a range begins or ends lies in a set or outside.
    std::vector<uint32_t> pieces(begins.size() - 1, 0);
    uint32_t n_classes = 1;
    std::vector<std::vector<uint32_t>> pieces_of(sets_.size());
    for (std::size_t idx = 0; idx < sets_.size(); ++idx) {
      for (const CharacterRange& range : sets_[idx]) {
        auto begin = std::ranges::lower_bound(begins, range.first);
        for (; *begin <= range.last; ++begin)
          if (*begin != kSurrogates.first)
            pieces_of[idx].push_back(static_cast<uint32_t>(begin - begins.begin()));
      }
      work.count(pieces_of[idx].size());
      std::map<uint32_t, uint32_t> inside;
      for (const uint32_t piece : pieces_of[idx]) {
        const auto [found, is_new] = inside.try_emplace(pieces[piece], n_classes);
        n_classes += is_new ? 1 : 0;
        pieces[piece] = found->second;
      }
    }
    classes_.resize(n_classes);
    for (std::size_t piece = 0; piece < pieces.size(); ++piece)
      if (begins[piece] != kSurrogates.first)
        classes_[pieces[piece]].push_back({begins[piece], begins[piece + 1] - 1});
    for (const std::vector<uint32_t>& set_pieces : pieces_of) {
      std::vector<uint32_t>& classes = classes_of_.emplace_back();
      for (const uint32_t piece : set_pieces) classes.push_back(pieces[piece]);
      std::ranges::sort(classes);
      classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
    }
  }

  std::size_t n_classes() const { return classes_.size(); }
  const std::vector<CharacterRange>& characters(uint32_t character_class) const {
    return classes_[character_class];
  }
  const std::vector<uint32_t>& classes_of(uint32_t set) const { return classes_of_[set]; }

 private:
  std::map<std::vector<uint32_t>, uint32_t> numbers_;
  std::unordered_map<const Expression*, uint32_t> numbers_of_;
  std::vector<std::vector<CharacterRange>> sets_;
  std::vector<std::vector<CharacterRange>> classes_;
  std::vector<std::vector<uint32_t>> classes_of_;
};

// A nondeterministic automaton for the texts that a pattern is found in.
class PatternNetwork {
 public:
  // Of the nodes of a chain the first ones have all the texts that the later ones have: x{0,3} has those of
  // x{0,2}. A node is left over nothing and, if it has a set, over a character; one that is an anchor over
  // nothing and only where the text begins or ends.
  struct Node {
    std::vector<uint32_t> empties;
    uint32_t set = kNone;
    uint32_t target = kNone;
    uint32_t anchor = kNone;
    uint32_t chain = kNone;
  };

  PatternNetwork(const Expression& pattern, AutomatonWork& work) : work_(work) {
    const Expression any = characters_of({{0, kMaxCodePoint}});
    // Whatever stands before the pattern, and behind it.
    const uint32_t before = add_node();
    set_character(before, any, before);
    const uint32_t begin = add_node();
    nodes_[before].empties.push_back(begin);
    end_ = lay(pattern, begin);
    const uint32_t after = add_node();
    nodes_[end_].empties.push_back(after);
    end_ = after;
    set_character(end_, any, end_);
    alphabet_.divide(work);
  }

  const Alphabet& alphabet() const { return alphabet_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  uint32_t n_chains() const { return n_chains_; }
  uint32_t begin() const { return 0; }
  uint32_t end() const { return end_; }

  // From which nodes the end can be reached.
  std::vector<bool> reach_end(bool over_characters, bool over_begin) const {
    std::vector<std::vector<uint32_t>> sources(nodes_.size());
    for (uint32_t idx = 0; idx < nodes_.size(); ++idx) {
      const Node& node = nodes_[idx];
      if (node.anchor == kPatternBegin && !over_begin) continue;
      for (const uint32_t target : node.empties) sources[target].push_back(idx);
      if (node.set != kNone && over_characters) sources[node.target].push_back(idx);
    }
    std::vector<bool> reached(nodes_.size());
    std::vector<uint32_t> found = {end_};
    reached[end_] = true;
    while (!found.empty()) {
      const uint32_t node = found.back();
      found.pop_back();
      for (const uint32_t source : sources[node]) {
        if (reached[source]) continue;
        reached[source] = true;
        found.push_back(source);
      }
    }
    return reached;
  }

 private:
  uint32_t add_node() {
    work_.count(1);
    work_.check_size(nodes_.size() + 1);
    nodes_.emplace_back();
    return static_cast<uint32_t>(nodes_.size() - 1);
  }

  void set_character(uint32_t node, const Expression& characters, uint32_t target) {
    nodes_[node].set = alphabet_.number_of(characters, work_);
    nodes_[node].target = target;
  }

  uint32_t lay(const Expression& expression, uint32_t from) {
    using Kind = Expression::Kind;
    work_.count(1);
    if (expression.kind == Kind::kSequence) {
      for (const Expression& part : expression.parts) from = lay(part, from);
      return from;
    }
    if (expression.kind == Kind::kRepeat) return lay_repeat(expression, from);
    if (expression.kind == Kind::kChoice) {
      const uint32_t join = add_node();
      for (const Expression& part : expression.parts) {
        const uint32_t begin = add_node();
        nodes_[from].empties.push_back(begin);
        const uint32_t end = lay(part, begin);
        nodes_[end].empties.push_back(join);
      }
      return join;
    }
    if (expression.kind == Kind::kRule) return lay_anchor(expression.rule, from);
    LILLE_CHECK(expression.kind == Kind::kCharacters);
    const uint32_t here = lay_character(from);
    const uint32_t to = add_node();
    set_character(here, expression, to);
    return to;
  }

  uint32_t lay_anchor(uint32_t anchor, uint32_t from) {
    const uint32_t here = add_node();
    nodes_[from].empties.push_back(here);
    nodes_[here].anchor = anchor;
    const uint32_t to = add_node();
    nodes_[here].empties.push_back(to);
    return to;
  }

  // A node for a set; it may be the one before.
  uint32_t lay_character(uint32_t from) {
    const Node& node = nodes_[from];
    if (node.set == kNone && node.anchor == kNone && node.empties.empty()) return from;
    const uint32_t here = add_node();
    nodes_[from].empties.push_back(here);
    return here;
  }

  uint32_t lay_repeat(const Expression& expression, uint32_t from) {
    const Expression& part = expression.parts.front();
    for (uint32_t idx = 0; idx < expression.min; ++idx) from = lay(part, from);
    const uint32_t join = add_node();
    if (expression.max == Expression::kUnbounded) {
      nodes_[from].empties.push_back(join);
      const uint32_t end = lay(part, join);
      nodes_[end].empties.push_back(join);
      // What follows is no part of the loop.
      const uint32_t behind = add_node();
      nodes_[join].empties.push_back(behind);
      return behind;
    }
    const uint32_t chain = n_chains_++;
    for (uint32_t idx = expression.min; idx < expression.max; ++idx) {
      nodes_[from].empties.push_back(join);
      const auto here = static_cast<uint32_t>(nodes_.size());
      from = lay(part, from);
      if (part.kind == Expression::Kind::kCharacters) nodes_[here].chain = chain;
    }
    nodes_[from].empties.push_back(join);
    return join;
  }

  AutomatonWork& work_;
  Alphabet alphabet_;
  std::vector<Node> nodes_;
  uint32_t end_ = 0;
  uint32_t n_chains_ = 0;
};

// The sets of nodes that texts lead to, each a state.
class SubsetConstruction {
 public:
  SubsetConstruction(const PatternNetwork& network, AutomatonWork& work)
      : network_(network),
        work_(work),
        may_follow_(network.reach_end(true, false)),
        ends_(network.reach_end(false, false)),
        ends_at_begin_(network.reach_end(false, true)),
        stamps_(network.nodes().size()),
        chain_stamps_(network.n_chains()),
        targets_(network.alphabet().n_classes()) {}

  Automaton make() {
    const std::vector<uint32_t> begin = closure({network_.begin()}, true);
    const bool is_accepting = has_one_of(begin, ends_at_begin_);
    sets_.push_back(begin);
    automaton_.states.push_back({{}, is_accepting});
    // Later texts may lead to the same nodes, of which ^ needs another state if the end depends on it.
    if (is_accepting == has_one_of(begin, ends_)) numbers_.emplace(begin, 0);
    for (uint32_t idx = 0; idx < sets_.size(); ++idx) add_edges(idx);
    return trimmed(automaton_);
  }

 private:
  using Set = std::vector<uint32_t>;

  static bool has_one_of(const Set& set, const std::vector<bool>& nodes) {
    return std::ranges::any_of(set, [&nodes](uint32_t node) { return nodes[node]; });
  }

  // The nodes that these lead to over nothing and from which something leads on.
  Set closure(const Set& from, bool is_at_begin) {
    ++stamp_;
    Set open;
    Set found;
    const auto add = [&](uint32_t node) {
      if (stamps_[node] == stamp_ || !(may_follow_[node] || is_at_begin)) return;
      stamps_[node] = stamp_;
      open.push_back(node);
    };
    for (const uint32_t node : from) add(node);
    while (!open.empty()) {
      const uint32_t idx = open.back();
      open.pop_back();
      const PatternNetwork::Node& node = network_.nodes()[idx];
      work_.count(1 + node.empties.size());
      // Whatever follows, the pattern was found.
      if (idx == network_.end()) return {idx};
      if (node.set != kNone || node.anchor == kPatternEnd) found.push_back(idx);
      if (node.anchor == kPatternEnd || (node.anchor == kPatternBegin && !is_at_begin)) continue;
      for (const uint32_t target : node.empties) add(target);
    }
    std::ranges::sort(found);
    std::erase_if(found, [this](uint32_t node) {
      const uint32_t chain = network_.nodes()[node].chain;
      return chain != kNone && std::exchange(chain_stamps_[chain], stamp_) == stamp_;
    });
    return found;
  }

  void add_edges(uint32_t state) {
    std::vector<uint32_t> touched;
    for (const uint32_t idx : sets_[state]) {
      const PatternNetwork::Node& node = network_.nodes()[idx];
      if (node.set == kNone) continue;
      const std::vector<uint32_t>& classes = network_.alphabet().classes_of(node.set);
      work_.count(classes.size());
      for (const uint32_t character_class : classes) {
        if (targets_[character_class].empty()) touched.push_back(character_class);
        targets_[character_class].push_back(node.target);
      }
    }
    std::vector<Automaton::Edge> edges;
    for (const uint32_t character_class : touched) {
      const Set set = closure(targets_[character_class], false);
      targets_[character_class].clear();
      if (set.empty()) continue;
      const uint32_t target = number_of(set);
      const std::vector<CharacterRange>& ranges = network_.alphabet().characters(character_class);
      work_.count(ranges.size());
      for (const CharacterRange& range : ranges) edges.push_back({range.first, range.last, target});
    }
    std::ranges::sort(edges, {}, &Automaton::Edge::first);
    automaton_.states[state].edges = std::move(edges);
  }

  uint32_t number_of(const Set& set) {
    const auto [found, is_new] = numbers_.try_emplace(set, static_cast<uint32_t>(sets_.size()));
    if (!is_new) return found->second;
    work_.count(set.size() + kStepsPerSet);
    work_.check_size(sets_.size() + 1);
    sets_.push_back(set);
    automaton_.states.push_back({{}, has_one_of(set, ends_)});
    return found->second;
  }

  const PatternNetwork& network_;
  AutomatonWork& work_;
  std::vector<bool> may_follow_;     // the end, after a character
  std::vector<bool> ends_;           // where the text ends here
  std::vector<bool> ends_at_begin_;  // where it begins and ends here
  std::vector<uint32_t> stamps_;
  std::vector<uint32_t> chain_stamps_;
  uint32_t stamp_ = 0;
  std::vector<Set> targets_;  // by class; empty between two calls
  std::vector<Set> sets_;
  std::unordered_map<Set, uint32_t, NumbersHash> numbers_;
  Automaton automaton_;
};

Automaton automaton_of(const Expression& pattern, AutomatonWork& work) {
  const PatternNetwork network(pattern, work);
  return SubsetConstruction(network, work).make();
}

}  // namespace

Automaton pattern_automaton(std::string_view text, AutomatonWork& work) {
  const Pattern pattern = parse_pattern(text, work.where);
  Automaton texts = automaton_of(pattern.expression, work);
  for (const Pattern::LookAhead& look_ahead : pattern.look_aheads) {
    const Automaton seen = automaton_of(look_ahead.expression, work);
    texts = intersection(texts, look_ahead.is_negative ? complement(seen, work) : seen, work);
  }
  return texts;
}

}  // namespace lille
