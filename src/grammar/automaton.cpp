#include "grammar/automaton.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "grammar/compiled_grammar.h"
#include "grammar/utf8_ranges.h"

namespace lille {
namespace {

constexpr uint32_t kNoState = ~uint32_t{0};

// What a state costs beside its edges, in steps.
constexpr std::size_t kStepsPerState = 8;

// From which states an accepting one can be reached.
std::vector<bool> states_with_an_end(const Automaton& automaton) {
  const std::size_t n_states = automaton.states.size();
  // The sources of each state, one list behind the other.
  std::vector<uint32_t> begins(n_states + 1);
  for (const Automaton::State& state : automaton.states)
    for (const Automaton::Edge& edge : state.edges) ++begins[edge.target + 1];
  for (std::size_t idx = 0; idx < n_states; ++idx) begins[idx + 1] += begins[idx];
  std::vector<uint32_t> sources(begins.back());
  std::vector<uint32_t> next(begins.begin(), begins.end() - 1);
  std::vector<bool> has_end(n_states);
  std::vector<uint32_t> found;
  for (uint32_t idx = 0; idx < n_states; ++idx) {
    for (const Automaton::Edge& edge : automaton.states[idx].edges) sources[next[edge.target]++] = idx;
    if (!automaton.states[idx].is_accepting) continue;
    has_end[idx] = true;
    found.push_back(idx);
  }
  while (!found.empty()) {
    const uint32_t state = found.back();
    found.pop_back();
    for (uint32_t idx = begins[state]; idx < begins[state + 1]; ++idx) {
      if (has_end[sources[idx]]) continue;
      has_end[sources[idx]] = true;
      found.push_back(sources[idx]);
    }
  }
  return has_end;
}

// States, an end's after those it leads to: the path to the one that is looked at is on a stack of its own.
std::vector<uint32_t> ends_first(const Automaton& automaton) {
  struct Step {
    uint32_t state;
    std::size_t edge;
  };
  std::vector<uint32_t> order;
  std::vector<bool> is_seen(automaton.states.size());
  std::vector<Step> path = {{0, 0}};
  is_seen[0] = true;
  while (!path.empty()) {
    const std::vector<Automaton::Edge>& edges = automaton.states[path.back().state].edges;
    if (path.back().edge == edges.size()) {
      order.push_back(path.back().state);
      path.pop_back();
      continue;
    }
    const uint32_t target = edges[path.back().edge++].target;
    if (is_seen[target]) continue;
    is_seen[target] = true;
    path.push_back({target, 0});
  }
  return order;
}

}  // namespace

void AutomatonWork::count(std::size_t n_more) {
  n_steps += n_more;
  if (n_steps > kMaxAutomatonSteps)
    raise(ErrorCode::kInvalidArgument,
          "{}: expected patterns, formats, bounds and multiples that take at most {} steps to prepare "
          "together, got more. Hint: repeat less, or shorter things",
          where, kMaxAutomatonSteps);
}

void AutomatonWork::check_size(std::size_t size) const {
  if (size > kMaxGrammarPositions)
    raise(ErrorCode::kInvalidArgument,
          "{}: expected at most {} positions, got more. Hint: repeat less, or shorter things", where,
          kMaxGrammarPositions);
}

void add_edge(std::vector<Automaton::Edge>& edges, const Automaton::Edge& edge) {
  if (!edges.empty() && edges.back().target == edge.target && edges.back().last + 1 == edge.first)
    edges.back().last = edge.last;
  else
    edges.push_back(edge);
}

std::size_t NumbersHash::operator()(const std::vector<uint32_t>& numbers) const noexcept {
  uint64_t hash = 0;
  for (const uint32_t value : numbers) hash = (hash ^ value) * 0x9e3779b97f4a7c15u + (hash >> 29);
  return hash ^ hash >> 32;
}

Automaton trimmed(const Automaton& automaton) {
  Automaton kept;
  const std::vector<bool> has_end = states_with_an_end(automaton);
  if (has_end.empty() || !has_end[0]) return kept;
  std::vector<uint32_t> numbers(automaton.states.size(), kNoState);
  std::vector<uint32_t> order = {0};
  numbers[0] = 0;
  for (std::size_t idx = 0; idx < order.size(); ++idx) {
    const Automaton::State& state = automaton.states[order[idx]];
    kept.states.push_back({{}, state.is_accepting});
    for (Automaton::Edge edge : state.edges) {
      if (!has_end[edge.target]) continue;
      uint32_t& number = numbers[edge.target];
      if (number == kNoState) {
        number = static_cast<uint32_t>(order.size());
        order.push_back(edge.target);
      }
      edge.target = number;
      add_edge(kept.states.back().edges, edge);
    }
  }
  return kept;
}

Automaton minimised(const Automaton& automaton, AutomatonWork& work) {
  if (automaton.states.empty()) return {};
  // States that accept alike and lead to the same are one; the ends come first, so that their targets are.
  std::unordered_map<std::vector<uint32_t>, uint32_t, NumbersHash> known;
  std::vector<uint32_t> numbers(automaton.states.size(), kNoState);
  Automaton reduced;
  for (const uint32_t idx : ends_first(automaton)) {
    Automaton::State state = {{}, automaton.states[idx].is_accepting};
    for (Automaton::Edge edge : automaton.states[idx].edges) {
      edge.target = numbers[edge.target];
      LILLE_CHECK(edge.target != kNoState);
      add_edge(state.edges, edge);
    }
    std::vector<uint32_t> key = {state.is_accepting};
    for (const Automaton::Edge& edge : state.edges)
      key.insert(key.end(), {edge.first, edge.last, edge.target});
    work.count(key.size());
    const auto [found, is_new] = known.try_emplace(std::move(key), reduced.states.size());
    numbers[idx] = found->second;
    if (is_new) reduced.states.push_back(std::move(state));
  }
  // The first state comes last of all.
  std::swap(reduced.states.front(), reduced.states.back());
  const auto last = static_cast<uint32_t>(reduced.states.size() - 1);
  for (Automaton::State& state : reduced.states)
    for (Automaton::Edge& edge : state.edges)
      edge.target = edge.target == 0 ? last : edge.target == last ? 0 : edge.target;
  return reduced;
}

Automaton intersection(const Automaton& left, const Automaton& right, AutomatonWork& work) {
  if (left.states.empty() || right.states.empty()) return {};
  std::unordered_map<uint64_t, uint32_t> numbers = {{0, 0}};  // by both states
  std::vector<std::pair<uint32_t, uint32_t>> pairs = {{0, 0}};
  Automaton both;
  for (std::size_t idx = 0; idx < pairs.size(); ++idx) {
    const Automaton::State& one = left.states[pairs[idx].first];
    const Automaton::State& other = right.states[pairs[idx].second];
    both.states.push_back({{}, one.is_accepting && other.is_accepting});
    work.count(one.edges.size() + other.edges.size() + kStepsPerState);
    for (auto a = one.edges.begin(), b = other.edges.begin();
         a != one.edges.end() && b != other.edges.end();) {
      const uint32_t first = std::max(a->first, b->first);
      const uint32_t last = std::min(a->last, b->last);
      if (first <= last) {
        const uint64_t key = uint64_t{a->target} << 32 | b->target;
        const auto [found, is_new] = numbers.try_emplace(key, static_cast<uint32_t>(pairs.size()));
        if (is_new) pairs.emplace_back(a->target, b->target);
        add_edge(both.states.back().edges, {first, last, found->second});
      }
      a->last < b->last ? ++a : ++b;
    }
  }
  return trimmed(both);
}

Automaton complement(const Automaton& automaton, AutomatonWork& work) {
  Automaton others = automaton;
  // Where the texts went nowhere these go on, whatever comes.
  const auto outside = static_cast<uint32_t>(others.states.size());
  others.states.emplace_back();
  for (Automaton::State& state : others.states) {
    state.is_accepting = !state.is_accepting;
    work.count(state.edges.size() + 1);
    std::vector<CharacterRange> taken = {kSurrogates};
    for (const Automaton::Edge& edge : state.edges) taken.push_back({edge.first, edge.last});
    for (const CharacterRange& range : complement_of(std::move(taken)))
      state.edges.push_back({range.first, range.last, outside});
    std::ranges::sort(state.edges, {}, &Automaton::Edge::first);
  }
  return trimmed(others);
}

TextLengths lengths_of(const Automaton& automaton) {
  constexpr uint32_t kNotYet = Expression::kUnbounded;
  TextLengths lengths;
  // The fewest steps from the beginning, state by state as they are found.
  std::vector<uint32_t> steps(automaton.states.size(), kNotYet);
  std::vector<uint32_t> found = {0};
  steps[0] = 0;
  std::size_t nearest = 0;
  for (; !automaton.states[found[nearest]].is_accepting; ++nearest)
    for (const Automaton::Edge& edge : automaton.states[found[nearest]].edges) {
      if (steps[edge.target] != kNotYet) continue;
      steps[edge.target] = steps[found[nearest]] + 1;
      found.push_back(edge.target);
    }
  lengths.min = steps[found[nearest]];
  // The most steps to an end; one that is not known yet is on a way that comes back.
  std::vector<uint32_t> rests(automaton.states.size(), kNotYet);
  for (const uint32_t idx : ends_first(automaton)) {
    uint32_t rest = 0;
    for (const Automaton::Edge& edge : automaton.states[idx].edges) {
      if (rests[edge.target] == kNotYet) return {lengths.min, Expression::kUnbounded};
      rest = std::max(rest, rests[edge.target] + 1);
    }
    rests[idx] = rest;
  }
  lengths.max = rests[0];
  return lengths;
}

Automaton texts_of_length(uint32_t min, uint32_t max, AutomatonWork& work) {
  const bool is_unbounded = max == Expression::kUnbounded;
  const uint32_t n_more = is_unbounded ? min : max;
  work.count(n_more);
  Automaton automaton;
  for (uint32_t idx = 0; idx <= n_more; ++idx) {
    automaton.states.push_back({{}, idx >= min});
    if (idx < n_more || is_unbounded)
      automaton.states.back().edges.push_back({0, kMaxCodePoint, std::min(idx + 1, n_more)});
  }
  return automaton;
}

Expression expression_of(const Automaton& automaton,
                         const std::function<Expression(std::vector<CharacterRange>)>& characters) {
  // In a graph the second state is its end: the others make room.
  const auto number_of = [](uint32_t state) { return state == 0 ? 0 : state + 1; };
  Expression graph;
  graph.kind = Expression::Kind::kGraph;
  for (uint32_t idx = 0; idx < automaton.states.size(); ++idx) {
    std::map<uint32_t, std::vector<CharacterRange>> by_target;
    for (const Automaton::Edge& edge : automaton.states[idx].edges)
      by_target[edge.target].push_back({edge.first, edge.last});
    for (auto& [target, ranges] : by_target) {
      graph.steps.push_back({number_of(idx), number_of(target)});
      graph.parts.push_back(characters(std::move(ranges)));
    }
    if (!automaton.states[idx].is_accepting) continue;
    graph.steps.push_back({number_of(idx), Expression::kGraphEnd});
    graph.parts.push_back(sequence_of({}));
  }
  return graph;
}

}  // namespace lille
