#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/compiled_grammar.h"

namespace lille {

/// The network of a CompiledGrammar while it is laid out.
class GrammarNetwork {
 public:
  struct Node {
    std::vector<CompiledGrammar::ByteEdge> bytes;
    std::vector<CompiledGrammar::RuleEdge> rules;
    std::vector<uint32_t> empties;
    uint32_t rule = 0;
    uint32_t like = 0;     // the first of the nodes in a row that differ by how often something came; 0: none
    uint32_t n_alike = 0;  // of them, how many come behind this one
  };

  /// Lays out every rule.
  /// @throws Error(kInvalidArgument) as CompiledGrammar.
  explicit GrammarNetwork(const RuleSet& rules);

  /// Which nodes lead to the end of their rule, and of which rules the beginning does.
  struct Reach {
    std::vector<bool> nodes;
    std::vector<bool> rules;
  };
  /// @param over_bytes  false: over nothing and rules that may stand for nothing alone.
  Reach reach_end(bool over_bytes) const;

  /// For each node that one it leads to over nothing, as long as it leads nowhere else.
  std::vector<uint32_t> skip_empty_steps() const;

  const std::vector<Node>& nodes() const noexcept { return nodes_; }
  const std::vector<uint32_t>& begins() const noexcept { return begins_; }
  const std::vector<uint32_t>& ends() const noexcept { return ends_; }

 private:
  void check_count(uint32_t count) const;
  uint32_t add_node();
  uint32_t add_rule(const Expression* expression);
  uint32_t lay(const Expression& expression, uint32_t from);
  uint32_t lay_bytes(const std::string& bytes, uint32_t from);
  uint32_t lay_choice(const std::vector<Expression>& choices, uint32_t from);
  void lay_texts(std::vector<std::string_view> texts, uint32_t from, uint32_t to);
  uint32_t lay_characters(const std::vector<CharacterRange>& ranges, uint32_t from);
  uint32_t lay_repeat(const Expression& expression, uint32_t from);
  uint32_t lay_graph(const Expression& expression, uint32_t from);
  void lay_step(const Expression& part, uint32_t from, uint32_t to);
  void mark_alike(const std::vector<uint32_t>& nodes);

  std::string where_;  // as messages call the rules
  std::vector<Node> nodes_;
  std::vector<uint32_t> begins_;
  std::vector<uint32_t> ends_;
  std::vector<const Expression*> expressions_;  // of each rule, those without a name last
  uint32_t rule_ = 0;                           // the one that is laid out
};

}  // namespace lille
