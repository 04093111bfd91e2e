#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lille/error.h"
#include "lille/grammar.h"
#include "lille/tokenizer.h"

// What the worst grammars and schemas cost that fit into 256 KiB: milliseconds to compile each, and the most
// of one token of an answer that is drawn at random. A refusal counts with the time that it took.

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kModel = "models/lille-tiny-8bit";
constexpr std::size_t kMaxBytes = std::size_t{250} << 10;
constexpr int kMaxTokens = 60;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// `part` for numbers from 0 on, as many as fit.
std::string many(std::string_view begin, const std::function<std::string(std::size_t)>& part,
                 std::string_view end, std::size_t max_parts = kMaxBytes) {
  std::string text(begin);
  for (std::size_t idx = 0; idx < max_parts && text.size() < kMaxBytes; ++idx) text += part(idx);
  return text += end;
}

std::string repeated(std::string_view part, std::size_t n) {
  std::string text;
  for (std::size_t idx = 0; idx < n; ++idx) text += part;
  return text;
}

// A character of three bytes, none beside another one.
std::string ideograph(std::size_t idx) {
  const std::size_t code_point = 0x3400 + 2 * (idx % 14'000);
  return {static_cast<char>(0xe0 | code_point >> 12), static_cast<char>(0x80 | (code_point >> 6 & 0x3f)),
          static_cast<char>(0x80 | (code_point & 0x3f))};
}

// One of four bytes, none beside another one.
std::string rare_character(std::size_t idx) {
  const std::size_t code_point = 0x10000 + 2 * idx;
  return {static_cast<char>(0xf0 | code_point >> 18), static_cast<char>(0x80 | (code_point >> 12 & 0x3f)),
          static_cast<char>(0x80 | (code_point >> 6 & 0x3f)), static_cast<char>(0x80 | (code_point & 0x3f))};
}

struct Case {
  std::string name;
  std::string text;
  bool is_schema = false;
};

std::vector<Case> grammars() {
  const auto same = [](std::string_view part) { return [=](std::size_t) { return std::string(part); }; };
  return {
      {"one character, 250,000 times in brackets", many("root ::= [", same("a"), "]*")},
      {"the same with five characters, in a repetition",
       many(
           "root ::= [",
           [](std::size_t idx) { return std::string(1, static_cast<char>('0' + 2 * (idx % 5))); },
           "]{1,9999}")},
      {"80,000 ranges that overlap", many("root ::= [", same("a-z"), "]*")},
      {"80,000 ideographs in brackets", many("root ::= [", ideograph, "]*")},
      {"the same, each one a choice",
       many(
           "root ::= (\"x\"", [](std::size_t idx) { return "|\"" + ideograph(idx) + '"'; }, ")*")},
      {"30,000 words",
       many(
           "root ::= (\"x\"", [](std::size_t idx) { return fmt::format("|\"w{}\"", idx); }, ")*")},
      {"25,000 choices of brackets", many("root ::= (\"x\"", same("|[a-z0-9]"), ")*")},
      {"25,000 choices of brackets and more", many("root ::= (\"x\"", same("|[a-z0-9]y"), ")* y ::= \"y\"")},
      {"15,000 rules to choose from",
       many(
           "root ::= (x", [](std::size_t idx) { return fmt::format("|x{0}", idx); }, ")* x ::= \"x\"",
           15'000) +
           many(
               "", [](std::size_t idx) { return fmt::format(" x{0}::=x", idx); }, "", 15'000)},
      {"3,000 rules, each of which chooses from two",
       many(
           "root ::= x0",
           [](std::size_t idx) { return fmt::format(" x{}::=[a-z]x{}|\"q\"x{}", idx, idx + 1, idx + 1); },
           " x3000::=\"x\"", 3000)},
      {"120,000 empty choices", many("root ::= (\"x\"", same("|"), ")*")},
      {"64 levels of brackets", "root ::= " + repeated("(", 64) + "[a-z]" + repeated(")*", 64)},
      {"64 levels of optional brackets",
       "root ::= " + repeated("([a-z]? ", 64) + repeated(")?", 64) + "\"x\""},
      {"a repetition of repetitions", "root ::= (([a-z] | \"yy\"){0,9999}){0,9999}"},
      {"four levels of repetitions", "root ::= ([a-z]{0,9999}){0,9999}{0,9999}{0,9999}"},
      {"nine repetitions in a row", "root ::= " + repeated("[a-z]{0,9999} ", 9)},
      {"nine repetitions in a row, of a rule",
       "root ::= " + repeated("x{0,9999} ", 9) + "x ::= [a-z] | \"x\" [a-z]"},
      {"10,000 repetitions of nothing", "root ::= x{9999} (\"a\" root)? x ::= x x | \"b\" |"},
      {"recursion on the left", "root ::= root [a-z ] | \"x\""},
      {"recursion on the right", "root ::= [a-z ] root | \"x\""},
      {"recursion in the middle", "root ::= [a-z ] root [a-z ] | \"x\""},
      {"recursion on both sides", "root ::= root root | [a-z ]"},
      {"recursion three times", "root ::= root root root | [a-z ] | \"aa\""},
      {"a long cycle of rules",
       many(
           "root ::= x0",
           [](std::size_t idx) { return fmt::format(" x{0}::=x{0} x0|[a-z] x{1}", idx, idx + 1); },
           " x6000::=\"x\"", 6000)},
      {"8,000 rules, each with the next one on its left",
       many(
           "root ::= x0",
           [](std::size_t idx) { return fmt::format(" x{}::=x{}|\"a\"x{}", idx, idx + 1, idx / 2); },
           " x8000::=[a-z]", 8000)},
      {"8,000 rules, each with the next one on its right",
       many(
           "root ::= x0", [](std::size_t idx) { return fmt::format(" x{}::=[a-z]|[a-z]x{}", idx, idx + 1); },
           " x8000::=[a-z]", 8000)},
  };
}

std::vector<Case> schemas() {
  const auto numbered = [](std::string_view form) {
    return [=](std::size_t idx) {
      return std::string(idx == 0 ? "" : ",").append(fmt::format(fmt::runtime(form), idx, idx + 1));
    };
  };
  std::string nested = R"({"type":"string","maxLength":9999})";
  for (int level = 0; level < 5; ++level)
    nested = R"({"type":"array","maxItems":9999,"items":)" + nested + "}";
  return {
      {"an enum of 18,000 texts", many(R"({"enum":[)", numbered(R"("text {}")"), "]}"), true},
      {"an enum of 40,000 numbers", many(R"({"enum":[)", numbered("{}"), "]}"), true},
      {"an enum of one long text", many(R"({"enum":[")", [](std::size_t) { return "a"; }, "\"]}", 99'000),
       true},
      {"9,000 properties",
       many(R"({"type":"object","properties":{)", numbered(R"("p{}":{{"type":"null"}})"), "}}"), true},
      {"properties of any value", many(R"({"type":"object","properties":{)", numbered(R"("p{}":{{}})"), "}}"),
       true},
      {"properties of any text",
       many(R"({"type":"object","properties":{)", numbered(R"("p{}":{{"type":"string"}})"), "}}"), true},
      {"25,000 names in a default", many(R"({"default":{)", numbered(R"("{}":0)"), "}}"), true},
      {"600 numbers",
       many(R"({"type":"object","properties":{)", numbered(R"("p{}":{{"type":"number"}})"), "}}", 600), true},
      {"numbers between bounds",
       many(R"({"type":"array","items":{"anyOf":[)",
            numbered(R"({{"type":"integer","minimum":-1{0}3456789012345,"maximum":1{0}7654321098765}})"),
            "]}}", 180),
       true},
      {"more numbers between bounds",
       many(R"({"anyOf":[)",
            numbered(R"({{"type":"integer","minimum":-98765432101{0},"maximum":98765432101{0}}})"), "]}"),
       true},
      {"4,000 definitions",
       many(R"({"$ref":"#/$defs/d0","$defs":{)",
            numbered(R"("d{0}":{{"anyOf":[{{"$ref":"#/$defs/d{1}"}},{{"type":"null"}}]}})"),
            R"(,"d4000":{"type":"string"}}})", 4000),
       true},
      {"4,000 objects to choose from",
       many(R"({"anyOf":[)", numbered(R"({{"type":"object","properties":{{"p{}":{{}}}}}})"), "]}", 4000),
       true},
      {"bounded arrays in bounded arrays", nested, true},
      {"a bounded text", R"({"type":"string","maxLength":10000})", true},
      {"nine bounded texts",
       many(R"({"type":"object","properties":{)", numbered(R"("p{}":{{"type":"string","maxLength":10000}})"),
            "}}", 9),
       true},
  };
}

std::vector<Case> patterns() {
  const auto pattern = [](const std::string& text) {
    return fmt::format(R"({{"type":"string","pattern":"{}"}})", text);
  };
  const auto choices = [](std::string_view form, std::size_t max) {
    return many(R"({"anyOf":[)",
                [form](std::size_t idx) {
                  return std::string(idx == 0 ? "" : ",").append(fmt::format(fmt::runtime(form), idx));
                },
                "]}", max);
  };
  return {
      {"a pattern of 9,999 characters", pattern("^[^x]{1,9999}$"), true},
      {"a pattern found anywhere", pattern("[a-z]{3}[0-9].{0,30}[A-Z]"), true},
      {"a pattern with 2^14 states", pattern("^[ab]*a[ab]{13}$"), true},
      {"a pattern with 2^40 states", pattern("^[ab]*a[ab]{40}$"), true},
      {"a pattern with 2^40 states over all characters", pattern(".*[^ ].{40}$"), true},
      {"repetitions of repetitions in a pattern", pattern("^(?:(?:a?){9999}){9999}$"), true},
      {"repetitions of nothing in a pattern", pattern("^(?:(?:){9999}){9999}$"), true},
      {"80,000 ideographs in a pattern's brackets", pattern(many("^[", ideograph, "]{1,999}$")), true},
      {"60,000 characters in a pattern's brackets, 89,991 times, where none of them may come",
       pattern("^(?:a|[](?:" + many("[", rare_character, "]", 60'000) + "{9999}){9})$"), true},
      {"1,000 brackets that overlap in a pattern",
       pattern(many(
           "^", [](std::size_t idx) { return fmt::format("[{}-{}]", ideograph(0), ideograph(idx)); }, "$",
           1000)),
       true},
      {"15,000 words in a pattern",
       pattern(many(
           "^(?:x", [](std::size_t idx) { return fmt::format("|w{}", idx); }, ")*$", 15'000)),
       true},
      {"a pattern of 9,999 characters and a length",
       R"({"type":"string","pattern":"^(?:abc|[^x]{2})*$","maxLength":9999})", true},
      {"4,000 small patterns", choices(R"({{"type":"string","pattern":"^a{}[0-9]+$"}})", 4000), true},
      {"patterns of 999 characters, as many as fit",
       choices(R"({{"type":"string","pattern":"^[^x]{{1,999}}{}$"}})", kMaxBytes), true},
      {"formats of lengths, as many as fit",
       choices(R"({{"type":"string","format":"hostname","maxLength":1{}}})", kMaxBytes), true},
      {"bounds of numbers, as many as fit",
       choices(R"({{"type":"number","minimum":-98765432101.1234{0},"maximum":98765432101.9876{0}}})",
               kMaxBytes),
       true},
      {"multiples, as many as fit", choices(R"({{"type":"integer","multipleOf":7{}}})", kMaxBytes), true},
      {"a multiple of 5,003", R"({"type":"integer","multipleOf":5003})", true},
      {"a multiple of 10,000 between bounds",
       R"({"type":"number","multipleOf":10000,"minimum":12345,"maximum":1e15})", true},
  };
}

struct Times {
  double compile_ms = 0;
  double token_ms = 0;  // the most
  int n_tokens = 0;
  std::string refusal;
};

// An answer whose tokens are drawn at random, most of them short ones.
void answer(Times& times, const lille::Grammar& grammar, const lille::Tokenizer& tokenizer, uint32_t seed) {
  const auto processor = lille::make_grammar_processor(grammar, tokenizer);
  std::mt19937 random(seed);
  std::vector<int32_t> tokens = {tokenizer.bos_token_id()};
  std::vector<float> logits(static_cast<std::size_t>(tokenizer.vocab_size()));
  for (; times.n_tokens < kMaxTokens; ++times.n_tokens) {
    std::ranges::fill(logits, 0.0F);
    const Clock::time_point start = Clock::now();
    try {
      processor->process(tokens, logits);
    } catch (const lille::Error& error) {
      times.refusal = error.what();
    }
    times.token_ms = std::max(times.token_ms, ms_since(start));
    if (!times.refusal.empty()) return;
    std::vector<int32_t> ids;
    for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
      if (logits[static_cast<std::size_t>(id)] == 0 && !tokenizer.is_special(id)) ids.push_back(id);
    if (ids.empty()) return;
    tokens.push_back(ids[random() % ids.size()]);
  }
}

Times measure(const Case& one, const lille::Tokenizer& tokenizer) {
  Times times;
  const Clock::time_point start = Clock::now();
  try {
    const lille::Grammar grammar =
        one.is_schema ? lille::Grammar::from_json_schema(one.text) : lille::Grammar::parse(one.text);
    times.compile_ms = ms_since(start);
    answer(times, grammar, tokenizer, 1);
  } catch (const lille::Error& error) {
    times.compile_ms = ms_since(start);
    times.refusal = error.what();
  }
  return times;
}

}  // namespace

int main(int n_arguments, char** arguments) {
  const std::string_view filter = n_arguments > 1 ? arguments[1] : "";
  const lille::Tokenizer tokenizer = lille::Tokenizer::load(kModel);
  // The trie of the tokenizer is made by the first of all answers.
  lille::make_grammar_processor(lille::Grammar::parse("root ::= \"a\""), tokenizer);
  fmt::print(
      "| | KiB | compile, ms | a token at most, ms | tokens | |\n| --- | --- | --- | --- | --- | --- |\n");
  for (const std::vector<Case>& cases : {grammars(), schemas(), patterns()}) {
    for (const Case& one : cases) {
      if (one.name.find(filter) == std::string::npos) continue;
      const Times times = measure(one, tokenizer);
      fmt::print("| {} | {} | {:.1f} | {:.2f} | {} | {} |\n", one.name, one.text.size() / 1024,
                 times.compile_ms, times.token_ms, times.n_tokens,
                 times.refusal.substr(0, times.refusal.find(". Hint")));
      std::fflush(stdout);
    }
  }
}
