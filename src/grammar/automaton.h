#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "grammar/expression.h"

namespace lille {

/// Most steps that all automata of one schema may take to be made; beyond it is refused.
inline constexpr std::size_t kMaxAutomatonSteps = 4'000'000;

/// What making automata has cost so far.
struct AutomatonWork {
  std::string where = "grammar";  ///< What messages call the text that an automaton is made of.
  std::size_t n_steps = 0;        ///< With what is made of the automaton a step takes up to 0.2 us.

  /// @throws Error(kInvalidArgument) after more than kMaxAutomatonSteps.
  void count(std::size_t n_more);
  /// @throws Error(kInvalidArgument) if an automaton has more than kMaxGrammarPositions of something.
  void check_size(std::size_t size) const;
};

/// Which texts there may be, as a deterministic finite automaton over characters. From each state an end can
/// be reached; one without states has no text at all.
struct Automaton {
  struct Edge {
    uint32_t first;  ///< Characters from this one
    uint32_t last;   ///< to this one.
    uint32_t target;
  };
  struct State {
    std::vector<Edge> edges;  ///< Apart and in ascending order.
    bool is_accepting = false;
  };
  std::vector<State> states;  ///< A text begins at the first.
};

/// Appends an edge; one that goes on where the last one ended is a part of that.
void add_edge(std::vector<Automaton::Edge>& edges, const Automaton::Edge& edge);

/// A hash of numbers in their order.
struct NumbersHash {
  std::size_t operator()(const std::vector<uint32_t>& numbers) const noexcept;
};

/// The same texts, without the states from which no end can be reached or to which nothing leads.
Automaton trimmed(const Automaton& automaton);

/// The same texts with as few states as can be.
/// @param automaton  has no cycle.
Automaton minimised(const Automaton& automaton, AutomatonWork& work);

/// The texts of both.
Automaton intersection(const Automaton& left, const Automaton& right, AutomatonWork& work);

/// All texts that an automaton has not.
Automaton complement(const Automaton& automaton, AutomatonWork& work);

/// How many characters the texts have.
struct TextLengths {
  uint32_t min = 0;
  uint32_t max = 0;  ///< Expression::kUnbounded if there is no longest text.
};
/// @param automaton  has a text, and from each state an end can be reached.
TextLengths lengths_of(const Automaton& automaton);

/// Texts of `min` to `max` characters, whichever they are.
/// @param max  at least `min`, or Expression::kUnbounded.
Automaton texts_of_length(uint32_t min, uint32_t max, AutomatonWork& work);

/// The texts as an expression.
/// @param automaton   has a text.
/// @param characters  what stands for one character of the ranges.
Expression expression_of(const Automaton& automaton,
                         const std::function<Expression(std::vector<CharacterRange>)>& characters);

}  // namespace lille
