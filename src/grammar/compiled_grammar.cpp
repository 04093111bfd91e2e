#include "grammar/compiled_grammar.h"

#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "grammar/network.h"

namespace lille {

CompiledGrammar::CompiledGrammar(const RuleSet& rules) : root_(rules.root) {
  const GrammarNetwork network(rules);
  begins_ = network.begins();
  nullable_ = network.reach_end(false).rules;
  const GrammarNetwork::Reach reach = network.reach_end(true);
  if (!reach.rules[root_])
    raise(ErrorCode::kInvalidArgument,
          "{}: expected a rule {} that a finite text can fulfil, got one that always asks for more. Hint: a "
          "rule that needs itself needs another choice, too",
          rules.where, printable(rules.names[root_]));

  positions_.reserve(network.nodes().size() + 1);
  const auto add_position = [&](uint32_t rule, bool is_end) {
    positions_.push_back({static_cast<uint32_t>(byte_edges_.size()),
                          static_cast<uint32_t>(rule_edges_.size()),
                          static_cast<uint32_t>(empty_edges_.size()), rule, is_end});
  };
  for (uint32_t idx = 0; idx < network.nodes().size(); ++idx) {
    const GrammarNetwork::Node& node = network.nodes()[idx];
    add_position(node.rule, idx == network.ends()[node.rule]);
    for (const ByteEdge& edge : node.bytes)
      if (reach.nodes[edge.target]) byte_edges_.push_back(edge);
    for (const RuleEdge& edge : node.rules)
      if (reach.nodes[edge.target] && reach.rules[edge.rule]) rule_edges_.push_back(edge);
    for (const uint32_t target : node.empties)
      if (reach.nodes[target]) empty_edges_.push_back(target);
  }
  add_position(0, false);
  find_classes();
}

void CompiledGrammar::find_classes() {
  std::array<bool, 257> begins_class{};
  begins_class[0] = true;
  for (const ByteEdge& edge : byte_edges_) {
    begins_class[edge.first] = true;
    begins_class[edge.last + std::size_t{1}] = true;
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    if (begins_class[byte]) representatives_.push_back(static_cast<uint8_t>(byte));
    classes_[byte] = static_cast<uint8_t>(representatives_.size() - 1);
  }
}

}  // namespace lille
