#include "grammar/matcher.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "grammar/grammar_text.h"
#include "grammar/reference.h"
#include "support.h"

namespace lille {
namespace {

Matcher matcher_of(const RuleSet& rules) { return Matcher(std::make_shared<const CompiledGrammar>(rules)); }
Matcher matcher_of(std::string_view text) { return matcher_of(parse_grammar_text(text)); }

Matcher::State read(Matcher& matcher, std::string_view text) {
  Matcher::State state = matcher.start();
  for (const char byte : text) {
    if (state == Matcher::kDead) break;
    state = matcher.next(state, static_cast<uint8_t>(byte));
  }
  return state;
}

bool accepts(Matcher& matcher, std::string_view text) {
  const Matcher::State state = read(matcher, text);
  return state != Matcher::kDead && matcher.is_accepting(state);
}

bool begins(Matcher& matcher, std::string_view text) { return read(matcher, text) != Matcher::kDead; }

TEST(Matcher, KnowsSentencesAndTheirBeginnings) {
  Matcher matcher = matcher_of("root ::= \"yes\" | \"no\" \"!\"?");
  for (const char* text : {"yes", "no", "no!"}) EXPECT_TRUE(accepts(matcher, text)) << text;
  for (const char* text : {"", "y", "ye", "n"}) {
    EXPECT_TRUE(begins(matcher, text)) << text;
    EXPECT_FALSE(accepts(matcher, text)) << text;
  }
  for (const char* text : {"x", "yes!", "no!!", "Yes"}) EXPECT_FALSE(begins(matcher, text)) << text;
}

TEST(Matcher, BracketsNest) {
  Matcher matcher = matcher_of("root ::= \"(\" root \")\" root |");
  EXPECT_TRUE(accepts(matcher, ""));
  EXPECT_TRUE(accepts(matcher, "(()())()"));
  EXPECT_FALSE(accepts(matcher, "(()"));
  EXPECT_FALSE(begins(matcher, "())"));
  const std::string deep(2000, '(');
  EXPECT_TRUE(begins(matcher, deep));
  EXPECT_TRUE(accepts(matcher, deep + std::string(2000, ')')));
  EXPECT_FALSE(begins(matcher, deep + std::string(2001, ')')));
}

TEST(Matcher, CharactersMayBeCutAnywhere) {
  Matcher matcher = matcher_of("root ::= [^a]{2}");
  EXPECT_TRUE(accepts(matcher, "\xe2\x82\xac\xf0\x9f\x98\x80"));
  EXPECT_TRUE(begins(matcher, "\xe2\x82"));
  EXPECT_TRUE(begins(matcher, "\xe2\x82\xac\xf0\x9f\x98"));
  EXPECT_FALSE(begins(matcher, "\xe2\x28"));
  EXPECT_FALSE(begins(matcher, "\xed\xa0"));
  EXPECT_FALSE(begins(matcher, "\xc0"));
  EXPECT_FALSE(begins(matcher, "a"));
}

TEST(Matcher, WhatComesAgainIsTheSameState) {
  Matcher matcher =
      matcher_of("root ::= \"[\" (item (\",\" item)*)? \"]\" item ::= char+ | root char ::= [a-z]");
  EXPECT_EQ(read(matcher, "[x,ab"), read(matcher, "[y,[z],abc,q"));
  EXPECT_EQ(read(matcher, "[a,"), read(matcher, "[a,bc,"));
  EXPECT_NE(read(matcher, "[a,"), read(matcher, "[[a,"));
}

TEST(Matcher, WhatRecursAtItsEndIsAsFlatAsALoop) {
  Matcher matcher =
      matcher_of("root ::= \"[\" list \"]\" list ::= item list | item ::= \"a\" | \"(\" list \")\"");
  EXPECT_EQ(read(matcher, "[aa"), read(matcher, "[aaaaaaa"));
  EXPECT_EQ(read(matcher, "[a(a)aa"), read(matcher, "[aa"));
  EXPECT_NE(read(matcher, "[a(a"), read(matcher, "[aa"));
  EXPECT_TRUE(accepts(matcher, "[aa(aa(a))a]"));
  EXPECT_FALSE(begins(matcher, "[aa(aa(a)a]"));
}

TEST(Matcher, KnowsHowLongRepetitionsAreAlike) {
  Matcher matcher = matcher_of("root ::= [a-z]{3,200} \"!\"");
  const auto state = [&](std::size_t n_bytes) { return read(matcher, std::string(n_bytes, 'a')); };
  // Two letters are the last that are not enough; the end may come behind 3 to 199, or has to behind 200.
  for (std::size_t n_bytes = 3; n_bytes < 200; ++n_bytes) {
    EXPECT_EQ(matcher.kind(state(n_bytes)), matcher.kind(state(3))) << n_bytes;
    EXPECT_EQ(matcher.n_alike(state(n_bytes)), 199 - n_bytes);
  }
  EXPECT_EQ(matcher.kind(state(1)), matcher.kind(state(2)));
  EXPECT_EQ(matcher.n_alike(state(1)), 1u);
  EXPECT_NE(matcher.kind(state(2)), matcher.kind(state(3)));
  EXPECT_NE(matcher.kind(state(199)), matcher.kind(state(200)));
  EXPECT_EQ(matcher.n_alike(state(200)), CompiledGrammar::kAlways);
  EXPECT_EQ(matcher.n_alike(matcher.start()), CompiledGrammar::kAlways);
}

// Of two states of a kind: the same texts follow, up to as many bytes as they say.
TEST(Matcher, StatesOfAKindAreAlikeAsFarAsTheySay) {
  for (const char* text :
       {"root ::= \"a\"{1,9} \"b\"", "root ::= (\"a\" | \"ab\"){2,9}",
        "root ::= x{1,6} \"b\"{0,5} x ::= \"a\" | \"b\" \"b\"", "root ::= (\"a\"? \"b\"){1,8} \"a\"",
        "root ::= (\"a\"{1,4} \"b\"?){1,6}", "root ::= \"a\"{0,9} \"a\"{2,7}",
        "root ::= (\"a\" root?){1,5} | \"b\"{3,8}", "root ::= (\"a\"?){1,8} \"b\""}) {
    Matcher matcher = matcher_of(text);
    std::vector<Matcher::State> reached = {matcher.start()};
    for (std::size_t idx = 0; idx < reached.size() && reached.size() < 300; ++idx)
      for (const char byte : {'a', 'b'}) {
        const Matcher::State next = matcher.next(reached[idx], static_cast<uint8_t>(byte));
        if (next != Matcher::kDead && std::ranges::find(reached, next) == reached.end())
          reached.push_back(next);
      }
    const std::function<bool(Matcher::State, Matcher::State, uint32_t)> are_alike =
        [&](Matcher::State left, Matcher::State right, uint32_t n_bytes) {
          if (left == right) return true;
          if (left == Matcher::kDead || right == Matcher::kDead) return false;
          if (matcher.is_accepting(left) != matcher.is_accepting(right)) return false;
          return n_bytes == 0 || std::ranges::all_of(std::string_view("ab"), [&](char byte) {
                   return are_alike(matcher.next(left, static_cast<uint8_t>(byte)),
                                    matcher.next(right, static_cast<uint8_t>(byte)), n_bytes - 1);
                 });
        };
    for (const Matcher::State left : reached)
      for (const Matcher::State right : reached)
        if (matcher.kind(left) == matcher.kind(right) && left != right) {
          EXPECT_TRUE(are_alike(left, right, std::min(matcher.n_alike(left), matcher.n_alike(right))))
              << text << " " << left << " " << right;
        }
  }
}

// Every form of recursion, emptiness and ambiguity that is known to break parsers.
TEST(Matcher, HostileGrammarsAreReadAsTheyAreDefined) {
  for (const char* text :
       {"root ::= root \"a\" | root \"b\" |", "root ::= \"a\" root | root root | \"b\"", "root ::= (\"a\"*)*",
        "root ::= (\"a\"? \"b\"?)* \"a\"", "root ::= x root x | \"a\" x ::= \"b\" |",
        "root ::= a a ::= b | \"a\" b ::= a | \"b\" root", "root ::= root root root | \"a\" |",
        "root ::= (\"a\" | \"a\" \"a\" | root \"b\"){2,3}", "root ::= e e e \"a\" e e ::= e e |",
        "root ::= x y x ::= y | \"a\" x y ::= x | \"b\" |",
        "root ::= \"ab\" | \"a\" | \"\" | \"abb\" | \"ba\" | root \"a\" | \"ab\" root",
        "root ::= x \"b\" | x x ::= \"a\" x | y y ::= \"b\" y | \"a\" x |",
        "root ::= (root | \"a\"){0,4} \"b\""}) {
    const RuleSet rules = parse_grammar_text(text);
    const test::ReferenceLanguage reference(rules, "ab", 7);
    Matcher matcher = matcher_of(rules);
    for (uint32_t bits = 1; bits < 256; ++bits) {
      // A text is the bits below the highest one.
      std::string word;
      for (uint32_t rest = bits; rest > 1; rest >>= 1) word += (rest & 1) != 0 ? 'b' : 'a';
      EXPECT_EQ(accepts(matcher, word), reference.sentences().contains(word)) << text << " on " << word;
    }
  }
}

class RandomGrammars {
 public:
  explicit RandomGrammars(uint32_t seed) : random_(seed) {}

  RuleSet next() {
    RuleSet rules;
    for (const char* name : {"root", "x", "y"}) rules.add(name);
    for (Expression& rule : rules.rules) rule = expression(3);
    return rules;
  }

 private:
  uint32_t pick(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  Expression expression(int depth) {
    switch (pick(depth > 0 ? 8 : 3)) {
      case 0:
        return bytes_of(pick(2) == 0 ? "a" : "b");
      case 1:
        return pick(3) == 0 ? bytes_of("ab") : characters_of({{'a', 'a' + pick(2)}});
      case 2:
        return rule_of(pick(3));
      case 3:
      case 4: {
        std::vector<Expression> parts;
        for (uint32_t n = pick(4); n > 0; --n) parts.push_back(expression(depth - 1));
        return sequence_of(std::move(parts));
      }
      case 5: {
        std::vector<Expression> parts;
        for (uint32_t n = 1 + pick(3); n > 0; --n) parts.push_back(expression(depth - 1));
        return choice_of(std::move(parts));
      }
      case 6: {
        // Steps between three states; none leaves the end.
        Expression graph;
        graph.kind = Expression::Kind::kGraph;
        for (uint32_t n = 1 + pick(4); n > 0; --n) {
          graph.steps.push_back({pick(2) * 2, pick(3)});
          graph.parts.push_back(expression(depth - 1));
        }
        return graph;
      }
      default: {
        const uint32_t min = pick(3);
        return repeat_of(expression(depth - 1), min, pick(3) == 0 ? Expression::kUnbounded : min + pick(3));
      }
    }
  }

  std::mt19937 random_;
};

// Whether some text leads from a state to a sentence.
bool can_end(Matcher& matcher, Matcher::State state, int n_bytes) {
  std::set<Matcher::State> reached = {state};
  for (int idx = 0; idx <= n_bytes; ++idx) {
    std::set<Matcher::State> next;
    for (const Matcher::State from : reached) {
      if (matcher.is_accepting(from)) return true;
      for (const char byte : {'a', 'b'}) {
        const Matcher::State to = matcher.next(from, static_cast<uint8_t>(byte));
        if (to != Matcher::kDead) next.insert(to);
      }
    }
    reached = std::move(next);
  }
  return false;
}

TEST(Matcher, AgreesWithTheDefinitionOnRandomGrammars) {
  constexpr std::size_t kMaxBytes = 5;
  RandomGrammars grammars(1);
  int n_languages = 0;
  for (int round = 0; round < 400; ++round) {
    const RuleSet rules = grammars.next();
    const test::ReferenceLanguage reference(rules, "ab", kMaxBytes);
    std::optional<Matcher> matcher;
    try {
      matcher = matcher_of(rules);
    } catch (const Error&) {
      EXPECT_TRUE(reference.sentences().empty());
      continue;
    }
    ++n_languages;
    for (uint32_t bits = 1; bits < 2u << kMaxBytes; ++bits) {
      std::string word;
      for (uint32_t rest = bits; rest > 1; rest >>= 1) word += (rest & 1) != 0 ? 'b' : 'a';
      const bool is_sentence = reference.sentences().contains(word);
      matcher->begin_work();
      const Matcher::State state = read(*matcher, word);
      ASSERT_EQ(state != Matcher::kDead && matcher->is_accepting(state), is_sentence)
          << "round " << round << ", " << word;
      if (state != Matcher::kDead) {
        ASSERT_TRUE(can_end(*matcher, state, 12)) << round << ", " << word;
        continue;
      }
      for (const std::string& sentence : reference.sentences())
        ASSERT_FALSE(sentence.starts_with(word)) << round << ", " << word;
    }
  }
  EXPECT_GT(n_languages, 300);
}

TEST(Matcher, WorkIsBounded) {
  Matcher matcher = matcher_of("root ::= root root root | \"a\" | \"aa\"");
  test::expect_error(ErrorCode::kInvalidArgument, "more readings than 1000000 steps",
                     [&] { read(matcher, std::string(20'000, 'a')); });
  // What was read before stands.
  matcher.begin_work();
  EXPECT_TRUE(accepts(matcher, "aaa"));
  EXPECT_LT(matcher.n_table_bytes(), 100u << 20);
}

// A class of every other letter: the ones between lead nowhere, but have to be looked for.
TEST(Matcher, WorkIsWhatIsLookedAtToo) {
  std::vector<CharacterRange> ranges;
  for (uint32_t character = '0'; character <= 'z'; character += 2) ranges.push_back({character, character});
  RuleSet rules;
  rules.add("root");
  std::vector<Expression> choices;
  for (int idx = 0; idx < 8'000; ++idx) {
    choices.push_back(rule_of(rules.add(fmt::format("x{}", idx))));
    rules.rules.back() = sequence_of({characters_of(ranges), bytes_of(fmt::format("{}", idx))});
  }
  rules.rules[rules.root] = choice_of(std::move(choices));
  Matcher matcher = matcher_of(rules);
  matcher.begin_work();
  test::expect_error(ErrorCode::kInvalidArgument, "more readings than 1000000 steps", [&] {
    for (uint8_t byte = '1'; byte < 'z'; byte += 2)
      EXPECT_EQ(matcher.next(matcher.start(), byte), Matcher::kDead);
  });
}

TEST(Matcher, ResetForgetsAllButTheBeginning) {
  Matcher matcher = matcher_of("root ::= \"a\" root \"b\" |");
  const std::size_t n_bytes = matcher.n_table_bytes();
  EXPECT_TRUE(accepts(matcher, "aaabbb"));
  EXPECT_GT(matcher.n_table_bytes(), n_bytes);
  matcher.reset();
  EXPECT_EQ(matcher.n_table_bytes(), n_bytes);
  EXPECT_TRUE(accepts(matcher, "aabb"));
  EXPECT_TRUE(matcher.is_accepting(matcher.start()));
}

TEST(Matcher, ACopyHasTablesOfItsOwn) {
  Matcher matcher = matcher_of("root ::= \"a\"* \"b\"");
  read(matcher, "aa");
  Matcher copy = matcher;
  EXPECT_TRUE(accepts(copy, "aab"));
  EXPECT_TRUE(accepts(matcher, "b"));
}

}  // namespace
}  // namespace lille
