#include "grammar/automaton.h"

#include <gtest/gtest.h>

#include <random>

#include "grammar/automaton_texts.h"
#include "grammar/matcher.h"
#include "support.h"

namespace lille {
namespace {

const std::vector<std::string> kLetters = {"a", "b", "c"};

// Each state leads anywhere over some of a, b and c, to later ones alone if it is to have no cycle.
Automaton random_automaton(std::mt19937& random, uint32_t n_states, bool has_cycles) {
  Automaton automaton;
  for (uint32_t idx = 0; idx < n_states; ++idx) {
    Automaton::State& state = automaton.states.emplace_back();
    state.is_accepting = random() % 3 == 0;
    for (uint32_t letter = 'a'; letter <= 'c'; ++letter) {
      const uint32_t target = has_cycles ? random() % n_states : idx + 1 + random() % 3;
      if (target < n_states && random() % 4 != 0) state.edges.push_back({letter, letter, target});
    }
  }
  return automaton;
}

void expect_same(const Automaton& one, const std::function<bool(const std::string&)>& is_text) {
  test::for_each_text(kLetters, 6, [&](const std::string& text) {
    ASSERT_EQ(test::accepts(one, text), is_text(text)) << text;
  });
}

TEST(Automaton, TrimmedHasTheSameTextsAndNoStateInVain) {
  std::mt19937 random(1);
  for (int round = 0; round < 40; ++round) {
    const Automaton automaton = random_automaton(random, 6, true);
    const Automaton kept = trimmed(automaton);
    expect_same(kept, [&](const std::string& text) { return test::accepts(automaton, text); });
    // From each state some text of up to as many characters as there are states is accepted.
    for (uint32_t state = 0; state < kept.states.size(); ++state) {
      Automaton rest = kept;
      std::swap(rest.states[0], rest.states[state]);
      for (Automaton::State& one : rest.states)
        for (Automaton::Edge& edge : one.edges)
          edge.target = edge.target == 0 ? state : edge.target == state ? 0 : edge.target;
      bool has_text = false;
      test::for_each_text(kLetters, 6,
                          [&](const std::string& text) { has_text = has_text || test::accepts(rest, text); });
      EXPECT_TRUE(has_text) << state;
    }
  }
  EXPECT_TRUE(trimmed({{{{}, false}}}).states.empty());
  EXPECT_TRUE(trimmed({}).states.empty());
}

TEST(Automaton, MinimisedHasTheSameTextsAndAStateForEachSetOfEndings) {
  std::mt19937 random(2);
  for (int round = 0; round < 60; ++round) {
    const Automaton automaton = trimmed(random_automaton(random, 7, false));
    AutomatonWork work;
    const Automaton small = minimised(automaton, work);
    expect_same(small, [&](const std::string& text) { return test::accepts(automaton, text); });
    // By the theorem of Myhill and Nerode: the sets of endings that beginnings have.
    std::set<std::set<std::string>> endings;
    test::for_each_text(kLetters, 6, [&](const std::string& begin) {
      std::set<std::string> ends;
      test::for_each_text(kLetters, 6 - begin.size(), [&](const std::string& end) {
        if (test::accepts(automaton, begin + end)) ends.insert(end);
      });
      if (!ends.empty()) endings.insert(ends);
    });
    EXPECT_EQ(small.states.size(), endings.size());
  }
}

TEST(Automaton, IntersectionHasTheTextsOfBoth) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const Automaton left = random_automaton(random, 5, true);
    const Automaton right = random_automaton(random, 4, round % 2 == 0);
    AutomatonWork work;
    expect_same(intersection(left, right, work), [&](const std::string& text) {
      return test::accepts(left, text) && test::accepts(right, text);
    });
  }
}

TEST(Automaton, ComplementHasTheOtherTexts) {
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    const Automaton automaton = random_automaton(random, 5, round % 2 == 0);
    AutomatonWork work;
    const Automaton others = complement(automaton, work);
    expect_same(others, [&](const std::string& text) { return !test::accepts(automaton, text); });
    EXPECT_TRUE(test::accepts(others, "\xe2\x82\xac"));
  }
  AutomatonWork work;
  EXPECT_TRUE(complement(texts_of_length(0, Expression::kUnbounded, work), work).states.empty());
  EXPECT_EQ(complement({}, work).states.size(), 1U);
}

TEST(Automaton, KnowsItsShortestAndItsLongestText) {
  std::mt19937 random(6);
  int n_endless = 0;
  for (int round = 0; round < 80; ++round) {
    const Automaton automaton = trimmed(random_automaton(random, 5, round % 2 == 0));
    if (automaton.states.empty()) continue;
    std::size_t min = 1000;
    std::size_t max = 0;
    test::for_each_text(kLetters, 9, [&](const std::string& text) {
      if (!test::accepts(automaton, text)) return;
      min = std::min(min, text.size());
      max = std::max(max, text.size());
    });
    const TextLengths lengths = lengths_of(automaton);
    EXPECT_EQ(lengths.min, min);
    // Of five states a text of five characters has come to one twice.
    EXPECT_EQ(lengths.max, max >= 5 ? Expression::kUnbounded : max);
    n_endless += max >= 5 ? 1 : 0;
  }
  EXPECT_GT(n_endless, 20);
}

TEST(Automaton, LengthsAreCountedInCharacters) {
  for (uint32_t min = 0; min < 4; ++min)
    for (const uint32_t max : {min, min + 2, Expression::kUnbounded}) {
      AutomatonWork work;
      const Automaton automaton = texts_of_length(min, max, work);
      test::for_each_text({"a", "\xe2\x82\xac"}, 7, [&](const std::string& text) {
        std::size_t n_characters = 0;
        for (std::string_view rest = text; !rest.empty(); ++n_characters)
          rest.remove_prefix(first_utf8_symbol(rest).n_bytes);
        ASSERT_EQ(test::accepts(automaton, text), n_characters >= min && n_characters <= max) << text;
      });
    }
}

TEST(Automaton, ExpressionHasTheSameTexts) {
  std::mt19937 random(4);
  for (int round = 0; round < 40; ++round) {
    const Automaton automaton = trimmed(random_automaton(random, 6, true));
    if (automaton.states.empty()) continue;
    RuleSet rules;
    rules.rules[rules.add("root")] =
        sequence_of({bytes_of("<"), repeat_of(expression_of(automaton, characters_of), 1, 1), bytes_of(">")});
    const auto grammar = std::make_shared<const CompiledGrammar>(rules);
    Matcher matcher(grammar);
    expect_same(automaton, [&](const std::string& text) {
      matcher.begin_work();
      Matcher::State state = matcher.start();
      for (const char byte : '<' + text + '>')
        if (state != Matcher::kDead) state = matcher.next(state, static_cast<uint8_t>(byte));
      return state != Matcher::kDead && matcher.is_accepting(state);
    });
  }
}

TEST(Automaton, WorkHasALimitThatIsNamed) {
  AutomatonWork work;
  work.where = "s.pattern";
  work.count(kMaxAutomatonSteps);
  test::expect_error(ErrorCode::kInvalidArgument,
                     "s.pattern: expected patterns, formats, bounds and multiples", [&] { work.count(1); });
  test::expect_error(ErrorCode::kInvalidArgument, "s.pattern: expected at most 100000 positions",
                     [&] { work.check_size(100'001); });
}

}  // namespace
}  // namespace lille
