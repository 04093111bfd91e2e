#pragma once

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "grammar/automaton.h"
#include "grammar/utf8_ranges.h"

namespace lille::test {

/// Whether a text in UTF-8 is one of an automaton's.
inline bool accepts(const Automaton& automaton, std::string_view text) {
  if (automaton.states.empty()) return false;
  uint32_t state = 0;
  while (!text.empty()) {
    const Utf8Symbol symbol = first_utf8_symbol(text);
    text.remove_prefix(symbol.n_bytes);
    const std::vector<Automaton::Edge>& edges = automaton.states[state].edges;
    const auto edge = std::ranges::find_if(edges, [&](const Automaton::Edge& one) {
      return one.first <= symbol.code_point && symbol.code_point <= one.last;
    });
    if (edge == edges.end()) return false;
    state = edge->target;
  }
  return automaton.states[state].is_accepting;
}

/// A text of an automaton, drawn at random, which ends where it may once it has so many characters.
inline std::string random_text(const Automaton& automaton, std::mt19937& random, std::size_t n_characters) {
  std::string text;
  const Automaton::State* state = &automaton.states.front();
  for (std::size_t n = 0;; ++n) {
    const bool has_no_edge = state->edges.empty();
    if (state->is_accepting && (has_no_edge || n >= n_characters || random() % 8 == 0)) return text;
    const Automaton::Edge& edge = state->edges[random() % state->edges.size()];
    uint32_t character = edge.first + random() % (edge.last - edge.first + 1);
    // Most characters are too far from everything else.
    if (character > 0x7f && edge.first < 0x7f && random() % 8 != 0)
      character = edge.first + random() % (0x7f - edge.first);
    if (character >= 0xd800 && character <= 0xdfff) character = edge.first;
    append_utf8(text, character);
    state = &automaton.states[edge.target];
  }
}

/// Calls with every text of up to `max` characters of an alphabet.
inline void for_each_text(const std::vector<std::string>& alphabet, std::size_t max,
                          const std::function<void(const std::string&)>& call) {
  std::vector<std::string> texts = {""};
  for (std::size_t n = 0; n <= max; ++n) {
    std::vector<std::string> longer;
    for (const std::string& text : texts) {
      call(text);
      for (const std::string& character : alphabet) longer.push_back(text + character);
    }
    texts = std::move(longer);
  }
}

}  // namespace lille::test
