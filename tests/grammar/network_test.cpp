#include "grammar/network.h"

#include <gtest/gtest.h>

#include "grammar/grammar_text.h"

namespace lille {
namespace {

TEST(GrammarNetwork, ReachesTheEndOverBytesOrWithoutThem) {
  const RuleSet rules =
      parse_grammar_text("root ::= \"ab\" | root root | empty\nempty ::=\nnever ::= never \"x\"");
  const GrammarNetwork network(rules);
  const GrammarNetwork::Reach all = network.reach_end(true);
  EXPECT_EQ(all.rules, std::vector<bool>({true, true, false}));
  const GrammarNetwork::Reach nothing = network.reach_end(false);
  EXPECT_EQ(nothing.rules, std::vector<bool>({true, true, false}));
  for (std::size_t rule = 0; rule < 3; ++rule) EXPECT_TRUE(all.nodes[network.ends()[rule]]);
  EXPECT_FALSE(all.nodes[network.begins()[2]]);
}

TEST(GrammarNetwork, CharactersShareTheirLastBytes) {
  // Nine sequences; their continuation bytes need three nodes, those of E0, ED, F0 and F4 one each.
  const GrammarNetwork network(parse_grammar_text("root ::= ."));
  EXPECT_EQ(network.nodes().size(), 2u + 1 + 3 + 4);
}

TEST(GrammarNetwork, WordsShareWhatTheyBeginWith) {
  // Behind t, te and i; the ends of all are one node.
  const GrammarNetwork network(
      parse_grammar_text("root ::= \"ten\" | \"tea\" | \"to\" | \"ten\" | \"i\" | \"in\" | \"\""));
  EXPECT_EQ(network.nodes().size(), 2u + 1 + 3);
  EXPECT_EQ(network.nodes()[network.begins()[0]].bytes.size(), 2u);
}

TEST(GrammarNetwork, StepsOverRulesAndAsciiTakeNoNode) {
  RuleSet rules;
  const uint32_t root = rules.add("root");
  const uint32_t other = rules.add("other");
  rules.rules[other] = bytes_of("");
  Expression graph;
  graph.kind = Expression::Kind::kGraph;
  graph.steps = {{0, 0}, {0, 2}, {2, 2}, {2, Expression::kGraphEnd}};
  graph.parts = {characters_of({{'a', 'f'}, {'x', 'z'}}), rule_of(other), characters_of({{'0', '9'}}),
                 sequence_of({})};
  rules.rules[root] = std::move(graph);
  EXPECT_EQ(GrammarNetwork(rules).nodes().size(), 2u + 2 + 3);
}

TEST(GrammarNetwork, SkipsNodesThatLeadOverNothingToOneOther) {
  const GrammarNetwork network(parse_grammar_text("root ::= (((\"a\"))) | \"b\" x x ::= (x | \"c\")*"));
  const std::vector<uint32_t> targets = network.skip_empty_steps();
  for (uint32_t idx = 0; idx < targets.size(); ++idx) {
    const auto& node = network.nodes()[idx];
    const bool is_skipped = node.empties.size() == 1 && node.bytes.empty() && node.rules.empty();
    EXPECT_EQ(targets[idx] != idx, is_skipped) << idx;
    EXPECT_EQ(targets[targets[idx]], targets[idx]) << idx;
  }
  // A cycle of them ends somewhere.
  const GrammarNetwork cycle(parse_grammar_text("root ::= (()*)* \"a\""));
  EXPECT_EQ(cycle.skip_empty_steps().size(), cycle.nodes().size());
}

TEST(GrammarNetwork, LoopsDoNotLeakIntoOtherChoices) {
  // Were a loop entered at the place where the choices begin, a text could go on with another choice.
  const GrammarNetwork network(parse_grammar_text("root ::= \"a\"* | \"b\""));
  const auto& begin = network.nodes()[network.begins()[0]];
  for (const auto& node : network.nodes()) {
    for (const uint32_t target : node.empties) EXPECT_NE(target, network.begins()[0]);
    for (const auto& edge : node.bytes) EXPECT_NE(edge.target, network.begins()[0]);
  }
  EXPECT_EQ(begin.bytes.size() + begin.empties.size(), 2u);
}

}  // namespace
}  // namespace lille
