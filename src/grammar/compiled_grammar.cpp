#include "grammar/compiled_grammar.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "grammar/network.h"

namespace lille {
namespace {

// Of the edges from `begin` on: sorted, and equal ones once.
template <typename Edge>
void keep_one_of_each(std::vector<Edge>& edges, std::size_t begin) {
  const auto first = edges.begin() + static_cast<std::ptrdiff_t>(begin);
  std::sort(first, edges.end());
  edges.erase(std::unique(first, edges.end()), edges.end());
}

// The same, and edges to one target that touch each other are one; those with the lowest bytes first.
void join_edges(std::vector<CompiledGrammar::ByteEdge>& edges, std::size_t begin) {
  std::size_t n_joined = begin;
  const auto first = edges.begin() + static_cast<std::ptrdiff_t>(begin);
  std::sort(first, edges.end(), [](const auto& left, const auto& right) {
    return std::tie(left.target, left.first) < std::tie(right.target, right.first);
  });
  for (std::size_t idx = begin; idx < edges.size(); ++idx) {
    const bool touches = n_joined > begin && edges[n_joined - 1].target == edges[idx].target &&
                         edges[n_joined - 1].last + 1 >= edges[idx].first;
    if (touches)
      edges[n_joined - 1].last = std::max(edges[n_joined - 1].last, edges[idx].last);
    else
      edges[n_joined++] = edges[idx];
  }
  edges.resize(n_joined);
  std::sort(edges.begin() + static_cast<std::ptrdiff_t>(begin), edges.end());
}

}  // namespace

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

  take_edges(network, reach.nodes, reach.rules);
  find_classes();
}

void CompiledGrammar::take_edges(const GrammarNetwork& network, const std::vector<bool>& node_ends,
                                 const std::vector<bool>& rule_ends) {
  const std::vector<uint32_t> targets = network.skip_empty_steps();
  positions_.reserve(network.nodes().size() + 1);
  const auto add_position = [&](uint32_t rule, bool is_end) {
    positions_.push_back({static_cast<uint32_t>(byte_edges_.size()),
                          static_cast<uint32_t>(rule_edges_.size()),
                          static_cast<uint32_t>(empty_edges_.size()), rule, is_end,
                          static_cast<uint32_t>(positions_.size()), kAlways});
  };
  for (uint32_t idx = 0; idx < network.nodes().size(); ++idx) {
    const GrammarNetwork::Node& node = network.nodes()[idx];
    add_position(node.rule, idx == network.ends()[node.rule]);
    // What may stand for nothing comes more often than bytes do.
    const auto may_be_nothing = [this](const RuleEdge& edge) { return nullable_[edge.rule]; };
    if (node.like != 0 && std::ranges::none_of(node.rules, may_be_nothing)) {
      positions_.back().like = node.like;
      positions_.back().n_alike = node.n_alike;
      has_alike_ = true;
    }
    for (ByteEdge edge : node.bytes) {
      if (!node_ends[edge.target]) continue;
      edge.target = targets[edge.target];
      byte_edges_.push_back(edge);
    }
    join_edges(byte_edges_, positions_.back().bytes_begin);
    for (RuleEdge edge : node.rules) {
      if (!node_ends[edge.target] || !rule_ends[edge.rule]) continue;
      edge.target = targets[edge.target];
      rule_edges_.push_back(edge);
    }
    keep_one_of_each(rule_edges_, positions_.back().rules_begin);
    for (const uint32_t target : node.empties)
      if (node_ends[target]) empty_edges_.push_back(targets[target]);
    keep_one_of_each(empty_edges_, positions_.back().empties_begin);
  }
  add_position(0, false);
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
